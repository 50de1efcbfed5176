//! Continuation tokens: where in which list an answer goes on.
//!
//! Owns their spelling, which means nothing to a client. Invariant: a token that was not written here is
//! refused, and the same place always has the same token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::world::Order;

/// What every token of the site begins and ends with.
const PREFIX: &str = "4qmFsg";
const SUFFIX: &str = "%3D%3D";

/// A place in a channel's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) channel: String,
    pub(super) order: Order,
    /// Items before it; none where a chip starts the list anew.
    pub(super) offset: usize,
    /// Whether it stands in a chip, and its answer replaces the list instead of going on.
    pub(super) reload: bool,
}

impl Token {
    pub(super) fn encode(&self) -> String {
        let reload = if self.reload { "reload" } else { "append" };
        let place = format!("{} {} {} {reload}", self.channel, self.order.label(), self.offset);
        let text = format!("{place} {}", seal(&place));
        format!("{PREFIX}{}{SUFFIX}", URL_SAFE_NO_PAD.encode(text))
    }

    pub(super) fn decode(token: &str) -> Option<Self> {
        let text = token.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (place, found) = text.rsplit_once(' ')?;
        if found != seal(place) {
            return None;
        }
        let mut words = place.split(' ');
        let channel = words.next()?.to_owned();
        let label = words.next()?;
        Some(Self {
            channel,
            order: Order::ALL.into_iter().find(|order| order.label() == label)?,
            offset: words.next()?.parse().ok()?,
            reload: words.next()? == "reload",
        })
    }
}

fn seal(place: &str) -> String {
    fingerprint(place.as_bytes())
}

/// A short name for content: the same for the same bytes.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_and_a_changed_one_nowhere() {
        let channel = "UCaaaaaaaaaaaaaaaaaaaaaA".to_owned();
        let token = Token { channel, order: Order::Popular, offset: 60, reload: false };
        let text = token.encode();
        assert_eq!(Token::decode(&text), Some(token));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(Token::decode(&String::from_utf8(changed).unwrap()), None, "at {at}");
        }
    }
}

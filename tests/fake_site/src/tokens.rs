//! Continuation tokens, which encode a position in a list.
//!
//! Invariants: a position always has the same token, and tokens that the site did not issue are refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::world::Order;

const PREFIX: &str = "4qmFsg";
const SUFFIX: &str = "%3D%3D";

/// A position in a channel's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) channel: String,
    pub(super) order: Order,
    /// Number of items before it; 0 for a chip.
    pub(super) offset: usize,
    /// Whether it belongs to a chip, so that the response replaces the list instead of appending to it.
    pub(super) reload: bool,
}

impl Token {
    pub(super) fn encode(&self) -> String {
        let reload = if self.reload { "reload" } else { "append" };
        let position = format!("{} {} {} {reload}", self.channel, self.order.label(), self.offset);
        let text = format!("{position} {}", checksum(&position));
        format!("{PREFIX}{}{SUFFIX}", URL_SAFE_NO_PAD.encode(text))
    }

    pub(super) fn decode(token: &str) -> Option<Self> {
        let text = token.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (position, found) = text.rsplit_once(' ')?;
        if found != checksum(position) {
            return None;
        }
        let mut words = position.split(' ');
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

fn checksum(position: &str) -> String {
    fingerprint(position.as_bytes())
}

/// Returns a short digest.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_round_trips_and_a_changed_one_is_refused() {
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

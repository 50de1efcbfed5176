//! Builds the bodies of requests to `youtubei/v1`, always in US English.
//!
//! The client version is a parameter because it has to be recent.

use serde_json::{Value, json};

use super::ids::ChannelId;

/// Path for a tab or a continuation.
pub const BROWSE_PATH: &str = "/youtubei/v1/browse?prettyPrint=false";
/// Path for the target of a link.
pub const RESOLVE_URL_PATH: &str = "/youtubei/v1/navigation/resolve_url?prettyPrint=false";
/// Parameter for the Videos tab.
const VIDEOS_TAB: &str = "EgZ2aWRlb3PyBgQKAjoA";

/// Requests the first page of a channel's Videos tab.
#[must_use]
pub fn browse(channel: &ChannelId, client_version: &str) -> Value {
    json!({"context": context(client_version), "browseId": channel, "params": VIDEOS_TAB})
}

/// Requests the page of a token: the next one, or the first in another order.
#[must_use]
pub fn continuation(token: &str, client_version: &str) -> Value {
    json!({"context": context(client_version), "continuation": token})
}

/// Requests the target of `url`; see [`crate::youtube::channel::resolved`].
#[must_use]
pub fn resolve_url(url: &str, client_version: &str) -> Value {
    json!({"context": context(client_version), "url": url})
}

fn context(client_version: &str) -> Value {
    json!({"client": {"hl": "en", "gl": "US", "clientName": "WEB", "clientVersion": client_version}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_bodies_have_the_expected_fields() {
        let channel = "UCTwECeGqMZee77BjdoYtI2Q".parse().unwrap();
        let client = json!({"client": {"hl": "en", "gl": "US", "clientName": "WEB", "clientVersion": "2.1"}});
        let expected = json!({"context": client, "browseId": channel, "params": "EgZ2aWRlb3PyBgQKAjoA"});
        assert_eq!(browse(&channel, "2.1"), expected);
        assert_eq!(continuation("t", "2.1"), json!({"context": client, "continuation": "t"}));
        assert_eq!(resolve_url("u", "2.1"), json!({"context": client, "url": "u"}));
    }
}

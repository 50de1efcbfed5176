//! Bodies of the requests to `youtubei/v1`, always in the English of the United States.
//!
//! Does not own sending them. The version of the client is a setting, since it has to be recent.

use serde_json::{Value, json};

use super::ids::ChannelId;

/// Path of the request for a tab or for more of it.
pub const BROWSE_PATH: &str = "/youtubei/v1/browse?prettyPrint=false";
/// Path of the request that tells what a link leads to.
pub const RESOLVE_URL_PATH: &str = "/youtubei/v1/navigation/resolve_url?prettyPrint=false";
/// What asks for the Videos tab.
const VIDEOS_TAB: &str = "EgZ2aWRlb3PyBgQKAjoA";

/// Asks for the first page of a channel's Videos tab.
#[must_use]
pub fn browse(channel: &ChannelId, client_version: &str) -> Value {
    json!({"context": context(client_version), "browseId": channel, "params": VIDEOS_TAB})
}

/// Asks for the page that `token` stands for: the next one, or the first in another order.
#[must_use]
pub fn continuation(token: &str, client_version: &str) -> Value {
    json!({"context": context(client_version), "continuation": token})
}

/// Asks what `url` leads to; see [`crate::youtube::channel::resolved`].
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
    fn requests_are_in_english_and_name_what_they_want() {
        let channel = "UCTwECeGqMZee77BjdoYtI2Q".parse().unwrap();
        let client = json!({"client": {"hl": "en", "gl": "US", "clientName": "WEB", "clientVersion": "2.1"}});
        let expected = json!({"context": client, "browseId": channel, "params": "EgZ2aWRlb3PyBgQKAjoA"});
        assert_eq!(browse(&channel, "2.1"), expected);
        assert_eq!(continuation("t", "2.1"), json!({"context": client, "continuation": "t"}));
        assert_eq!(resolve_url("u", "2.1"), json!({"context": client, "url": "u"}));
    }
}

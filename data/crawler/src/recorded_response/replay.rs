//! Parses recorded responses offline, with the parser of their endpoint.

use serde::Serialize;
use serde_json::Value;

use super::file::{Endpoint, RecordedResponse};
use crate::youtube::{
    api,
    channel::{self, VideoPage},
    faults::SchemaDrift,
    response,
};

/// The items in a recorded response.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ReplayedItems {
    /// Name of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
    /// Number of videos or channels.
    pub items: usize,
    /// Errors of unreadable items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl RecordedResponse {
    /// Parses the body with the parsers of this program.
    ///
    /// # Errors
    /// The parser's message.
    pub fn replay(&self, body: &[u8]) -> Result<ReplayedItems, String> {
        let api = || api::from_body(self.status, body).map_err(|error| error.to_string());
        let drift = |error: SchemaDrift| error.to_string();
        match self.endpoint {
            Endpoint::ChannelPage => {
                let page = response::from_page(self.status, body);
                let first = page.and_then(|page| channel::first_page(&page));
                let first = first.map_err(|fault| fault.to_string())?;
                Ok(ReplayedItems {
                    channel: Some(first.channel.title),
                    subscribers: first.channel.subscribers.map(|count| count.value),
                    ..replayed_page(&first.page)
                })
            }
            Endpoint::MoreVideos => {
                let more =
                    response::from_body(self.status, body).and_then(|more: Value| channel::next_page(&more));
                more.map(|page| replayed_page(&page)).map_err(|fault| fault.to_string())
            }
            Endpoint::ApiChannels => {
                let found = api::channels(&api()?).map_err(drift)?;
                let first = found.first();
                Ok(ReplayedItems {
                    channel: first.map(|channel| channel.title.clone()),
                    subscribers: first.and_then(|channel| Some(channel.subscribers?.value)),
                    items: found.len(),
                    unread: Vec::new(),
                })
            }
            Endpoint::ApiUploads => {
                let found = api::uploads_page(&api()?).map_err(drift)?;
                Ok(ReplayedItems { items: found.video_ids.len(), ..ReplayedItems::default() })
            }
            Endpoint::ApiVideos => {
                let found = api::videos(&api()?).map_err(drift)?;
                Ok(ReplayedItems { items: found.len(), ..ReplayedItems::default() })
            }
        }
    }
}

fn replayed_page(page: &VideoPage) -> ReplayedItems {
    let unread = page.unread.iter().map(ToString::to_string).collect();
    ReplayedItems { items: page.items.len(), unread, ..ReplayedItems::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_response_reads_back_with_its_body() {
        let recorded = RecordedResponse {
            endpoint: Endpoint::ApiVideos,
            item: "@one\n".to_owned(),
            url: "https://www.googleapis.com/youtube/v3/videos".to_owned(),
            status: 200,
            original_error: "no items".to_owned(),
            truncated: false,
        };
        let body = b"{\"items\":\n[]}";
        let file = recorded.write(body);
        assert_eq!(RecordedResponse::read(&file).unwrap(), (recorded.clone(), &body[..]));
        assert_eq!(recorded.replay(body), Ok(ReplayedItems::default()));
        assert!(recorded.replay(b"{}").unwrap_err().contains("missing items"));
        assert!(RecordedResponse::read(b"<html>\n").is_err());
        assert_eq!(
            format!("{}.{}", Endpoint::ChannelPage, Endpoint::ChannelPage.file_extension()),
            "channel-page.html"
        );
    }
}

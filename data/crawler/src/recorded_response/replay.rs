//! Reading kept answers again, without asking any site.
//!
//! Owns which parser reads which answer.

use serde::Serialize;
use serde_json::Value;

use super::file::{Endpoint, RecordedResponse};
use crate::youtube::{
    answer, api,
    channel::{self, VideoPage},
    faults::SchemaDrift,
};

/// What a parser finds in a kept answer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ReplayedItems {
    /// The channel's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Its subscribers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
    /// Videos or channels that were read.
    pub items: usize,
    /// What stood among them and could not be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl RecordedResponse {
    /// Reads the body with the parsers of this program.
    ///
    /// # Errors
    /// In the words of the parser that cannot.
    pub fn replay(&self, body: &[u8]) -> Result<ReplayedItems, String> {
        let api = || api::from_body(self.status, body).map_err(|error| error.to_string());
        let drift = |error: SchemaDrift| error.to_string();
        match self.endpoint {
            Endpoint::ChannelPage => {
                let page = answer::from_page(self.status, body);
                let first = page.and_then(|page| channel::first_page(&page));
                let first = first.map_err(|fault| fault.to_string())?;
                Ok(ReplayedItems {
                    channel: Some(first.channel.title),
                    subscribers: first.channel.subscribers.map(|count| count.value),
                    ..of_page(&first.page)
                })
            }
            Endpoint::MoreVideos => {
                let more =
                    answer::from_body(self.status, body).and_then(|more: Value| channel::next_page(&more));
                more.map(|page| of_page(&page)).map_err(|fault| fault.to_string())
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

fn of_page(page: &VideoPage) -> ReplayedItems {
    let unread = page.unread.iter().map(ToString::to_string).collect();
    ReplayedItems { items: page.items.len(), unread, ..ReplayedItems::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_with_its_body() {
        let kept = RecordedResponse {
            endpoint: Endpoint::ApiVideos,
            item: "@one\n".to_owned(),
            url: "https://www.googleapis.com/youtube/v3/videos".to_owned(),
            status: 200,
            why: "no items".to_owned(),
            cut: false,
        };
        let body = b"{\"items\":\n[]}";
        let file = kept.write(body);
        assert_eq!(RecordedResponse::read(&file).unwrap(), (kept.clone(), &body[..]));
        assert_eq!(kept.replay(body), Ok(ReplayedItems::default()));
        assert!(kept.replay(b"{}").unwrap_err().contains("no items"));
        assert!(RecordedResponse::read(b"<html>\n").is_err());
        assert_eq!(
            format!("{}.{}", Endpoint::ChannelPage, Endpoint::ChannelPage.ending()),
            "channel-page.html"
        );
    }
}

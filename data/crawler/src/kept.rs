//! Answers of sites that were kept because they could not be read, and reading them again.
//!
//! Owns the form of a kept answer: one line of JSON that says what it answered, then the body as it came; and
//! which parser reads which. Asks no site.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::youtube::{
    answer, api,
    channel::{self, Page},
    faults::SchemaDrift,
};

/// What a body answered, and so how it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// A channel's page.
    ChannelPage,
    /// More of a channel's videos.
    MoreVideos,
    /// `channels.list` of the Data API.
    ApiChannels,
    /// `playlistItems.list` of the Data API.
    ApiUploads,
    /// `videos.list` of the Data API.
    ApiVideos,
}

impl Means {
    /// Returns how the name of its file ends.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::ChannelPage => "html",
            Self::MoreVideos | Self::ApiChannels | Self::ApiUploads | Self::ApiVideos => "json",
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What the first line of a kept answer says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// What it answered.
    pub means: Means,
    /// The channel or slice it is about, as it was named.
    pub item: String,
    /// Who answered.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// Why it could not be read.
    pub why: String,
    /// Whether the end of it is missing.
    #[serde(default)]
    pub cut: bool,
}

/// What a parser finds in a kept answer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Found {
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

impl KeptAnswer {
    /// Returns the file: this, then `body`.
    ///
    /// # Panics
    /// Never: it is plain data.
    #[must_use]
    pub fn write(&self, body: &[u8]) -> Vec<u8> {
        let mut file = serde_json::to_vec(self).expect("it is plain data");
        file.push(b'\n');
        file.extend_from_slice(body);
        file
    }

    /// Reads a file and returns its body as well.
    ///
    /// # Errors
    /// When its first line does not say what it answered.
    pub fn read(file: &[u8]) -> Result<(Self, &[u8]), serde_json::Error> {
        let end = file.iter().position(|byte| *byte == b'\n').unwrap_or(file.len());
        let kept = serde_json::from_slice(&file[..end])?;
        Ok((kept, file.get(end + 1..).unwrap_or_default()))
    }

    /// Reads the body with the parsers of this program.
    ///
    /// # Errors
    /// In the words of the parser that cannot.
    pub fn replay(&self, body: &[u8]) -> Result<Found, String> {
        let api = || api::from_body(self.status, body).map_err(|error| error.to_string());
        let drift = |error: SchemaDrift| error.to_string();
        match self.means {
            Means::ChannelPage => {
                let page = answer::from_page(self.status, body);
                let first = page.and_then(|page| channel::first_page(&page));
                let first = first.map_err(|fault| fault.to_string())?;
                Ok(Found {
                    channel: Some(first.channel.title),
                    subscribers: first.channel.subscribers.map(|count| count.value),
                    ..of_page(&first.page)
                })
            }
            Means::MoreVideos => {
                let more =
                    answer::from_body(self.status, body).and_then(|more: Value| channel::next_page(&more));
                more.map(|page| of_page(&page)).map_err(|fault| fault.to_string())
            }
            Means::ApiChannels => {
                let found = api::channels(&api()?).map_err(drift)?;
                let first = found.first();
                Ok(Found {
                    channel: first.map(|channel| channel.title.clone()),
                    subscribers: first.and_then(|channel| Some(channel.subscribers?.value)),
                    items: found.len(),
                    unread: Vec::new(),
                })
            }
            Means::ApiUploads => {
                let found = api::uploads_page(&api()?).map_err(drift)?;
                Ok(Found { items: found.video_ids.len(), ..Found::default() })
            }
            Means::ApiVideos => {
                let found = api::videos(&api()?).map_err(drift)?;
                Ok(Found { items: found.len(), ..Found::default() })
            }
        }
    }
}

fn of_page(page: &Page) -> Found {
    let unread = page.unread.iter().map(ToString::to_string).collect();
    Found { items: page.items.len(), unread, ..Found::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_with_its_body() {
        let kept = KeptAnswer {
            means: Means::ApiVideos,
            item: "@one\n".to_owned(),
            url: "https://www.googleapis.com/youtube/v3/videos".to_owned(),
            status: 200,
            why: "no items".to_owned(),
            cut: false,
        };
        let body = b"{\"items\":\n[]}";
        let file = kept.write(body);
        assert_eq!(KeptAnswer::read(&file).unwrap(), (kept.clone(), &body[..]));
        assert_eq!(kept.replay(body), Ok(Found::default()));
        assert!(kept.replay(b"{}").unwrap_err().contains("no items"));
        assert!(KeptAnswer::read(b"<html>\n").is_err());
        assert_eq!(format!("{}.{}", Means::ChannelPage, Means::ChannelPage.ending()), "channel-page.html");
    }
}

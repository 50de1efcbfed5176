//! What a ranking's page shows: whether it is complete, and which channels its rows name.
//!
//! Owns these decisions, as functions of what the browser sees. Does not own the browser. Invariant: a page that
//! is not understood is an error that names it, the selector that found nothing, and what was there instead.

use std::time::Duration;

use common::config::{ConfigError, RankingSettings};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::youtube::ids::{ChannelRef, Reference};

/// Rows that are looked at.
const MOST_ROWS: usize = 5_000;
/// Links of a row that are looked at.
const MOST_LINKS: usize = 50;
/// How long the number of rows stays the same once they are complete, where no selector says.
const STILL: Duration = Duration::from_secs(1);

/// Looks at the page with these selectors; see [`Sight`] for what it returns.
pub(super) const SCRIPT: &str = r#"
const [rows, link, ready, mostRows, mostLinks] = arguments;
for (const [key, selector] of [["ranking_rows", rows], ["ranking_link", link], ["ranking_ready", ready]]) {
  try { document.createDocumentFragment().querySelector(selector ?? "*"); } catch { return {wrong: key}; }
}
const links = row => [...(row.matches(link) ? [row] : []), ...row.querySelectorAll(link)];
const found = [...document.querySelectorAll(rows)];
return {seen: {
  url: document.URL,
  title: document.title,
  status: performance.getEntriesByType("navigation")[0]?.responseStatus ?? 0,
  bytes: new Blob([document.documentElement.outerHTML]).size,
  is_ready: ready === null ? null : document.querySelector(ready) !== null,
  row_count: found.length,
  rows: found.slice(0, mostRows).map(row =>
    links(row).slice(0, mostLinks).map(one => String(one.href ?? one.getAttribute("href") ?? ""))),
}};
"#;

/// The arguments of [`SCRIPT`].
pub(super) fn arguments(settings: &RankingSettings) -> Vec<Value> {
    let RankingSettings { ranking_rows, ranking_link, ranking_ready, .. } = settings;
    vec![json!(ranking_rows), json!(ranking_link), json!(ranking_ready), json!(MOST_ROWS), json!(MOST_LINKS)]
}

/// What [`SCRIPT`] returns.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sight {
    /// The setting of this key is no selector.
    Wrong(String),
    /// The page.
    Seen(RankingPage),
}

impl Sight {
    /// Returns the page.
    ///
    /// # Errors
    /// When a setting is no selector.
    pub(super) fn page(self, settings: &RankingSettings) -> Result<RankingPage, ConfigError> {
        match self {
            Self::Seen(page) => Ok(page),
            Self::Wrong(key) => {
                let value = match key.as_str() {
                    "ranking_rows" => &settings.ranking_rows,
                    "ranking_link" => &settings.ranking_link,
                    _ => settings.ranking_ready.as_ref().unwrap_or(&settings.ranking_rows),
                };
                Err(ConfigError::invalid(&key, value, "a CSS selector"))
            }
        }
    }
}

/// A page at one moment.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct RankingPage {
    /// Where the browser is.
    pub(super) url: String,
    title: String,
    /// The HTTP status it was answered with; 0 where the browser does not say.
    status: u16,
    /// Its size, with what scripts have added.
    bytes: u64,
    /// Whether what makes it complete is there; none where no selector says.
    is_ready: Option<bool>,
    row_count: usize,
    /// The links of each row.
    rows: Vec<Vec<String>>,
}

/// How long the rows of a page have been as many as they are.
#[derive(Default)]
pub(super) struct Stillness {
    rows: usize,
    since: Duration,
}

impl Stillness {
    /// Whether the page is complete, seen so long after it was asked for.
    pub(super) fn is_complete(&mut self, page: &RankingPage, at: Duration) -> bool {
        if let Some(is_ready) = page.is_ready {
            return is_ready;
        }
        if page.row_count != self.rows {
            (self.rows, self.since) = (page.row_count, at);
        }
        self.rows > 0 && at.saturating_sub(self.since) >= STILL
    }
}

impl RankingPage {
    /// Checks that the page is what was asked for.
    ///
    /// # Errors
    /// When its status says that it is something else.
    pub(super) fn check_status(&self) -> Result<(), String> {
        if self.status >= 400 {
            return Err(format!("it answers {}: {}", self.status, self.shown()));
        }
        Ok(())
    }

    /// Says why a page that is not complete is not.
    pub(super) fn never_complete(&self, settings: &RankingSettings) -> String {
        let seconds = settings.ranking_wait_seconds;
        let (key, selector) = match &settings.ranking_ready {
            Some(ready) => ("READY", ready),
            None if self.row_count > 0 => {
                return format!("its rows do not stop to change within {seconds} s: {}", self.shown());
            }
            None => ("ROWS", &settings.ranking_rows),
        };
        format!(
            "SUBWATCH_RANKING_{key} is '{selector}', and nothing matches it within {seconds} s: {}",
            self.shown()
        )
    }

    /// Returns the first `top` channels in the order of the rows; one that is there twice counts once.
    ///
    /// # Errors
    /// When there are no rows, or one of those names no channel.
    pub(super) fn channels(&self, settings: &RankingSettings, top: usize) -> Result<Vec<ChannelRef>, String> {
        if self.rows.is_empty() {
            return Err(format!(
                "SUBWATCH_RANKING_ROWS is '{}', and nothing matches it: {}",
                settings.ranking_rows,
                self.shown()
            ));
        }
        let mut channels: Vec<ChannelRef> = Vec::new();
        for (links, number) in self.rows.iter().zip(1..) {
            let channel = channel_of(links).map_err(|why| {
                format!(
                    "SUBWATCH_RANKING_LINK is '{}', and {why} in row {number} of {} of '{}': {}",
                    settings.ranking_link,
                    self.row_count,
                    settings.ranking_rows,
                    self.shown()
                )
            })?;
            if !channels.contains(&channel) {
                channels.push(channel);
            }
            if channels.len() == top {
                break;
            }
        }
        Ok(channels)
    }

    /// What is there, for people.
    fn shown(&self) -> String {
        format!("the page “{}” has {} bytes", self.title, self.bytes)
    }
}

/// The channel that the first link to one leads to.
fn channel_of(links: &[String]) -> Result<ChannelRef, String> {
    let mut first = None;
    for link in links {
        match link.parse() {
            Ok(Reference::Channel(channel)) => return Ok(channel),
            Ok(Reference::Video(_)) => {
                first.get_or_insert_with(|| format!("names no channel, but “{link}”"));
            }
            Err(error) => {
                first.get_or_insert_with(|| format!("names no channel: {error}"));
            }
        }
    }
    Err(first.unwrap_or_else(|| "matches nothing".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "UCTwECeGqMZee77BjdoYtI2Q";

    fn page(rows: &[&[&str]]) -> RankingPage {
        let rows = rows.iter().map(|links| links.iter().map(|link| (*link).to_owned()).collect());
        let rows: Vec<Vec<String>> = rows.collect();
        RankingPage {
            url: "https://example.org/".to_owned(),
            title: "Top games".to_owned(),
            status: 200,
            bytes: 1234,
            is_ready: None,
            row_count: rows.len(),
            rows,
        }
    }

    #[test]
    fn channels_come_in_the_order_of_rows_and_each_once() {
        let by_id = format!("https://www.youtube.com/channel/{ID}");
        let page = page(&[
            &["https://www.youtube.com/@one"],
            &["https://example.org/detail", &by_id, "https://www.youtube.com/@other"],
            &["https://youtu.be/dQw4w9WgXcQ", "https://www.youtube.com/@one"],
            &["https://www.youtube.com/@two"],
            &["https://example.org/behind-the-top"],
        ]);
        let urls = |top| {
            let channels = page.channels(&RankingSettings::default(), top).unwrap();
            channels.iter().map(ChannelRef::url).collect::<Vec<_>>()
        };
        let all = ["https://www.youtube.com/@one", by_id.as_str(), "https://www.youtube.com/@two"];
        assert_eq!(urls(3), all);
        assert_eq!(urls(1), all[..1]);
        assert!(page.channels(&RankingSettings::default(), 4).is_err(), "the last row names no channel");
    }

    #[test]
    fn rows_that_name_no_channel_say_what_they_name() {
        let check = |rows: &[&[&str]], want: &str| {
            assert_eq!(page(rows).channels(&RankingSettings::default(), 20).unwrap_err(), want);
        };
        let there = "the page “Top games” has 1234 bytes";
        check(&[], &format!("SUBWATCH_RANKING_ROWS is 'table tbody tr', and nothing matches it: {there}"));
        let one: &[&str] = &["https://www.youtube.com/@one"];
        let link = "SUBWATCH_RANKING_LINK is 'a[href]', and ";
        let row = "in row 2 of 2 of 'table tbody tr'";
        check(&[one, &[]], &format!("{link}matches nothing {row}: {there}"));
        let foreign = "names no channel: “https://example.org/x” is no link to YouTube";
        check(&[one, &["https://example.org/x"]], &format!("{link}{foreign} {row}: {there}"));
        let video = "names no channel, but “https://youtu.be/dQw4w9WgXcQ”";
        check(&[one, &["https://youtu.be/dQw4w9WgXcQ"]], &format!("{link}{video} {row}: {there}"));
    }

    #[test]
    fn a_page_is_complete_when_it_says_so_or_its_rows_stay_as_they_are() {
        let at = Duration::from_millis;
        let rows = |count| RankingPage { row_count: count, ..page(&[]) };
        let mut still = Stillness::default();
        assert!(!still.is_complete(&rows(0), at(0)));
        assert!(!still.is_complete(&rows(0), at(5_000)), "without rows it is not");
        assert!(!still.is_complete(&rows(3), at(5_100)));
        assert!(!still.is_complete(&rows(9), at(6_050)), "there are more");
        assert!(!still.is_complete(&rows(9), at(7_000)));
        assert!(still.is_complete(&rows(9), at(7_050)));
        let said = |is_ready| RankingPage { is_ready: Some(is_ready), ..rows(9) };
        assert!(!still.is_complete(&said(false), at(60_000)));
        assert!(Stillness::default().is_complete(&said(true), at(0)));
    }

    #[test]
    fn a_page_that_is_never_complete_says_which_selector_waits() {
        let settings =
            RankingSettings { ranking_ready: Some("#done".to_owned()), ..RankingSettings::default() };
        let there = "the page “Top games” has 1234 bytes";
        assert_eq!(
            page(&[]).never_complete(&settings),
            format!("SUBWATCH_RANKING_READY is '#done', and nothing matches it within 30 s: {there}")
        );
        let of_rows = page(&[]).never_complete(&RankingSettings::default());
        assert!(of_rows.starts_with("SUBWATCH_RANKING_ROWS is 'table tbody tr', and nothing"), "{of_rows}");
        let of_change = page(&[&[]]).never_complete(&RankingSettings::default());
        assert!(of_change.starts_with("its rows do not stop to change"), "{of_change}");
    }

    #[test]
    fn a_status_of_an_error_is_one() {
        let answered = |status| RankingPage { status, ..page(&[]) }.check_status();
        assert_eq!([answered(0), answered(200), answered(304)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(answered(404).unwrap_err(), "it answers 404: the page “Top games” has 1234 bytes");
    }
}

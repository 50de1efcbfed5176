//! Decides whether a ranking's page is complete, and extracts the channels of its rows.
//!
//! Pure functions of a snapshot of the page; does not own the browser. Invariant: a page that does not match the
//! selectors is an error that names the page and the selector.

use std::time::Duration;

use common::config::{ConfigError, RankingSettings};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::youtube::ids::{ChannelRef, Reference};

/// Rows read at most.
const MAX_ROWS: usize = 5_000;
/// Links read per row at most.
const MAX_LINKS: usize = 50;
/// Without a selector for completeness, the page is complete once the number of rows has not changed for this long.
const STABLE_FOR: Duration = Duration::from_secs(1);

/// Takes a [`PageSnapshot`].
pub(super) const SCRIPT: &str = r#"
const [rows, link, ready, maxRows, maxLinks] = arguments;
for (const [key, selector] of [["ranking_rows", rows], ["ranking_link", link], ["ranking_ready", ready]]) {
  try { document.createDocumentFragment().querySelector(selector ?? "*"); }
  catch { return {"invalid-selector": key}; }
}
const links = row => [...(row.matches(link) ? [row] : []), ...row.querySelectorAll(link)];
const found = [...document.querySelectorAll(rows)];
return {page: {
  url: document.URL,
  title: document.title,
  status: performance.getEntriesByType("navigation")[0]?.responseStatus ?? 0,
  bytes: new Blob([document.documentElement.outerHTML]).size,
  is_ready: ready === null ? null : document.querySelector(ready) !== null,
  row_count: found.length,
  rows: found.slice(0, maxRows).map(row =>
    links(row).slice(0, maxLinks).map(one => String(one.href ?? one.getAttribute("href") ?? ""))),
}};
"#;

/// Arguments of [`SCRIPT`].
pub(super) fn arguments(settings: &RankingSettings) -> Vec<Value> {
    let RankingSettings { ranking_rows, ranking_link, ranking_ready, .. } = settings;
    vec![json!(ranking_rows), json!(ranking_link), json!(ranking_ready), json!(MAX_ROWS), json!(MAX_LINKS)]
}

/// The result of [`SCRIPT`].
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PageSnapshot {
    /// The key of a setting that is not a CSS selector.
    InvalidSelector(String),
    Page(RankingPage),
}

impl PageSnapshot {
    pub(super) fn page(self, settings: &RankingSettings) -> Result<RankingPage, ConfigError> {
        match self {
            Self::Page(page) => Ok(page),
            Self::InvalidSelector(key) => {
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

/// A page at one point in time.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct RankingPage {
    /// URL after redirects.
    pub(super) url: String,
    title: String,
    /// HTTP status; 0 if the browser does not report it.
    status: u16,
    /// Size, including elements added by scripts.
    bytes: u64,
    /// Whether `SUBWATCH_RANKING_READY` matches; `None` if it is not set.
    is_ready: Option<bool>,
    row_count: usize,
    /// The links of each row.
    rows: Vec<Vec<String>>,
}

/// Tracks how long the number of rows has been unchanged.
#[derive(Default)]
pub(super) struct RowStability {
    rows: usize,
    since: Duration,
}

impl RowStability {
    /// Whether the page is complete; `at` is the time since the navigation.
    pub(super) fn is_complete(&mut self, page: &RankingPage, at: Duration) -> bool {
        if let Some(is_ready) = page.is_ready {
            return is_ready;
        }
        if page.row_count != self.rows {
            (self.rows, self.since) = (page.row_count, at);
        }
        self.rows > 0 && at.saturating_sub(self.since) >= STABLE_FOR
    }
}

impl RankingPage {
    pub(super) fn check_status(&self) -> Result<(), String> {
        if self.status >= 400 {
            return Err(format!("HTTP {}: {}", self.status, self.summary()));
        }
        Ok(())
    }

    /// Explains why the page did not become complete in time.
    pub(super) fn incomplete_reason(&self, settings: &RankingSettings) -> String {
        let seconds = settings.ranking_wait_seconds;
        let (key, selector) = match &settings.ranking_ready {
            Some(ready) => ("READY", ready),
            None if self.row_count > 0 => {
                return format!("the number of rows is still changing after {seconds} s: {}", self.summary());
            }
            None => ("ROWS", &settings.ranking_rows),
        };
        format!("SUBWATCH_RANKING_{key}='{selector}' matches nothing within {seconds} s: {}", self.summary())
    }

    /// Returns the first `top` distinct channels in the order of the rows.
    ///
    /// # Errors
    /// If there are no rows, or one of the rows read has no link to a channel.
    pub(super) fn channels(&self, settings: &RankingSettings, top: usize) -> Result<Vec<ChannelRef>, String> {
        if self.rows.is_empty() {
            return Err(format!(
                "SUBWATCH_RANKING_ROWS='{}' matches nothing: {}",
                settings.ranking_rows,
                self.summary()
            ));
        }
        let mut channels: Vec<ChannelRef> = Vec::new();
        for (links, number) in self.rows.iter().zip(1..) {
            let channel = channel_of(links).map_err(|why| {
                format!(
                    "SUBWATCH_RANKING_LINK='{}' {why} in row {number} of {} of '{}': {}",
                    settings.ranking_link,
                    self.row_count,
                    settings.ranking_rows,
                    self.summary()
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

    fn summary(&self) -> String {
        format!("page “{}”, {} bytes", self.title, self.bytes)
    }
}

/// Returns the channel of the first link to a channel.
fn channel_of(links: &[String]) -> Result<ChannelRef, String> {
    let mut first = None;
    for link in links {
        match link.parse() {
            Ok(Reference::Channel(channel)) => return Ok(channel),
            Ok(Reference::Video(_)) => {
                first.get_or_insert_with(|| format!("matches the link “{link}”, which is not a channel,"));
            }
            Err(error) => {
                first.get_or_insert_with(|| format!("matches no channel ({error})"));
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
    fn channels_are_distinct_and_in_the_order_of_rows() {
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
        assert!(page.channels(&RankingSettings::default(), 4).is_err(), "the last row has no channel");
    }

    #[test]
    fn row_without_a_channel_is_an_error_with_its_link() {
        let check = |rows: &[&[&str]], want: &str| {
            assert_eq!(page(rows).channels(&RankingSettings::default(), 20).unwrap_err(), want);
        };
        let summary = "page “Top games”, 1234 bytes";
        check(&[], &format!("SUBWATCH_RANKING_ROWS='table tbody tr' matches nothing: {summary}"));
        let one: &[&str] = &["https://www.youtube.com/@one"];
        let link = "SUBWATCH_RANKING_LINK='a[href]' ";
        let row = "in row 2 of 2 of 'table tbody tr'";
        check(&[one, &[]], &format!("{link}matches nothing {row}: {summary}"));
        let foreign = "matches no channel (“https://example.org/x” is not a YouTube link)";
        check(&[one, &["https://example.org/x"]], &format!("{link}{foreign} {row}: {summary}"));
        let video = "matches the link “https://youtu.be/dQw4w9WgXcQ”, which is not a channel,";
        check(&[one, &["https://youtu.be/dQw4w9WgXcQ"]], &format!("{link}{video} {row}: {summary}"));
    }

    #[test]
    fn page_is_complete_when_ready_matches_or_its_rows_are_stable() {
        let at = Duration::from_millis;
        let rows = |count| RankingPage { row_count: count, ..page(&[]) };
        let mut stability = RowStability::default();
        assert!(!stability.is_complete(&rows(0), at(0)));
        assert!(!stability.is_complete(&rows(0), at(5_000)), "a page without rows is incomplete");
        assert!(!stability.is_complete(&rows(3), at(5_100)));
        assert!(!stability.is_complete(&rows(9), at(6_050)), "rows were added");
        assert!(!stability.is_complete(&rows(9), at(7_000)));
        assert!(stability.is_complete(&rows(9), at(7_050)));
        let with_ready = |is_ready| RankingPage { is_ready: Some(is_ready), ..rows(9) };
        assert!(!stability.is_complete(&with_ready(false), at(60_000)));
        assert!(RowStability::default().is_complete(&with_ready(true), at(0)));
    }

    #[test]
    fn incomplete_page_names_the_selector_without_a_match() {
        let settings =
            RankingSettings { ranking_ready: Some("#done".to_owned()), ..RankingSettings::default() };
        let summary = "page “Top games”, 1234 bytes";
        assert_eq!(
            page(&[]).incomplete_reason(&settings),
            format!("SUBWATCH_RANKING_READY='#done' matches nothing within 30 s: {summary}")
        );
        let of_rows = page(&[]).incomplete_reason(&RankingSettings::default());
        assert!(of_rows.starts_with("SUBWATCH_RANKING_ROWS='table tbody tr' matches nothing"), "{of_rows}");
        let of_change = page(&[&[]]).incomplete_reason(&RankingSettings::default());
        assert!(of_change.starts_with("the number of rows is still changing"), "{of_change}");
    }

    #[test]
    fn error_status_is_an_error() {
        let check_status = |status| RankingPage { status, ..page(&[]) }.check_status();
        assert_eq!([check_status(0), check_status(200), check_status(304)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(check_status(404).unwrap_err(), "HTTP 404: page “Top games”, 1234 bytes");
    }
}

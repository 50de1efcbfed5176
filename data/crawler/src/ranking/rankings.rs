//! Reads rankings one after the other, and selects the channels of each.
//!
//! Invariant: an incomplete or unreadable ranking is an error, never an empty success.

use std::{collections::HashMap, time::Duration};

use common::config::{RankingSettings, Settings};
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::{
    browser::with_browser,
    error::RankingError,
    page::{self, RowStability},
    session::BrowserSession,
    url_template::UrlTemplate,
};
use crate::{http::CommandClient, youtube::ids::ChannelRef};

/// Default number of channels per ranking.
pub const TOP: u32 = 20;
/// Interval of checks whether a page is complete.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Rankings to read.
#[derive(PartialEq, Debug)]
pub struct Rankings {
    template: UrlTemplate,
    /// Categories and the URLs of their rankings.
    categories: Vec<(String, Url)>,
    top: usize,
}

/// A channel and its rank.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RankedChannel {
    pub category: String,
    rank: usize,
    /// ID, handle or link, whichever the page has.
    pub channel: String,
}

impl RankedChannel {
    #[must_use]
    pub fn new(category: &str, rank: usize, channel: &str) -> Self {
        Self { category: category.to_owned(), rank, channel: channel.to_owned() }
    }
}

impl Rankings {
    /// The rankings of the distinct `categories`.
    ///
    /// # Errors
    /// If `read_pages` is not set, or a category is invalid.
    pub fn new(
        template: UrlTemplate,
        categories: Vec<String>,
        top: Option<u32>,
        read_pages: bool,
    ) -> Result<Self, RankingError> {
        let usage = RankingError::Usage;
        if !read_pages {
            return Err(usage(format!(
                "--ranking reads pages of {}, whose terms may restrict automated access: add --read-pages if you \
                 are permitted to read them",
                template.host()
            )));
        }
        let mut urls: Vec<(String, Url)> = Vec::new();
        for category in categories {
            let category = category.trim();
            if category.is_empty() || category.contains('=') {
                return Err(usage(format!(
                    "--category '{category}': with --ranking, give only the name of the category, without channels"
                )));
            }
            if urls.iter().all(|(known, _)| known != category) {
                let url = template.url(category).map_err(|error| usage(format!("--category: {error}")))?;
                urls.push((category.to_owned(), url));
            }
        }
        Ok(Self { template, categories: urls, top: top.unwrap_or(TOP) as usize })
    }

    /// Reads the rankings, and reports progress to `note`. A channel in several rankings belongs to the first.
    pub async fn read(
        &self,
        settings: &Settings,
        note: impl Fn(&str),
    ) -> Result<Vec<RankedChannel>, RankingError> {
        note(&format!(
            "reading rankings of {}, under its robots.txt and the rate limit; complying with its terms is your \
             responsibility",
            self.template.host()
        ));
        let mut client = CommandClient::new(settings);
        // Check robots.txt before starting a browser.
        for (category, url) in &self.categories {
            client.admit(url).await.map_err(|error| failed(category, url, &error))?;
        }
        with_browser(settings, async |session| {
            let mut ranked = Vec::new();
            let mut known = HashMap::new();
            for (category, url) in &self.categories {
                client.wait_for_rate_limit().await;
                let channels =
                    read_page(&settings.ranking, session, &client, (category, url), self.top).await?;
                note(&self.take(category, &channels, &mut known, &mut ranked));
            }
            Ok(ranked)
        })
        .await
    }

    /// Adds the channels that no earlier ranking has, and returns a message about the ranking.
    fn take(
        &self,
        category: &str,
        channels: &[ChannelRef],
        known: &mut HashMap<String, String>,
        ranked: &mut Vec<RankedChannel>,
    ) -> String {
        let mut summary = format!("ranking {category}: {} channels", channels.len());
        if channels.len() < self.top {
            summary.push_str(&format!(" of {} requested", self.top));
        }
        for (channel, rank) in channels.iter().zip(1..) {
            if let Some(earlier) = known.get(&channel.url()) {
                summary.push_str(&format!("; {} is already in {earlier}", channel.name()));
                continue;
            }
            known.insert(channel.url(), category.to_owned());
            ranked.push(RankedChannel::new(category, rank, &channel.name()));
        }
        summary
    }
}

/// Reads one ranking after its script has built the table.
async fn read_page(
    settings: &RankingSettings,
    session: &BrowserSession,
    client: &CommandClient,
    (category, url): (&str, &Url),
    top: usize,
) -> Result<Vec<ChannelRef>, RankingError> {
    let refused = |error: &dyn std::fmt::Display| failed(category, url, &error.to_string());
    let drifted = |message: String| failed(category, url, &format!("schema-drift: {message}"));
    session.navigate(url).await.map_err(|error| refused(&error))?;
    let (began, mut stability) = (Instant::now(), RowStability::default());
    let arguments = page::arguments(settings);
    loop {
        let at = began.elapsed();
        let seen = session.run(page::SCRIPT, arguments.clone()).await.map_err(|error| refused(&error))?;
        let snapshot: page::PageSnapshot = serde_json::from_value(seen)
            .map_err(|error| drifted(format!("unexpected result from the browser: {error}")))?;
        let page = snapshot.page(settings)?;
        check_location(client, url, &page.url).map_err(|error| refused(&error))?;
        page.check_status().map_err(|error| refused(&error))?;
        if stability.is_complete(&page, at) {
            return page.channels(settings, top).map_err(drifted);
        }
        if at >= settings.ranking_wait() {
            return Err(drifted(page.incomplete_reason(settings)));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Checks where a redirect has led the browser: it must be the same host and allowed by its `robots.txt`.
fn check_location(client: &CommandClient, requested: &Url, location: &str) -> Result<(), String> {
    let location = Url::parse(location).map_err(|error| format!("it redirects to '{location}': {error}"))?;
    if location.origin() != requested.origin() {
        return Err(format!("it redirects to another host, {location}: use that URL if it has the ranking"));
    }
    client.check(&location).map(drop)
}

fn failed(category: &str, url: &Url, message: &str) -> RankingError {
    RankingError::Failed(format!("could not read the ranking of {category} at {url}: {message}"))
}

#[cfg(test)]
mod tests {
    use crate::{table::TableFormat, youtube::named_list};

    use super::*;

    fn csv_of(ranked: &[RankedChannel]) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for one in ranked {
            writer.serialize(one).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn rankings(categories: &[&str], read_pages: bool) -> Result<Rankings, String> {
        let template = "https://example.org/top/{category}".parse().unwrap();
        let categories = categories.iter().map(|name| (*name).to_owned()).collect();
        Rankings::new(template, categories, Some(3), read_pages).map_err(|error| error.to_string())
    }

    #[test]
    fn categories_are_distinct_and_read_pages_is_required() {
        let read = rankings(&["games", " 먹방", "games"], true).unwrap();
        let names: Vec<&str> = read.categories.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["games", "먹방"]);
        let check = |categories: &[&str], read_pages, want: &str| {
            let error = rankings(categories, read_pages).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(&["games"], false, "--ranking reads pages of example.org");
        check(&["games"], false, "add --read-pages");
        check(&[".."], true, "cannot be part of a URL");
        check(&["games=@one"], true, "give only the name of the category");
        check(&[" "], true, "give only the name of the category");
    }

    #[test]
    fn channel_in_two_rankings_belongs_to_the_first() {
        let rankings = rankings(&["games", "food"], true).unwrap();
        let channels =
            |names: &[&str]| -> Vec<ChannelRef> { names.iter().map(|name| name.parse().unwrap()).collect() };
        let (mut known, mut ranked) = (HashMap::new(), Vec::new());
        let mut take =
            |category, names: &[&str]| rankings.take(category, &channels(names), &mut known, &mut ranked);
        assert_eq!(take("games", &["@one", "@two", "@three"]), "ranking games: 3 channels");
        assert_eq!(
            take("food", &["@two", "@four"]),
            "ranking food: 2 channels of 3 requested; @two is already in games"
        );
        let csv = String::from_utf8(csv_of(&ranked)).unwrap();
        assert_eq!(csv, "category,rank,channel\ngames,1,@one\ngames,2,@two\ngames,3,@three\nfood,2,@four\n");
    }

    #[test]
    fn printed_ranking_is_a_valid_list_with_categories() {
        let ranked = [
            RankedChannel::new("a, \"b\"", 1, "@one"),
            RankedChannel::new("먹방", 1, "UCTwECeGqMZee77BjdoYtI2Q"),
        ];
        let csv = String::from_utf8(csv_of(&ranked)).unwrap();
        let lines: String = ranked.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect();
        for (text, format) in [(csv, TableFormat::Csv), (lines, TableFormat::JsonLines)] {
            let entries = named_list::read(&text, Some(format)).unwrap();
            let read: Vec<_> = entries.iter().map(|entry| entry.category.as_deref().unwrap()).collect();
            assert_eq!(read, ["a, \"b\"", "먹방"]);
        }
    }
}

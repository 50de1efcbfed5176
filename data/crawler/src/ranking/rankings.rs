//! Reading rankings, one after the other.
//!
//! Owns which channels are taken of each. Invariant: a ranking is read whole or is an error, never an empty success.

use std::{collections::HashMap, time::Duration};

use common::config::{RankingSettings, Settings};
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::{
    browser::with_browser,
    error::RankingError,
    page::{self, Stillness},
    session::BrowserSession,
    url_template::Address,
};
use crate::{http::Visit, youtube::ids::ChannelRef};

/// Channels taken of a ranking, where nothing else is said.
pub const TOP: u32 = 20;
/// How often a page is looked at until it is complete.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Rankings that are to be read.
#[derive(PartialEq, Debug)]
pub struct Rankings {
    address: Address,
    /// Each with the URL of its ranking.
    categories: Vec<(String, Url)>,
    top: usize,
}

/// A channel in its ranking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ranked {
    /// The category.
    pub category: String,
    rank: usize,
    /// The channel, by the shortest text that names it.
    pub channel: String,
}

impl Ranked {
    /// Ranks a channel.
    #[must_use]
    pub fn new(category: &str, rank: usize, channel: &str) -> Self {
        Self { category: category.to_owned(), rank, channel: channel.to_owned() }
    }
}

impl Rankings {
    /// Rankings of `categories`, each once; reading them has to be consented to.
    ///
    /// # Errors
    /// When it is not, or a category is none.
    pub fn new(
        address: Address,
        categories: Vec<String>,
        top: Option<u32>,
        read_pages: bool,
    ) -> Result<Self, RankingError> {
        let usage = RankingError::Usage;
        if !read_pages {
            return Err(usage(format!(
                "--ranking reads pages of {}, whose terms may not allow them to be read by programs: say --read-pages if \
                 that is for you to decide",
                address.host()
            )));
        }
        let mut urls: Vec<(String, Url)> = Vec::new();
        for category in categories {
            let category = category.trim();
            if category.is_empty() || category.contains('=') {
                return Err(usage(format!("--category is '{category}': a ranking wants its name alone")));
            }
            if urls.iter().all(|(known, _)| known != category) {
                let url = address.of(category).map_err(|error| usage(format!("--category: {error}")))?;
                urls.push((category.to_owned(), url));
            }
        }
        Ok(Self { address, categories: urls, top: top.unwrap_or(TOP) as usize })
    }

    /// Reads the rankings, one after the other, and tells `note` how it gets on. A channel that several rank is of the first
    /// of them.
    ///
    /// # Errors
    /// When one cannot be read; it is named.
    pub async fn read(&self, settings: &Settings, note: impl Fn(&str)) -> Result<Vec<Ranked>, RankingError> {
        note(&format!(
            "reading rankings of {}: its terms may restrict reading its pages with programs; robots.txt and rates are \
             kept to, the rest is your responsibility",
            self.address.host()
        ));
        let mut visit = Visit::new(settings);
        // Before a browser starts in vain.
        for (category, url) in &self.categories {
            visit.admit(url).await.map_err(|error| failed(category, url, &error))?;
        }
        with_browser(settings, async |session| {
            let mut ranked = Vec::new();
            let mut known = HashMap::new();
            for (category, url) in &self.categories {
                visit.turn().await;
                let channels =
                    read_page(&settings.ranking, session, &visit, (category, url), self.top).await?;
                note(&self.take(category, &channels, &mut known, &mut ranked));
            }
            Ok(ranked)
        })
        .await
    }

    /// Takes the channels of a ranking that no earlier one has, and says how many it had.
    fn take(
        &self,
        category: &str,
        channels: &[ChannelRef],
        known: &mut HashMap<String, String>,
        ranked: &mut Vec<Ranked>,
    ) -> String {
        let mut said = format!("ranking {category}: {} channels", channels.len());
        if channels.len() < self.top {
            said.push_str(&format!(", of {} that were asked for", self.top));
        }
        for (channel, rank) in channels.iter().zip(1..) {
            if let Some(earlier) = known.get(&channel.url()) {
                said.push_str(&format!("; {} is of {earlier} already", channel.name()));
                continue;
            }
            known.insert(channel.url(), category.to_owned());
            ranked.push(Ranked::new(category, rank, &channel.name()));
        }
        said
    }
}

/// Reads one ranking, once its script has built it.
async fn read_page(
    settings: &RankingSettings,
    session: &BrowserSession,
    visit: &Visit,
    (category, url): (&str, &Url),
    top: usize,
) -> Result<Vec<ChannelRef>, RankingError> {
    let refused = |error: &dyn std::fmt::Display| failed(category, url, &error.to_string());
    let drifted = |what: String| failed(category, url, &format!("schema-drift: {what}"));
    session.navigate(url).await.map_err(|error| refused(&error))?;
    let (began, mut stillness) = (Instant::now(), Stillness::default());
    let arguments = page::arguments(settings);
    loop {
        let at = began.elapsed();
        let seen = session.run(page::SCRIPT, arguments.clone()).await.map_err(|error| refused(&error))?;
        let sight: page::Sight = serde_json::from_value(seen)
            .map_err(|error| drifted(format!("what the browser returns is not what was asked: {error}")))?;
        let page = sight.page(settings)?;
        check_place(visit, url, &page.url).map_err(|error| refused(&error))?;
        page.check_status().map_err(|error| refused(&error))?;
        if stillness.is_complete(&page, at) {
            return page.channels(settings, top).map_err(drifted);
        }
        if at >= settings.ranking_wait() {
            return Err(drifted(page.never_complete(settings)));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Checks that the browser is where it was sent, or where the host's `robots.txt` lets us be as well.
fn check_place(visit: &Visit, asked: &Url, place: &str) -> Result<(), String> {
    let place = Url::parse(place).map_err(|error| format!("it leads to '{place}': {error}"))?;
    if place.origin() != asked.origin() {
        return Err(format!("it leads to {place}, at another host: give that address if it has the ranking"));
    }
    visit.check(&place).map(drop)
}

fn failed(category: &str, url: &Url, what: &str) -> RankingError {
    RankingError::Failed(format!("the ranking of {category} at {url} is not read: {what}"))
}

/// Returns rankings as a list that `--channels` takes (see [`list`](crate::youtube::named_list)).
///
/// # Panics
/// Never: a buffer takes all.
#[must_use]
pub fn csv_of(ranked: &[Ranked]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for one in ranked {
        writer.serialize(one).expect("a buffer takes all");
    }
    writer.into_inner().expect("a buffer takes all")
}

#[cfg(test)]
mod tests {
    use crate::youtube::named_list::{self, ListFormat};

    use super::*;

    fn rankings(categories: &[&str], read_pages: bool) -> Result<Rankings, String> {
        let address = "https://example.org/top/{category}".parse().unwrap();
        let categories = categories.iter().map(|name| (*name).to_owned()).collect();
        Rankings::new(address, categories, Some(3), read_pages).map_err(|error| error.to_string())
    }

    #[test]
    fn rankings_are_of_categories_each_once_and_consented_to() {
        let read = rankings(&["games", " 먹방", "games"], true).unwrap();
        let names: Vec<&str> = read.categories.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["games", "먹방"]);
        let check = |categories: &[&str], read_pages, want: &str| {
            let error = rankings(categories, read_pages).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(&["games"], false, "--ranking reads pages of example.org");
        check(&["games"], false, "say --read-pages");
        check(&[".."], true, "no name of a category that a URL can hold");
        check(&["games=@one"], true, "a ranking wants its name alone");
        check(&[" "], true, "a ranking wants its name alone");
    }

    #[test]
    fn a_channel_of_two_rankings_is_of_the_first_and_ranks_stay() {
        let rankings = rankings(&["games", "food"], true).unwrap();
        let channels =
            |names: &[&str]| -> Vec<ChannelRef> { names.iter().map(|name| name.parse().unwrap()).collect() };
        let (mut known, mut ranked) = (HashMap::new(), Vec::new());
        let mut take =
            |category, names: &[&str]| rankings.take(category, &channels(names), &mut known, &mut ranked);
        assert_eq!(take("games", &["@one", "@two", "@three"]), "ranking games: 3 channels");
        assert_eq!(
            take("food", &["@two", "@four"]),
            "ranking food: 2 channels, of 3 that were asked for; @two is of games already"
        );
        let csv = String::from_utf8(csv_of(&ranked)).unwrap();
        assert_eq!(csv, "category,rank,channel\ngames,1,@one\ngames,2,@two\ngames,3,@three\nfood,2,@four\n");
    }

    #[test]
    fn what_is_printed_is_read_as_a_list_with_categories() {
        let ranked = [Ranked::new("a, \"b\"", 1, "@one"), Ranked::new("먹방", 1, "UCTwECeGqMZee77BjdoYtI2Q")];
        let csv = String::from_utf8(csv_of(&ranked)).unwrap();
        let lines: String = ranked.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect();
        for (text, format) in [(csv, ListFormat::Csv), (lines, ListFormat::JsonLines)] {
            let entries = named_list::read(&text, format).unwrap();
            let read: Vec<_> = entries.iter().map(|entry| entry.category.as_deref().unwrap()).collect();
            assert_eq!(read, ["a, \"b\"", "먹방"]);
        }
    }
}

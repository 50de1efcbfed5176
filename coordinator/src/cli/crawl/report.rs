//! Report of a crawl.

use std::collections::{BTreeMap, BTreeSet};

use common::store::State;
use serde::Serialize;

use crate::{
    api::{ItemView, SubmissionView},
    cli::{
        client::{Client, Pages},
        exit::CliError,
        follow::{origin, progress_text},
        output::{self, Format, counted, plain},
        table::table,
    },
};

/// Most succeeded items, and most failed items, in the text.
const LISTED: usize = 20;

#[derive(Serialize)]
pub(super) struct CrawlReport {
    #[serde(flatten)]
    pub(super) view: SubmissionView,
    pub(super) results: Vec<ItemView>,
}

/// Prints a crawl with all its items.
pub(in crate::cli) async fn show(
    client: &Client,
    format: Format,
    view: SubmissionView,
) -> Result<(), CliError> {
    let id = view.submission;
    let pages = Pages::new(async |cursor: Option<String>| client.results(id, cursor.as_deref(), false).await);
    let results = pages.all().await?;
    let report = CrawlReport { view, results };
    match format {
        Format::Table | Format::Csv => output::print(&report.text()),
        Format::Json | Format::Jsonl => output::print_json(format, &report),
    }
}

impl CrawlReport {
    fn text(&self) -> String {
        let Self { view, results } = self;
        let crawled: Vec<_> =
            results.iter().filter_map(|item| Some((item, item.crawled.as_ref()?))).collect();
        let sum = |count: fn(&common::job::outcome::Crawled) -> u64| -> u64 {
            crawled.iter().map(|(_, crawled)| count(crawled)).sum()
        };
        let mut lines = vec![
            format!("submission  {}, {}", view.submission, view.state),
            origin(view),
            format!("crawled     {} of {}", view.succeeded, counted(view.items, "item")),
            format!(
                "thumbnails  {}, {} unchanged since an earlier crawl",
                view.thumbnails.unwrap_or(0),
                sum(|crawled| crawled.unchanged)
            ),
        ];
        lines.extend(view.error.as_ref().map(|error| format!("error       {}", plain(error))));
        let mut skipped = BTreeMap::<&str, u64>::new();
        for (reason, videos) in crawled.iter().flat_map(|(_, crawled)| &crawled.skipped) {
            *skipped.entry(reason).or_default() += videos;
        }
        if !skipped.is_empty() {
            let reasons: Vec<String> =
                skipped.iter().map(|(reason, videos)| format!("{videos} {}", plain(reason))).collect();
            lines.push(format!("skipped     {}", reasons.join(", ")));
        }
        let truncated: BTreeSet<&str> =
            crawled.iter().filter_map(|(_, crawled)| crawled.truncated_reason.as_deref()).collect();
        lines.extend(truncated.iter().map(|reason| format!("truncated   {}", plain(reason))));
        lines.push(format!("time        {:.1} s", view.elapsed_seconds));
        if !crawled.is_empty() {
            let mut rows = table(&["channel", "videos›", "thumbnails›", "unchanged›", "part"])
                .optional(&["part", "unchanged"]);
            for (item, crawled) in crawled.iter().take(LISTED) {
                rows.add_row(vec![
                    plain(&item.item),
                    crawled.videos.to_string(),
                    crawled.thumbnails.to_string(),
                    crawled.unchanged.to_string(),
                    plain(&crawled.part),
                ]);
            }
            lines.push(rows.text());
            if crawled.len() > LISTED {
                lines.push(format!("… and {} more: use -o json", crawled.len() - LISTED));
            }
        }
        let failed: Vec<&ItemView> = results.iter().filter(|item| item.error.is_some()).collect();
        if !failed.is_empty() {
            lines.push(format!("failed      {}", failed.len()));
            for item in failed.iter().take(LISTED) {
                let reason = item.error.as_deref().unwrap_or_default();
                lines.push(format!("  {}: {}", plain(&item.item), plain(reason)));
            }
            if failed.len() > LISTED {
                lines.push(format!("  … and {} more: use -o json", failed.len() - LISTED));
            }
        }
        if matches!(view.state, State::Preparing | State::Running) {
            lines.push(progress_text(view));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use common::{job::outcome::Crawled, store::SubmissionKind};

    use super::*;
    use crate::api::ItemState;

    #[test]
    fn report_counts_skipped_videos_and_names_failed_channels() {
        let item = |item: &str, crawled: Option<Crawled>, error: Option<&str>| ItemView {
            item: item.to_owned(),
            state: if error.is_some() { ItemState::Failed } else { ItemState::Crawled },
            sha256: None,
            prediction: None,
            target: None,
            crawled,
            error: error.map(str::to_owned),
        };
        let crawled = Crawled {
            part: "UCTwECeGqMZee77BjdoYtI2Q".to_owned(),
            channel_id: Some("UCTwECeGqMZee77BjdoYtI2Q".to_owned()),
            videos: 40,
            thumbnails: 38,
            unchanged: 3,
            truncated_reason: None,
            skipped: [("live".to_owned(), 1), ("no thumbnail".to_owned(), 1)].into(),
        };
        let view = SubmissionView {
            kind: SubmissionKind::Crawl,
            state: State::CompletedWithErrors,
            items: 2,
            succeeded: 1,
            failed: 1,
            thumbnails: Some(38),
            elapsed_seconds: 41.0,
            items_per_second: 0.05,
            ..SubmissionView::example()
        };
        let gone = "unavailable: the channel was terminated";
        let results = vec![item("@one", Some(crawled), None), item("@two", None, Some(gone))];
        insta::assert_snapshot!(CrawlReport { view, results }.text(), @r"
        submission  01890a5d-ac96-774b-bcce-b302099a8057, completed with errors
        input       file:///data/set/, submitted 2025-11-25T07:00:00Z
        crawled     1 of 2 items
        thumbnails  38, 3 unchanged since an earlier crawl
        skipped     1 live, 1 no thumbnail
        time        41.0 s
        ──────────────────────────────────────────────────────────────────────
         channel   videos   thumbnails   unchanged   part
        ══════════════════════════════════════════════════════════════════════
         @one          40           38           3   UCTwECeGqMZee77BjdoYtI2Q
        ──────────────────────────────────────────────────────────────────────
        failed      1
          @two: unavailable: the channel was terminated
        ");
    }
}

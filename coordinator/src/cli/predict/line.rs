//! The output line of one image, and the ranking of all.

use common::ids::SubmissionId;
use dataset::target::Target;
use serde::Serialize;

use crate::{
    api::{ItemView, Page, SubmissionView},
    cli::{
        client::Client,
        exit::CliError,
        output::{digits, plain},
        table::table,
    },
};

/// A line, as JSON and as CSV. It has either a prediction or an error.
#[derive(Serialize)]
pub(in crate::cli) struct PredictionLine {
    /// 1 for the highest prediction; absent from exports, which are in the order of the submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    item: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<SubmissionId>,
    /// Absent if the image could not be submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<SubmissionId>,
}

/// Like [`PredictionLine`], with the same fields in every line, which CSV needs.
#[derive(Serialize)]
pub(in crate::cli) struct PredictionRow<'a> {
    rank: Option<usize>,
    item: &'a str,
    prediction: Option<f64>,
    target: Option<Target>,
    error: Option<&'a str>,
    run: Option<SubmissionId>,
    submission: Option<SubmissionId>,
}

impl PredictionLine {
    /// Makes the line of an image that could not be submitted.
    pub(super) fn failed(item: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            rank: None,
            item: item.into(),
            prediction: None,
            target: None,
            error: Some(error.into()),
            run: None,
            submission: None,
        }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.prediction.is_none()
    }

    /// Prepends `prefix` to the item's name.
    pub(super) fn with_prefix(mut self, prefix: &str) -> Self {
        self.item.insert_str(0, prefix);
        self
    }

    pub(in crate::cli) fn row(&self) -> PredictionRow<'_> {
        PredictionRow {
            rank: self.rank,
            item: &self.item,
            prediction: self.prediction,
            target: self.target,
            error: self.error.as_deref(),
            run: self.run,
            submission: self.submission,
        }
    }

    fn from_view(view: ItemView, submission: &SubmissionView) -> Self {
        let line = match (view.prediction, view.target) {
            (Some(prediction), Some(target)) => Self {
                prediction: Some(prediction),
                target: Some(target),
                error: None,
                ..Self::failed(view.item, "")
            },
            (Some(_), None) => Self::failed(view.item, "the run that predicted it no longer exists"),
            (None, _) => {
                let state = view.state;
                let pending = || format!("not predicted: the state of the item is {state}");
                Self::failed(view.item, view.error.unwrap_or_else(pending))
            }
        };
        Self { run: submission.run, submission: Some(submission.submission), ..line }
    }
}

/// Returns a page of the results of a predict submission, in its order.
pub(in crate::cli) async fn results(
    client: &Client,
    submission: &SubmissionView,
    cursor: Option<String>,
) -> Result<Page<PredictionLine>, CliError> {
    let page = client.results(submission.submission, cursor.as_deref(), false).await?;
    let lines = page.items.into_iter().map(|view| PredictionLine::from_view(view, submission));
    Ok(Page { items: lines.collect(), next: page.next })
}

/// Ranks the highest prediction first. Equal predictions and failed images, which are last, keep their order.
pub(super) fn rank(lines: &mut [PredictionLine]) {
    let key = |line: &PredictionLine| line.prediction.unwrap_or(f64::NEG_INFINITY);
    lines.sort_by(|a, b| a.is_failed().cmp(&b.is_failed()).then(key(b).total_cmp(&key(a))));
    for (index, line) in lines.iter_mut().enumerate().filter(|(_, line)| !line.is_failed()) {
        line.rank = Some(index + 1);
    }
}

pub(super) fn text(lines: &[PredictionLine]) -> String {
    let target = lines.iter().find_map(|line| line.target);
    let heading = target.map_or_else(|| "prediction".to_owned(), |target| target.name().replace('-', " "));
    let mut predictions = table(&["rank›", "image", &format!("{heading}›")]);
    for line in lines {
        let rank = line.rank.map_or_else(|| "–".to_owned(), |rank| rank.to_string());
        let error = || plain(line.error.as_deref().unwrap_or_default());
        predictions.add_row(vec![rank, plain(&line.item), line.prediction.map_or_else(error, digits)]);
    }
    predictions.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output;

    const RUN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn example() -> Vec<PredictionLine> {
        let predicted = |item: &str, prediction| PredictionLine {
            prediction: Some(prediction),
            target: Some(Target::ViewsPerSubscriber),
            error: None,
            run: RUN.parse().ok(),
            ..PredictionLine::failed(item, "")
        };
        let mut lines = vec![
            PredictionLine::failed("b.jpg", "empty: the file has 0 bytes"),
            predicted("c.jpg", 0.5),
            predicted("a.jpg", 1.25),
            PredictionLine::failed("a,\"b\".jpg", "missing"),
            predicted("d.jpg", 0.5),
        ];
        rank(&mut lines);
        lines
    }

    #[test]
    fn each_line_has_a_prediction_or_an_error() {
        let lines: Vec<String> = example().iter().map(|line| serde_json::to_string(line).unwrap()).collect();
        let predicted = format!(
            r#"{{"rank":1,"item":"a.jpg","prediction":1.25,"target":"views-per-subscriber","run":"{RUN}"}}"#
        );
        assert_eq!(lines[0], predicted);
        assert_eq!(lines[3], r#"{"item":"b.jpg","error":"empty: the file has 0 bytes"}"#);
    }

    #[test]
    fn csv_has_the_same_columns_in_every_line() {
        let lines = example();
        let rows: Vec<PredictionRow<'_>> = lines.iter().map(PredictionLine::row).collect();
        let text = String::from_utf8(output::csv(&rows, true)).unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "rank,item,prediction,target,error,run,submission",
                &format!("1,a.jpg,1.25,views-per-subscriber,,{RUN},"),
                &format!("2,c.jpg,0.5,views-per-subscriber,,{RUN},"),
                &format!("3,d.jpg,0.5,views-per-subscriber,,{RUN},"),
                ",b.jpg,,,empty: the file has 0 bytes,,",
                ",\"a,\"\"b\"\".jpg\",,,missing,,",
            ]
        );
    }

    #[test]
    fn table_ranks_the_predictions_and_shows_the_errors() {
        insta::assert_snapshot!(text(&example()), @r#"
        ────────────────────────────────────────────────
         rank   image              views per subscriber
        ════════════════════════════════════════════════
            1   a.jpg                             1.250
            2   c.jpg                            0.5000
            3   d.jpg                            0.5000
            –   b.jpg       empty: the file has 0 bytes
            –   a,"b".jpg                       missing
        ────────────────────────────────────────────────
        "#);
    }
}

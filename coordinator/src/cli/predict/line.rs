//! The output line of one image.

use common::ids::SubmissionId;
use serde::Serialize;

use crate::{
    api::{ItemView, Page},
    cli::{
        client::Client,
        exit::CliError,
        output::{digits, plain},
        table::table,
    },
};

#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::cli) enum PredictionLine {
    Predicted { item: String, prediction: f64, target: String },
    Failed { item: String, error: String },
}

impl PredictionLine {
    pub(super) fn failed(item: impl Into<String>, error: impl Into<String>) -> Self {
        Self::Failed { item: item.into(), error: error.into() }
    }

    /// Prepends `prefix` to the item's name.
    pub(super) fn with_prefix(mut self, prefix: &str) -> Self {
        let (Self::Predicted { item, .. } | Self::Failed { item, .. }) = &mut self;
        item.insert_str(0, prefix);
        self
    }

    fn from_view(view: ItemView) -> Self {
        match (view.prediction, view.target) {
            (Some(prediction), Some(target)) => {
                Self::Predicted { item: view.item, prediction, target: target.to_string() }
            }
            (Some(_), None) => Self::failed(view.item, "the run that predicted it no longer exists"),
            (None, _) => Self::failed(
                view.item,
                view.error
                    .unwrap_or_else(|| format!("not predicted: the state of the item is {}", view.state)),
            ),
        }
    }
}

/// Returns a page of the results of a predict submission.
pub(in crate::cli) async fn results(
    client: &Client,
    id: SubmissionId,
    cursor: Option<String>,
) -> Result<Page<PredictionLine>, CliError> {
    let page = client.results(id, cursor.as_deref(), false).await?;
    Ok(Page { items: page.items.into_iter().map(PredictionLine::from_view).collect(), next: page.next })
}

pub(super) fn text(lines: &[PredictionLine]) -> String {
    let target = lines.iter().find_map(|line| match line {
        PredictionLine::Predicted { target, .. } => Some(target.replace('-', " ")),
        PredictionLine::Failed { .. } => None,
    });
    let heading = format!("{}›", target.unwrap_or_else(|| "prediction".to_owned()));
    let mut predictions = table(&["image", heading.as_str()]);
    for line in lines {
        match line {
            PredictionLine::Predicted { item, prediction, .. } => {
                predictions.add_row(vec![plain(item), digits(*prediction)]);
            }
            PredictionLine::Failed { item, error } => {
                predictions.add_row(vec![plain(item), plain(error)]);
            }
        }
    }
    predictions.text()
}

pub(super) fn json_line(line: &PredictionLine) -> String {
    serde_json::to_string(line).expect("a view is plain data") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<PredictionLine> {
        vec![
            PredictionLine::Predicted {
                item: "a.jpg".to_owned(),
                prediction: 1.25,
                target: "views-per-subscriber".to_owned(),
            },
            PredictionLine::failed("b.jpg", "empty: the file has 0 bytes"),
        ]
    }

    #[test]
    fn lines_keep_their_json_shape() {
        let lines: String = example().iter().map(json_line).collect();
        assert_eq!(
            lines.lines().collect::<Vec<_>>(),
            [
                r#"{"item":"a.jpg","prediction":1.25,"target":"views-per-subscriber"}"#,
                r#"{"item":"b.jpg","error":"empty: the file has 0 bytes"}"#
            ]
        );
    }

    #[test]
    fn table_names_the_target_and_the_errors() {
        insta::assert_snapshot!(text(&example()), @r"
        ─────────────────────────────────────
         image          views per subscriber
        ═════════════════════════════════════
         a.jpg                         1.250
         b.jpg   empty: the file has 0 bytes
        ─────────────────────────────────────
        ");
    }
}

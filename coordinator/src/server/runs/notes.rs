//! What to know before relying on a run's metrics and predictions, as sentences.

use super::record::{RunReport, TestRecord};

/// Below this number of test samples, metrics depend on chance.
const SMALL_TEST: u64 = 20;

pub(super) fn notes(report: &RunReport) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(grouping) = &report.grouping {
        notes.extend(grouping.fallback.clone());
        if grouping.divided_channels > 0 {
            notes.push(format!(
                "{} of {} channels are in more than one split: for new channels, expect larger errors than in the test",
                grouping.divided_channels, grouping.channels
            ));
        }
    }
    if let Some(split) = report.split.filter(|split| split.test < SMALL_TEST) {
        let plural = if split.test == 1 { "" } else { "s" };
        notes.push(format!(
            "the test split has {} sample{plural}: with fewer than {SMALL_TEST}, the metrics depend on chance",
            split.test
        ));
    }
    notes.extend(report.test.as_ref().and_then(unsound));
    if report.random_weights {
        notes.push(
            "the embeddings are those of random weights, for a first look only: use pretrained weights to predict"
                .to_owned(),
        );
    }
    notes
}

/// Returns why a run does not predict better than the mean.
fn unsound(test: &TestRecord) -> Option<String> {
    match test.ratio() {
        Some(ratio) if ratio < 1.0 => None,
        Some(ratio) => Some(format!(
            "test MSE ÷ baseline is {}: the run predicts no better than the mean of the training split",
            if ratio < 1e4 { format!("{ratio:.3}") } else { format!("{ratio:.2e}") }
        )),
        None => {
            Some("test MSE ÷ baseline is not a finite number: the test says nothing about the run".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use dataset::split::SplitBy;

    use super::*;
    use crate::server::runs::{GroupingRecord, RawErrors, SplitRecord};

    fn report(test: u64, mse: f64, divided_channels: u64) -> RunReport {
        RunReport {
            split: Some(SplitRecord { train: 60, valid: 20, test }),
            grouping: Some(GroupingRecord {
                split_by: SplitBy::Video,
                fallback: None,
                groups: 100,
                channels: 5,
                divided_channels,
                images: 100,
                divided_images: 0,
            }),
            test: Some(TestRecord {
                mse,
                mae: 1.0,
                r2: 0.0,
                spearman: 0.0,
                baseline_mse: 2.0,
                raw: RawErrors { mse: 1.0, mae: 1.0, baseline_mse: 1.0 },
            }),
            ..RunReport::default()
        }
    }

    #[test]
    fn notes_name_what_misleads() {
        assert_eq!(notes(&report(20, 1.0, 0)), [""; 0]);
        assert_eq!(notes(&RunReport::default()), [""; 0]);
        let all = RunReport { random_weights: true, ..report(1, 2.8e10, 3) };
        let starts = [
            "3 of 5 channels are in more than one split",
            "the test split has 1 sample: with fewer than 20",
            "test MSE ÷ baseline is 1.40e10: the run predicts no better",
            "the embeddings are those of random weights",
        ];
        let found = notes(&all);
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (note, start) in found.iter().zip(starts) {
            assert!(note.starts_with(start), "{note}");
        }
        let infinite = notes(&report(20, f64::INFINITY, 0));
        assert!(infinite[0].contains("not a finite number"), "{infinite:?}");
    }
}

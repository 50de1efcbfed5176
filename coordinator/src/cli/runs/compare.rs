//! `subwatch runs compare`: the settings that differ, and the metrics side by side.

use serde::Serialize;

use crate::{
    api::RunView,
    cli::{
        client::Client,
        exit::{CliError, Exit},
        output::{self, Format, digits, plain},
        table::table,
        train::report::{split_by, tags},
    },
};

#[derive(Serialize)]
struct Comparison<'a> {
    runs: [&'a RunView; 2],
    /// Settings with different values.
    settings: Vec<Setting>,
    metrics: Vec<Metric>,
    /// Why metrics cannot be compared, and what to know about each run.
    notes: Vec<String>,
}

/// Values are null if they are absent.
#[derive(Serialize)]
struct Setting {
    setting: &'static str,
    a: Option<String>,
    b: Option<String>,
}

/// Values are null if they are not finite as well.
#[derive(Serialize)]
struct Metric {
    metric: &'static str,
    a: Option<f64>,
    b: Option<f64>,
}

/// A setting or metric as a line of CSV.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    name: &'static str,
    a: &'a str,
    b: &'a str,
}

const BEST_EPOCH: &str = "best epoch";

pub(super) async fn run(client: &Client, format: Format, a: &str, b: &str) -> Result<Exit, CliError> {
    let (a, b) = (client.named_run(a).await?, client.named_run(b).await?);
    let comparison = compare(&a, &b);
    if format != Format::Json && format != Format::Jsonl {
        comparison.notes.iter().for_each(|note| output::note(note));
    }
    match format {
        Format::Csv => print_csv(&comparison)?,
        _ => output::print_value(format, &comparison, text)?,
    }
    Ok(Exit::Done)
}

fn compare<'a>(a: &'a RunView, b: &'a RunView) -> Comparison<'a> {
    let settings = settings(a).into_iter().zip(settings(b)).filter(|((_, a), (_, b))| a != b);
    let settings = settings.map(|((setting, a), (_, b))| Setting { setting, a, b }).collect();
    let metrics = metrics(a).into_iter().zip(metrics(b));
    let metrics =
        metrics.map(|((metric, a), (_, b))| Metric { metric, a: finite(a), b: finite(b) }).collect();
    Comparison { runs: [a, b], settings, metrics, notes: notes(a, b) }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn settings(run: &RunView) -> Vec<(&'static str, Option<String>)> {
    let request = &run.request;
    let split = run.split.map(|split| format!("{}/{}/{}", split.train, split.valid, split.test));
    vec![
        ("name", request.name.clone()),
        ("tags", Some(tags(run)).filter(|tags| !tags.is_empty())),
        ("state", Some(run.state.to_string())),
        ("dataset", Some(request.dataset.clone())),
        ("target", Some(request.target.to_string())),
        ("transform", Some(request.transform.to_string())),
        ("learning rate", Some(request.learning_rate.to_string())),
        ("epochs", Some(request.epochs.to_string())),
        ("batch size", Some(request.batch_size.to_string())),
        ("seed", Some(request.seed.to_string())),
        ("leaves", Some(request.leaves.to_string())),
        ("split by", split_by(run).map(|by| by.to_string())),
        ("train/valid/test", split),
        ("embedding space", run.space.clone()),
    ]
}

fn metrics(run: &RunView) -> Vec<(&'static str, Option<f64>)> {
    let test = run.test.as_ref();
    let best = run.epochs.iter().find(|epoch| Some(epoch.epoch) == run.best_epoch);
    vec![
        (BEST_EPOCH, run.best_epoch.map(f64::from)),
        ("valid MSE", best.map(|epoch| epoch.valid_mse)),
        ("test MSE", test.map(|test| test.mse)),
        ("baseline MSE", test.map(|test| test.baseline_mse)),
        ("test MSE ÷ baseline", run.ratio),
        ("MAE", test.map(|test| test.mae)),
        ("R²", test.map(|test| test.r2)),
        ("Spearman", test.map(|test| test.spearman)),
        ("MSE, raw units", test.map(|test| test.raw.mse)),
        ("MAE, raw units", test.map(|test| test.raw.mae)),
        ("seconds", Some(run.elapsed_seconds)),
    ]
}

fn notes(a: &RunView, b: &RunView) -> Vec<String> {
    let (of_a, of_b) = (&a.request, &b.request);
    let mut notes = Vec::new();
    if of_a.target != of_b.target {
        notes.push(format!(
            "the runs predict different targets, {} and {}: their errors cannot be compared",
            of_a.target, of_b.target
        ));
    } else if of_a.transform != of_b.transform {
        notes.push("the transforms differ: only errors in raw units and Spearman can be compared".to_owned());
    }
    let samples = |run: &RunView| (run.request.dataset.clone(), run.request.seed, run.split, split_by(run));
    if samples(a) != samples(b) {
        notes.push("the runs were tested on different samples: compare test MSE ÷ baseline".to_owned());
    }
    for (name, run) in [("a", a), ("b", b)] {
        notes.extend(run.notes.iter().map(|note| format!("{name}: {note}")));
    }
    notes
}

fn text(comparison: &Comparison<'_>) -> String {
    let [a, b] = comparison.runs.map(|run| run.run.to_string());
    let mut settings = table(&["setting", "a", "b"]);
    for Setting { setting, a, b } in &comparison.settings {
        let value = |value: &Option<String>| plain(value.as_deref().unwrap_or("–"));
        settings.add_row(vec![(*setting).to_owned(), value(a), value(b)]);
    }
    let mut metrics = table(&["metric", "a›", "b›"]);
    for Metric { metric, a, b } in &comparison.metrics {
        let value = |value: &Option<f64>| match value {
            Some(epoch) if *metric == BEST_EPOCH => epoch.to_string(),
            value => digits(value.unwrap_or(f64::NAN)),
        };
        metrics.add_row(vec![(*metric).to_owned(), value(a), value(b)]);
    }
    let settings = match comparison.settings.is_empty() {
        true => "the settings are equal".to_owned(),
        false => settings.text(),
    };
    format!("a  {a}\nb  {b}\n{settings}\n{}", metrics.text())
}

fn print_csv(comparison: &Comparison<'_>) -> Result<(), CliError> {
    let [a, b] = comparison.runs.map(|run| run.run.to_string());
    let value = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let values: Vec<(String, String)> =
        comparison.metrics.iter().map(|metric| (value(metric.a), value(metric.b))).collect();
    let mut lines = vec![Line { kind: "setting", name: "run", a: &a, b: &b }];
    lines.extend(comparison.settings.iter().map(|of| Line {
        kind: "setting",
        name: of.setting,
        a: of.a.as_deref().unwrap_or_default(),
        b: of.b.as_deref().unwrap_or_default(),
    }));
    let metrics = comparison.metrics.iter().zip(&values);
    lines.extend(metrics.map(|(of, (a, b))| Line { kind: "metric", name: of.metric, a, b }));
    output::print_csv(&lines, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::runs::tests::example;

    #[test]
    fn differing_settings_and_all_metrics_are_compared() {
        let (a, mut b) = (example("wide"), example("narrow"));
        b.request.learning_rate = 0.01;
        b.ratio = None;
        insta::assert_snapshot!(text(&compare(&a, &b)), @r"
        a  01890a5d-ac96-774b-bcce-b302099a8057
        b  01890a5d-ac96-774b-bcce-b302099a8057
        ────────────────────────────────
         setting         a       b
        ════════════════════════════════
         name            wide    narrow
         learning rate   0.001   0.01
        ────────────────────────────────
        ───────────────────────────────────────
         metric                     a        b
        ═══════════════════════════════════════
         best epoch                 1        1
         valid MSE              2.500    2.500
         test MSE               1.500    1.500
         baseline MSE           2.000    2.000
         test MSE ÷ baseline   0.7500        –
         MAE                    1.250    1.250
         R²                    0.2500   0.2500
         Spearman                   –        –
         MSE, raw units             –        –
         MAE, raw units         7.000    7.000
         seconds                2.000    2.000
        ───────────────────────────────────────
        ");
        let names: Vec<&str> = compare(&a, &b).settings.iter().map(|setting| setting.setting).collect();
        assert_eq!(names, ["name", "learning rate"]);
    }

    #[test]
    fn notes_say_what_cannot_be_compared() {
        let (a, mut b) = (example("a"), example("b"));
        let check = |b: &RunView, expected: &[&str]| {
            let notes = notes(&a, b);
            assert_eq!(notes.len(), expected.len(), "{notes:?}");
            for (note, expected) in notes.iter().zip(expected) {
                assert!(note.contains(expected), "{note}");
            }
        };
        check(&b, &[]);
        b.request.transform = dataset::target::Transform::None;
        check(&b, &["the transforms differ"]);
        b.request.target = dataset::target::Target::Views;
        b.request.seed = 1;
        b.notes = vec!["the test split has 1 sample".to_owned()];
        check(
            &b,
            &["different targets, views-per-subscriber and views", "different samples", "b: the test split"],
        );
    }
}

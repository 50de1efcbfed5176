//! `subwatch runs`: lists runs, and compares two of them (`compare`).

mod compare;

use clap::{Args, Subcommand, builder::RangedU64ValueParser};
use common::{ids::SubmissionId, store::State};
use dataset::{
    split::SplitBy,
    target::{Target, Transform},
};
use serde::Serialize;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, digits, plain, time_text},
    table::{Table, table},
    train::{
        parse_tag,
        report::{split_by, tags},
    },
};
use crate::api::RunView;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArguments {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    /// List at most N runs, newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: usize,
    /// List only runs with this tag; repeatable.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

#[derive(Subcommand)]
enum RunsCommand {
    /// Compare the settings and the test metrics of two runs.
    Compare {
        /// Run ID or name, `latest` or `best`.
        a: String,
        /// Run ID or name, `latest` or `best`.
        b: String,
    },
}

pub(super) async fn run(client: &Client, format: Format, arguments: RunsArguments) -> Result<Exit, CliError> {
    if let Some(RunsCommand::Compare { a, b }) = &arguments.command {
        return compare::run(client, format, a, b).await;
    }
    let has_tags = |run: &RunView| {
        arguments.tags.iter().all(|(key, value)| run.request.tags.get(key).is_some_and(|of| of == value))
    };
    let runs = client.runs(arguments.limit, has_tags).await?;
    if format == Format::Csv {
        output::print_csv(&runs.iter().map(RunRow::from).collect::<Vec<_>>(), true)?;
        return Ok(Exit::Done);
    }
    let is_filtered = !arguments.tags.is_empty();
    output::print_values(format, &runs, |runs| text(runs, is_filtered))?;
    Ok(Exit::Done)
}

fn text(runs: &[RunView], is_filtered: bool) -> String {
    if runs.is_empty() {
        return match is_filtered {
            true => "no run has these tags".to_owned(),
            false => "no runs yet: start one with `subwatch train DATASET`".to_owned(),
        };
    }
    list(runs).text()
}

fn list(runs: &[RunView]) -> Table {
    let mut rows = table(&[
        "run",
        "name",
        "state",
        "÷ baseline›",
        "Spearman›",
        "target",
        "dataset",
        "created",
        "transform",
        "learning rate›",
        "epochs›",
        "seed›",
        "split by",
        "tags",
    ])
    .optional(&[
        "tags",
        "split by",
        "seed",
        "epochs",
        "learning rate",
        "transform",
        "created",
        "Spearman",
        "dataset",
        "target",
        "name",
    ]);
    for run in runs {
        let request = &run.request;
        let test = run.test.as_ref();
        rows.add_row(vec![
            run.run.to_string(),
            plain(request.name.as_deref().unwrap_or("–")),
            run.state.to_string(),
            digits(run.ratio.unwrap_or(f64::NAN)),
            digits(test.map_or(f64::NAN, |test| test.spearman)),
            request.target.to_string(),
            plain(&request.dataset),
            time_text(run.created_ms),
            request.transform.to_string(),
            request.learning_rate.to_string(),
            request.epochs.to_string(),
            request.seed.to_string(),
            split_by(run).map_or_else(|| "–".to_owned(), |by| by.to_string()),
            plain(&tags(run)),
        ]);
    }
    rows
}

/// A run as a line of CSV. Metrics that are not finite are empty.
#[derive(Serialize)]
struct RunRow<'a> {
    run: SubmissionId,
    name: Option<&'a str>,
    state: State,
    created: String,
    dataset: &'a str,
    target: Target,
    transform: Transform,
    learning_rate: f64,
    epochs: u32,
    batch_size: u32,
    seed: u64,
    split_by: Option<SplitBy>,
    groups: Option<u64>,
    train: Option<u64>,
    valid: Option<u64>,
    test: Option<u64>,
    best_epoch: Option<u32>,
    test_mse: Option<f64>,
    baseline_mse: Option<f64>,
    ratio: Option<f64>,
    mae: Option<f64>,
    r2: Option<f64>,
    spearman: Option<f64>,
    elapsed_seconds: f64,
    tags: String,
}

impl<'a> From<&'a RunView> for RunRow<'a> {
    fn from(view: &'a RunView) -> Self {
        let request = &view.request;
        let test = view.test.as_ref();
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        Self {
            run: view.run,
            name: request.name.as_deref(),
            state: view.state,
            created: time_text(view.created_ms),
            dataset: &request.dataset,
            target: request.target,
            transform: request.transform,
            learning_rate: request.learning_rate,
            epochs: request.epochs,
            batch_size: request.batch_size,
            seed: request.seed,
            split_by: split_by(view),
            groups: view.grouping.as_ref().map(|grouping| grouping.groups),
            train: view.split.map(|split| split.train),
            valid: view.split.map(|split| split.valid),
            test: view.split.map(|split| split.test),
            best_epoch: view.best_epoch,
            test_mse: finite(test.map(|test| test.mse)),
            baseline_mse: finite(test.map(|test| test.baseline_mse)),
            ratio: finite(view.ratio),
            mae: finite(test.map(|test| test.mae)),
            r2: finite(test.map(|test| test.r2)),
            spearman: finite(test.map(|test| test.spearman)),
            elapsed_seconds: view.elapsed_seconds,
            tags: tags(view),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns a run whose Spearman is undefined.
    pub(super) fn example(name: &str) -> RunView {
        let view = json!({
            "run": "01890a5d-ac96-774b-bcce-b302099a8057",
            "state": "succeeded",
            "progress": "",
            "fraction": 1.0,
            "created_ms": 1_764_054_000_000_u64,
            "request": {"dataset": "/data", "name": name, "tags": {"k": "v, w", "a": "b"}},
            "split": {"train": 60, "valid": 20, "test": 20},
            "grouping": {
                "split_by": "channel", "groups": 20, "channels": 20, "divided_channels": 0, "images": 100,
                "divided_images": 0,
            },
            "skipped": [],
            "epochs": [{"epoch": 1, "train_mse": 3.0, "valid_mse": 2.5, "seconds": 0.5}],
            "best_epoch": 1,
            "test": {
                "mse": 1.5, "mae": 1.25, "r2": 0.25, "spearman": null, "baseline_mse": 2.0,
                "raw": {"mse": null, "mae": 7.0, "baseline_mse": 4.0},
            },
            "ratio": 0.75,
            "elapsed_seconds": 2.0,
        });
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn list_shows_settings_and_undefined_metrics() {
        let text = list(&[example("wide")]).text_for(300);
        for cell in ["wide", "0.7500", "–", "2025-11-25T07:00:00Z", "0.001", "channel", "a=b, k=v, w"] {
            assert!(text.contains(cell), "{cell} not found in {text}");
        }
    }

    #[test]
    fn csv_leaves_undefined_metrics_empty() {
        let view = example("a \"wide\" one");
        let text = String::from_utf8(output::csv(&[RunRow::from(&view)], true)).unwrap();
        assert_eq!(
            text,
            "run,name,state,created,dataset,target,transform,learning_rate,epochs,batch_size,seed,split_by,groups,\
             train,valid,test,best_epoch,test_mse,baseline_mse,ratio,mae,r2,spearman,elapsed_seconds,tags\n\
             01890a5d-ac96-774b-bcce-b302099a8057,\"a \"\"wide\"\" one\",succeeded,2025-11-25T07:00:00Z,/data,\
             views-per-subscriber,log1p,0.001,10,50,0,channel,20,60,20,20,1,1.5,2.0,0.75,1.25,0.25,,2.0,\
             \"a=b, k=v, w\"\n"
        );
    }
}

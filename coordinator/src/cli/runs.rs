//! `subwatch runs`.

use clap::Args;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, digits, plain},
    table::table,
};
use crate::api::RunView;

#[derive(Args)]
pub(super) struct RunsArguments {
    /// List at most N runs, newest first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

pub(super) async fn run(client: &Client, format: Format, arguments: RunsArguments) -> Result<Exit, CliError> {
    let runs = client.runs(arguments.limit).await?;
    output::print_values(format, &runs, runs_text)?;
    Ok(Exit::Done)
}

fn runs_text(runs: &[RunView]) -> String {
    if runs.is_empty() {
        return "no runs yet: start one with `subwatch train DATASET`".to_owned();
    }
    let mut rows =
        table(&["run", "state", "target", "dataset", "images›", "test MSE›", "÷ baseline›", "seconds›"]);
    for run in runs {
        let images = run.split.map_or(0, |split| split.train + split.valid + split.test);
        let test = run.test.as_ref();
        rows.add_row(vec![
            run.run.to_string().into(),
            run.state.to_string().into(),
            run.request.target.to_string().into(),
            plain(&run.request.dataset).into(),
            images.to_string().into(),
            test.map_or_else(|| "–".into(), |test| digits(test.mse)),
            test.map_or_else(|| "–".into(), |test| digits(test.mse / test.baseline_mse)),
            format!("{:.1}", run.elapsed_seconds).into(),
        ]);
    }
    rows.text()
}

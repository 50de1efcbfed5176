//! Printing predictions in the order in which their images were named.

use super::{
    line::{PredictionLine, json_line, results, text},
    submit::PredictPart,
};
use crate::cli::{
    client::{Client, Pages},
    exit::{CliError, Exit},
    json_array::JsonArray,
    output::{self, Format},
};

/// Prints the items of a part in the order they were named in; without a submission that has ended, only those that
/// did not reach the coordinator.
pub(super) async fn part(client: &Client, part: PredictPart, printer: &mut Printer) -> Result<(), CliError> {
    let mut unsent = part.unsent.into_iter().peekable();
    let mut at = 0;
    if let Some(view) = &part.submission {
        let id = view.submission;
        let mut pages = Pages::new(async |cursor| results(client, id, cursor).await);
        while let Some(page) = pages.next().await? {
            let mut lines = Vec::with_capacity(page.len());
            for line in page {
                while let Some((_, line)) = unsent.next_if(|(place, _)| *place == at) {
                    lines.push(line);
                    at += 1;
                }
                lines.push(line.below(&part.prefix));
                at += 1;
            }
            printer.add(lines)?;
        }
    }
    printer.add(unsent.map(|(_, line)| line).collect())
}

/// Prints lines: as they come for programs, as one table for people.
pub(super) struct Printer {
    format: Format,
    array: JsonArray,
    table: Vec<PredictionLine>,
    exit: Exit,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, array: JsonArray::new(format, 0), table: Vec::new(), exit: Exit::Done }
    }

    fn add(&mut self, lines: Vec<PredictionLine>) -> Result<(), CliError> {
        if lines.iter().any(|line| matches!(line, PredictionLine::Failed { .. })) {
            self.exit = Exit::FailedItems;
        }
        let text: String = match self.format {
            Format::Table => {
                self.table.extend(lines);
                return Ok(());
            }
            Format::Json => lines.iter().map(|line| self.array.element(line)).collect(),
            Format::Jsonl => lines.iter().map(json_line).collect(),
        };
        output::print_bytes(text.as_bytes())
    }

    pub(super) fn finish(self) -> Result<Exit, CliError> {
        match self.format {
            Format::Table => output::print(&text(&self.table))?,
            Format::Json => output::print(&self.array.end())?,
            Format::Jsonl => {}
        }
        Ok(self.exit)
    }
}

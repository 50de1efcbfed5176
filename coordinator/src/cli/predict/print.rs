//! Prints predictions in the order of the arguments.

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

/// Prints the items of a part in order. Without a finished submission, prints only images that could not be uploaded.
pub(super) async fn part(client: &Client, part: PredictPart, printer: &mut Printer) -> Result<(), CliError> {
    let mut unsent = part.unsent.into_iter().peekable();
    let mut position = 0;
    if let Some(view) = &part.submission {
        let id = view.submission;
        let mut pages = Pages::new(async |cursor| results(client, id, cursor).await);
        while let Some(page) = pages.next().await? {
            let mut lines = Vec::with_capacity(page.len());
            for line in page {
                while let Some((_, line)) = unsent.next_if(|(unsent, _)| *unsent == position) {
                    lines.push(line);
                    position += 1;
                }
                lines.push(line.with_prefix(&part.prefix));
                position += 1;
            }
            printer.add(lines)?;
        }
    }
    printer.add(unsent.map(|(_, line)| line).collect())
}

/// Prints JSON line by line, and tables at the end.
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

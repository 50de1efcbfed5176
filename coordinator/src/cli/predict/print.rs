//! Prints all predictions, the highest first.

use super::{
    line::{PredictionLine, rank, results, text},
    submit::PredictPart,
};
use crate::cli::{
    client::{Client, Pages},
    exit::{CliError, Exit},
    json_array::JsonArray,
    output::{self, Format},
};

/// Lines per write.
const CHUNK: usize = 1024;

/// Adds the items of a part in order. Without a finished submission, adds only images that could not be uploaded.
pub(super) async fn part(client: &Client, part: PredictPart, printer: &mut Printer) -> Result<(), CliError> {
    let mut unsent = part.unsent.into_iter().peekable();
    let mut position = 0;
    if let Some(view) = &part.submission {
        let mut pages = Pages::new(async |cursor| results(client, view, cursor).await);
        while let Some(page) = pages.next().await? {
            for line in page {
                while let Some((_, line)) = unsent.next_if(|(unsent, _)| *unsent == position) {
                    printer.lines.push(line);
                    position += 1;
                }
                printer.lines.push(line.with_prefix(&part.prefix));
                position += 1;
            }
        }
    }
    printer.lines.extend(unsent.map(|(_, line)| line));
    Ok(())
}

/// Collects the lines of all parts, since their order is known at the end.
pub(super) struct Printer {
    format: Format,
    lines: Vec<PredictionLine>,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, lines: Vec::new() }
    }

    /// Prints the ranked lines and returns the exit code.
    pub(super) fn finish(self) -> Result<Exit, CliError> {
        let Self { format, mut lines } = self;
        rank(&mut lines);
        if format == Format::Table {
            output::print(&text(&lines))?;
        }
        let mut array = JsonArray::new(format, 0);
        for (number, chunk) in lines.chunks(CHUNK).enumerate() {
            match format {
                Format::Table => {}
                Format::Json => {
                    let text: String = chunk.iter().map(|line| array.element(line)).collect();
                    output::print_bytes(text.as_bytes())?;
                }
                Format::Jsonl => chunk.iter().try_for_each(|line| output::print_json(format, line))?,
                Format::Csv => {
                    let rows: Vec<_> = chunk.iter().map(PredictionLine::row).collect();
                    output::print_csv(&rows, number == 0)?;
                }
            }
        }
        if format == Format::Json {
            output::print(&array.end())?;
        }
        Ok(if lines.iter().any(PredictionLine::is_failed) { Exit::FailedItems } else { Exit::Done })
    }
}

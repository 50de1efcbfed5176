//! `subwatch token`.

use clap::{Subcommand, ValueEnum, builder::PossibleValue};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{
    exit::{CliError, Exit},
    output::{self, Format},
};
use crate::{api::Scope, server::tokens::NewToken};

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token; prints it to standard output and its line for SUBWATCH_TOKENS_FILE to standard error.
    New {
        /// Name of the holder; appears in the coordinator's log.
        #[arg(long)]
        name: String,
        /// Access to grant; each scope includes those before it.
        #[arg(long, value_enum)]
        scope: Scope,
    },
}

impl ValueEnum for Scope {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Read => "Read everything",
            Self::Submit => "Submit, upload images, cancel and resume",
            Self::Admin => "Requeue or purge dead letters, drop spaces, end back-offs",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

#[derive(Serialize)]
struct NewTokenOutput<'a> {
    name: &'a str,
    scope: String,
    token: &'a str,
    line: String,
}

pub(super) fn run(format: Format, command: &TokenCommand) -> Result<Exit, CliError> {
    let TokenCommand::New { name, scope } = command;
    let new = NewToken::random(name, *scope).map_err(|message| CliError::new(Exit::Usage, message))?;
    let (token, line) = (new.secret.expose_secret(), new.token.to_string());
    match format {
        Format::Table | Format::Csv => {
            output::print(token)?;
            output::note("this token is shown only once: set SUBWATCH_TOKEN to it");
            output::note("add this line to the coordinator's SUBWATCH_TOKENS_FILE:");
            output::note(&line);
        }
        Format::Json | Format::Jsonl => {
            output::print_json(format, &NewTokenOutput { name, scope: scope.to_string(), token, line })?;
        }
    }
    Ok(Exit::Done)
}

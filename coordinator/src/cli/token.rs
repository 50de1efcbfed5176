//! `subwatch token`: access tokens for the API.

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
    /// Make a token: it is printed once, on standard output, and the line for SUBWATCH_TOKENS_FILE on standard error.
    New {
        /// Whose it is; the coordinator logs it.
        #[arg(long)]
        name: String,
        /// What its holder may do; each includes those before it.
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
            Self::Read => "Look at everything",
            Self::Submit => "Submit work, upload images and cancel",
            Self::Admin => "Destroy what cannot be had back",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// What `token new` prints for programs.
#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    scope: String,
    token: &'a str,
    line: String,
}

pub(super) fn run(format: Format, command: &TokenCommand) -> Result<Exit, CliError> {
    let TokenCommand::New { name, scope } = command;
    let made = NewToken::random(name, *scope).map_err(|what| CliError::new(Exit::Usage, what))?;
    let (token, line) = (made.secret.expose_secret(), made.token.to_string());
    match format {
        Format::Table => {
            output::print(token)?;
            output::note(
                "the token above is shown once and kept nowhere; its holder sets SUBWATCH_TOKEN to it",
            );
            output::note("line for the coordinator's SUBWATCH_TOKENS_FILE:");
            output::note(&line);
        }
        Format::Json | Format::Jsonl => {
            output::print_json(format, &Made { name, scope: scope.to_string(), token, line })?;
        }
    }
    Ok(Exit::Done)
}

//! `subwatch token`: access tokens for the API.

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{
    exit::{CliError, Exit},
    output::{self, Format},
};
use crate::server::tokens::{NewToken, Scope};

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

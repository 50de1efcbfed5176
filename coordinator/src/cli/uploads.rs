//! `subwatch uploads`.

use clap::Subcommand;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, counted},
};

#[derive(Subcommand)]
pub(super) enum UploadsCommand {
    /// Delete all uploaded images, to free memory in Redis; unfinished jobs that need one fail its item.
    Drop,
}

pub(super) async fn run(client: &Client, format: Format, command: UploadsCommand) -> Result<Exit, CliError> {
    match command {
        UploadsCommand::Drop => {
            let dropped = client.drop_uploads().await?;
            output::print_value(format, &dropped, |dropped| {
                format!("dropped {}", counted(dropped.dropped, "uploaded image"))
            })?;
        }
    }
    Ok(Exit::Done)
}

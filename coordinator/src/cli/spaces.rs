//! `subwatch spaces`.

use clap::Subcommand;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, counted, plain},
    table::table,
};
use crate::api::SpaceView;

#[derive(Subcommand)]
pub(super) enum SpacesCommand {
    /// List embedding spaces.
    List,
    /// Drop a space and its embeddings; images must be embedded again afterwards.
    Drop {
        /// Name of the space.
        space: String,
        /// Drop the space even if live workers embed into it.
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(client: &Client, format: Format, command: SpacesCommand) -> Result<Exit, CliError> {
    match command {
        SpacesCommand::List => output::print_values(format, &client.spaces().await?, spaces_text)?,
        SpacesCommand::Drop { space, force } => {
            let dropped = client.drop_space(&space, force).await?;
            output::print_value(format, &dropped, |dropped| {
                format!("dropped {} with {}", plain(&dropped.space), counted(dropped.embeddings, "embedding"))
            })?;
        }
    }
    Ok(Exit::Done)
}

fn spaces_text(spaces: &[SpaceView]) -> String {
    if spaces.is_empty() {
        return "no embedding spaces: no image has been embedded yet".to_owned();
    }
    let mut rows = table(&["space", "embeddings›", "live workers›", "registered by"]);
    for space in spaces {
        rows.add_row(vec![
            plain(&space.space),
            space.embeddings.to_string(),
            space.workers.to_string(),
            plain(&space.registered_by),
        ]);
    }
    rows.text()
}

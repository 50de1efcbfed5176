//! `subwatch spaces`: listing and dropping spaces of embeddings.

use clap::Subcommand;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, plain, table},
};
use crate::api::SpaceView;

#[derive(Subcommand)]
pub(super) enum SpacesCommand {
    /// List the spaces of embeddings.
    List,
    /// Drop a space with its embeddings; they would have to be computed again.
    Drop {
        /// The space's name.
        space: String,
        /// Drop it although live workers embed into it.
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
                format!("dropped {} with {} embeddings", plain(&dropped.space), dropped.embeddings)
            })?;
        }
    }
    Ok(Exit::Done)
}

fn spaces_text(spaces: &[SpaceView]) -> String {
    if spaces.is_empty() {
        return "no space yet: nothing is embedded".to_owned();
    }
    let mut rows = table(&["space", "embeddings›", "live workers›", "registered"]);
    for space in spaces {
        rows.add_row(vec![
            plain(&space.space),
            space.embeddings.to_string(),
            space.workers.to_string(),
            plain(&space.registered),
        ]);
    }
    rows.trim_fmt()
}

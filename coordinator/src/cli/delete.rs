//! `subwatch delete`.

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format},
};
use crate::api::DeletedSubmissions;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct DeleteArguments {
    /// IDs of ended submissions or runs, the starts of their IDs, or names of runs.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    ids: Vec<String>,
    /// Delete all ended submissions and runs of this access token.
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    submitted_by: Option<String>,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: DeleteArguments,
) -> Result<Exit, CliError> {
    let mut all = DeletedSubmissions::default();
    // After an error, the user learns what has been deleted before it.
    let result = delete(client, &arguments, &mut all).await;
    output::print_value(format, &all, text)?;
    result.map(|()| Exit::Done)
}

async fn delete(
    client: &Client,
    arguments: &DeleteArguments,
    all: &mut DeletedSubmissions,
) -> Result<(), CliError> {
    for id in &arguments.ids {
        all.add(client.delete(id).await?);
    }
    let Some(token) = &arguments.submitted_by else { return Ok(()) };
    loop {
        all.add(client.delete_all_of(token, all.next.clone()).await?);
        if all.next.is_none() {
            return Ok(());
        }
    }
}

fn text(all: &DeletedSubmissions) -> String {
    let deleted = match all.deleted {
        1 => "deleted 1 submission or run".to_owned(),
        deleted => format!("deleted {deleted} submissions and runs"),
    };
    match all.unfinished {
        0 => deleted,
        unfinished => format!("{deleted}; not deleted, since unfinished: {unfinished}"),
    }
}

//! `subwatch import`: adds the embeddings of an exported space.
//!
//! Each shard is compared with the manifest before a row of it is sent. Importing again adds nothing.

use clap::Subcommand;
use common::{digest::Digest, embedding::DIMENSIONS};
use dataset::{
    files::{Files, ReadError, is_confined},
    shards::{
        MANIFEST_NAME, MAX_MANIFEST_BYTES, Shard,
        embeddings::{MAX_SHARD_BYTES, Manifest, StoredEmbedding, check_space, decode},
    },
};
use serde::Serialize;

use super::{
    arguments::folder_url,
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, counted, plain},
    progress::{Progress, ProgressDisplay},
};
use crate::api::{AddEmbeddings, AddedEmbeddings, RawEmbedding};

#[derive(Subcommand)]
pub(super) enum ImportCommand {
    /// Import the embeddings of a space from the files of `subwatch export space`.
    ///
    /// Adds the embeddings of images that the space has none of; stored ones stay. Exits with 3 if the
    /// space has other embeddings of some images.
    ///
    ///   subwatch import space s3://lake/spaces/SPACE/
    #[command(verbatim_doc_comment)]
    Space {
        /// Folder or s3:// URL with the files.
        #[arg(value_name = "URL")]
        folder: String,
    },
}

#[derive(Serialize)]
struct ImportReport {
    space: String,
    #[serde(flatten)]
    counts: AddedEmbeddings,
}

pub(super) async fn run(client: &Client, format: Format, command: ImportCommand) -> Result<Exit, CliError> {
    let ImportCommand::Space { folder } = command;
    let folder = folder_url(&folder)?;
    let files = Files::open(&folder).map_err(|error| CliError::new(Exit::Usage, error.to_string()))?;
    let invalid = |problem: &str| CliError::failed(plain(&format!("{folder}{MANIFEST_NAME}: {problem}")));
    let manifest = files.read(MANIFEST_NAME, MAX_MANIFEST_BYTES).await.map_err(|error| match error {
        ReadError::Missing { .. } => {
            invalid("it does not exist: the folder is not a complete export of a space")
        }
        error => invalid(&error.to_string()),
    })?;
    let manifest: Manifest = serde_json::from_slice(&manifest)
        .map_err(|error| invalid(&format!("it is not the manifest of an exported space: {error}")))?;
    check_space(&manifest.space).map_err(|error| invalid(&error))?;
    if (manifest.version, manifest.dimensions) != (1, DIMENSIONS) {
        let (version, dimensions) = (manifest.version, manifest.dimensions);
        return Err(invalid(&format!(
            "it has version {version} and {dimensions} dimensions; this program reads version 1 and {DIMENSIONS}"
        )));
    }

    let mut display = ProgressDisplay::new();
    let mut counts = AddedEmbeddings::default();
    let imported = async {
        let mut rows = 0;
        for shard in &manifest.shards {
            let embeddings = read(&files, &manifest, shard).await?;
            let mut embeddings =
                embeddings.into_iter().map(|(sha256, embedding)| RawEmbedding { sha256, embedding });
            loop {
                let page: Vec<RawEmbedding> = embeddings.by_ref().take(AddEmbeddings::MAX).collect();
                if page.is_empty() {
                    break;
                }
                rows += page.len() as u64;
                counts.add(client.add_embeddings(&manifest.space.0, page).await?);
                let text = format!("{} imported", counted(rows, "embedding"));
                display.show(&Progress {
                    fraction: Some(rows as f64 / manifest.rows.max(1) as f64),
                    text,
                    ended: false,
                });
            }
        }
        Ok(())
    };
    let imported: Result<(), CliError> = imported.await;
    display.clear();
    imported?;
    let exit = if counts.different > 0 { Exit::FailedItems } else { Exit::Done };
    output::print_value(format, &ImportReport { space: manifest.space.0, counts }, text)?;
    Ok(exit)
}

/// Reads the embeddings of a shard that is as its manifest says.
async fn read(files: &Files, manifest: &Manifest, shard: &Shard) -> Result<Vec<StoredEmbedding>, CliError> {
    let Shard { name, rows, bytes, sha256 } = shard;
    let invalid = |problem: &str| CliError::failed(plain(&format!("'{name}' cannot be imported: {problem}")));
    if name.contains('/') || !is_confined(name) {
        return Err(invalid("its name is not that of a file in the folder"));
    }
    let content = files.read(name, MAX_SHARD_BYTES).await.map_err(|error| invalid(&error.to_string()))?;
    if content.len() as u64 != *bytes || Digest::of(&content) != *sha256 {
        return Err(invalid("its size or SHA-256 is not that of the manifest: export the space again"));
    }
    let embeddings = decode(&manifest.space, content).map_err(|error| invalid(&error))?;
    if embeddings.len() as u64 != *rows {
        return Err(invalid(&format!("it has {} rows, but the manifest says {rows}", embeddings.len())));
    }
    Ok(embeddings)
}

fn text(report: &ImportReport) -> String {
    let AddedEmbeddings { added, present, different } = report.counts;
    let different = match different {
        0 => String::new(),
        different => format!("; {different} differ from stored ones, which stay"),
    };
    let added = counted(added, "embedding");
    format!("added {added} to {}, {present} were present{different}", plain(&report.space))
}

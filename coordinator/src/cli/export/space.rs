//! `subwatch export space`: the embeddings of a space as Parquet shards and a manifest.

use common::{digest::Digest, embedding::DIMENSIONS, embedding::Space};
use dataset::{
    files::Files,
    shards::{
        MANIFEST_NAME, Shard,
        embeddings::{Manifest, SHARD_ROWS, StoredEmbedding, check_space, encode, shard_name},
    },
};

use super::sink::note_written;
use crate::cli::{
    arguments::folder_url,
    client::{Client, Pages},
    exit::{CliError, Exit},
    output::{counted, plain},
    progress::{Progress, ProgressDisplay},
};

pub(super) async fn export(client: &Client, name: &str, out: &str) -> Result<Exit, CliError> {
    let space = Space(name.to_owned());
    check_space(&space).map_err(|error| CliError::new(Exit::Usage, plain(&error)))?;
    let failed = |error: &dyn std::fmt::Display| CliError::failed(plain(&error.to_string()));
    let folder = folder_url(out)?;
    let files = Files::open(&folder).map_err(|error| CliError::new(Exit::Usage, error.to_string()))?;
    if let Some(found) = files.some_names(1).await.map_err(|error| failed(&error))?.first() {
        let message = format!("{folder} already has files, such as '{found}': give an empty or new folder");
        return Err(CliError::failed(plain(&message)));
    }
    let expected = client.spaces().await?.into_iter().find(|view| view.space == name);
    let expected = expected.map_or(0, |view| view.embeddings).max(1);

    let mut display = ProgressDisplay::new();
    let mut pages =
        Pages::new(async |cursor: Option<String>| client.space_embeddings(name, cursor.as_deref()).await);
    let (mut rows, mut pending, mut shards) = (0, Vec::<StoredEmbedding>::new(), Vec::<Shard>::new());
    let exported = async {
        while let Some(page) = pages.next().await? {
            rows += page.len() as u64;
            pending.extend(page.into_iter().map(|raw| (raw.sha256, raw.embedding)));
            while pending.len() >= SHARD_ROWS {
                let rest = pending.split_off(SHARD_ROWS);
                shards
                    .push(write(&files, &space, shards.len(), std::mem::replace(&mut pending, rest)).await?);
            }
            let text = format!("{} exported", counted(rows, "embedding"));
            display.show(&Progress { fraction: Some(rows as f64 / expected as f64), text, ended: false });
        }
        if !pending.is_empty() {
            shards.push(write(&files, &space, shards.len(), pending).await?);
        }
        let manifest = Manifest { version: 1, space: space.clone(), dimensions: DIMENSIONS, rows, shards };
        let text = serde_json::to_vec_pretty(&manifest).expect("plain data serializes to JSON");
        files.write(MANIFEST_NAME, text.into()).await.map_err(|error| failed(&error))
    };
    let exported = exported.await;
    display.clear();
    exported?;
    note_written(rows as usize, "embeddings", Some(folder.as_str()));
    Ok(Exit::Done)
}

async fn write(
    files: &Files,
    space: &Space,
    number: usize,
    embeddings: Vec<StoredEmbedding>,
) -> Result<Shard, CliError> {
    let rows = embeddings.len() as u64;
    let bytes = encode(space, &embeddings).map_err(CliError::failed)?;
    let shard =
        Shard { name: shard_name(number), rows, bytes: bytes.len() as u64, sha256: Digest::of(&bytes) };
    let written = files.write(&shard.name, bytes).await;
    written.map_err(|error| CliError::failed(format!("cannot write the export: {error}")))?;
    Ok(shard)
}

//! Embedding spaces, exported to Parquet and imported again.

use std::{collections::BTreeMap, path::Path};

use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
};
use serde_json::{Value, json};
use tests::{cluster::Cluster, python};

/// The files of a folder with their contents.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let content = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(content).collect()
}

/// What an import prints: the numbers of embeddings that were added, present and different.
fn report(space: &str, [added, present, different]: [u64; 3]) -> Value {
    json!({"space": space, "added": added, "present": present, "different": different})
}

#[tokio::test]
async fn exported_space_is_imported_again_and_nothing_is_overwritten() {
    let cluster = Cluster::start(1).await;
    let sample = cluster.sample(60).await.display().to_string();
    cluster.json(&["embed", &sample, "-o", "json"], &[0]).await;
    let spaces = cluster.json(&["spaces", "list", "-o", "json"], &[0]).await;
    let space = spaces[0]["space"].as_str().unwrap().to_owned();
    let folder = cluster.folder().join("copy");
    let url = folder.display().to_string();
    let export = async |out: &str| {
        let exported = cluster.cli(&["export", "space", &space, "--out", out]).await;
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    };
    export(&url).await;
    let import = ["import", "space", url.as_str(), "-o", "json"];
    assert_eq!(cluster.json(&import, &[0]).await, report(&space, [0, 60, 0]));

    let found: Value = serde_json::from_str(&python::run("space.py", &[&url])).unwrap();
    assert_eq!(
        found["schema"],
        json!({"sha256": "fixed_size_binary[32]", "embedding": "list<element: float not null>"})
    );
    let digests: Vec<Digest> = found["sha256"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(digests.len(), 60);
    let stored = cluster.store.embeddings(&Space(space.clone()), &digests).await.unwrap();
    for (stored, sum) in stored.iter().zip(found["sums"].as_array().unwrap()) {
        let values = stored.as_ref().unwrap().to_f32();
        let difference = values.iter().map(|value| f64::from(*value)).sum::<f64>() - sum.as_f64().unwrap();
        assert!(difference.abs() < 1e-9, "{difference}");
    }

    // Into a store that has none of them, then one of them with another value.
    let dropped = cluster.cli(&["spaces", "drop", &space, "--force"]).await;
    assert!(dropped.status.success(), "{}", String::from_utf8_lossy(&dropped.stderr));
    assert_eq!(cluster.json(&import, &[0]).await, report(&space, [60, 0, 0]));
    let embed = cluster.json(&["embed", &sample, "-o", "json"], &[0]).await;
    assert_eq!(embed["cached"], 60);
    let again = cluster.folder().join("again");
    export(&again.display().to_string()).await;
    assert_eq!(contents(&again), contents(&folder));
    let other = Embedding::from_f32(&[1.5; DIMENSIONS]);
    let space_name = Space(space.clone());
    cluster.store.put_embeddings(&space_name, &[(digests[7], other.clone())]).await.unwrap();
    assert_eq!(cluster.json(&import, &[3]).await, report(&space, [0, 59, 1]));
    assert_eq!(cluster.store.embeddings(&space_name, &digests[7..8]).await.unwrap(), [Some(other)]);

    let fail = async |arguments: &[&str], code: i32, message: &str| {
        let failed = cluster.cli(arguments).await;
        let text = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(message), "{arguments:?}: {text}");
    };
    fail(&["export", "space", &space, "--out", &url], 1, "already has files").await;
    fail(&["export", "space", "none", "--out", &format!("{url}-2")], 5, "'none' does not exist").await;
    fail(
        &["export", "space", "a b", "--out", &format!("{url}-2")],
        2,
        "is not the name of an embedding space",
    )
    .await;
    fail(&["import", "space", &sample], 1, "not a complete export").await;
    let shard = folder.join("part-00000.parquet");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    fail(&import, 1, "its size or SHA-256 is not that of the manifest").await;
    cluster.finish().await;
}

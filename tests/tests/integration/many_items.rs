//! Datasets with many rows: rejected rows span several pages, and errors in the last row are found.

use std::fs;

use tests::cluster::Cluster;

#[tokio::test]
async fn rejected_rows_keep_their_order_and_a_late_duplicate_fails_the_submission() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(70).await;
    let metadata = dataset.join("metadata.jsonl");
    let mut rows = String::new();
    let mut missing = Vec::new();
    for (number, row) in fs::read_to_string(&metadata).unwrap().lines().enumerate() {
        rows += row;
        rows.push('\n');
        for copy in 0..3 {
            missing.push(format!("thumbnails/none-{number}-{copy}.jpg"));
            rows += &format!("{{\"file_name\":\"thumbnails/none-{number}-{copy}.jpg\"}}\n");
        }
    }
    fs::write(&metadata, &rows).unwrap();
    let path = dataset.display().to_string();

    let embed = cluster.json(&["embed", &path, "-o", "json"], &[3]).await;
    assert_eq!((&embed["items"], &embed["succeeded"]), (&280.into(), &70.into()));
    let failures = embed["failures"].as_array().unwrap();
    let failed: Vec<&str> = failures.iter().map(|failure| failure["item"].as_str().unwrap()).collect();
    assert_eq!(failed, missing);
    let reason = failures[209]["reason"].as_str().unwrap();
    assert_eq!(reason, "missing: the file named in metadata.jsonl:280 does not exist");
    let one_line = cluster.json(&["embed", &path, "-o", "jsonl"], &[3]).await;
    assert_eq!(one_line["failures"], embed["failures"]);
    let table = cluster.cli(&["embed", &path]).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("failed      210") && table.contains("… and 200 more: use -o json"), "{table}");

    let first = rows.lines().next().unwrap();
    fs::write(&metadata, format!("{rows}{first}\n")).unwrap();
    let refused = cluster.cli(&["embed", &path]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("duplicate video_id"), "{stderr}");
    assert!(stderr.contains(": metadata.jsonl:1 and metadata.jsonl:281"), "{stderr}");

    // Without metadata, the images form the dataset.
    fs::remove_file(&metadata).unwrap();
    let images = cluster.json(&["embed", &path, "-o", "json"], &[0]).await;
    assert_eq!((&images["items"], &images["cached"]), (&70.into(), &70.into()));
    cluster.finish().await;
}

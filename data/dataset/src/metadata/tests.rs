use std::{fs, path::Path};

use serde_json::json;
use url::Url;

use super::*;

struct Folder {
    folder: tempfile::TempDir,
    files: Files,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        Self { folder, files }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, rows: &[Value]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    }

    fn write_part(&self, part: &str, rows: &[(&str, u32)]) {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, views)| json!({"file_name": name, "views": views, "part": part}))
            .collect();
        self.write(&part_file(part), &rows);
    }

    async fn merge(&self, parts: &[&str]) -> Merged {
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        merge(&self.files, &parts).await.unwrap()
    }

    fn rows(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join(METADATA)).unwrap();
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            format!("{}={} {}", row["file_name"].as_str().unwrap(), row["views"], row["part"])
        };
        text.lines().map(row).collect()
    }
}

#[tokio::test]
async fn only_the_rows_of_merged_parts_are_replaced() {
    let folder = Folder::new();
    fs::write(folder.path().join(METADATA), "\u{feff}{\"file_name\":\"own.jpg\",\"views\":1}\nno json\n")
        .unwrap();
    folder.write_part("one", &[("a.jpg", 1), ("b.jpg", 2)]);
    folder.write_part("two", &[("c.jpg", 3)]);
    assert_eq!(folder.merge(&["one", "two"]).await, Merged { rows: 5, ..Merged::default() });
    let text = fs::read_to_string(folder.path().join(METADATA)).unwrap();
    assert!(
        text.contains("\nno json\n") && text.starts_with("{\"file_name\":\"own.jpg\",\"views\":1}\n"),
        "{text}"
    );
    assert_eq!(folder.merge(&["one", "two"]).await, Merged { rows: 5, ..Merged::default() });
    assert_eq!(
        fs::read_to_string(folder.path().join(METADATA)).unwrap(),
        text,
        "merging again changes nothing"
    );

    fs::write(folder.path().join(METADATA), text.replace("no json\n", "")).unwrap();
    folder.write_part("one", &[("b.jpg", 7), ("c.jpg", 8)]);
    assert_eq!(folder.merge(&["one"]).await, Merged { rows: 3, replaced: 1, left_out: 0 });
    assert_eq!(folder.rows(), ["own.jpg=1 null", "b.jpg=7 \"one\"", "c.jpg=8 \"one\""]);
    folder.merge(&["none"]).await;
    assert_eq!(folder.rows().len(), 3, "a part without a file has no effect");
}

#[tokio::test]
async fn videos_with_another_image_keep_their_row() {
    let folder = Folder::new();
    let row = |file: &str, video: &str| json!({"file_name": file, "video_id": video, "views": 1});
    folder.write(METADATA, &[row("mine/a.png", "a"), row("thumbnails/b.jpg", "b")]);
    let crawled = [row("thumbnails/a.jpg", "a"), row("thumbnails/b.jpg", "b"), row("thumbnails/c.jpg", "c")];
    folder.write(&part_file("UC1"), &crawled);
    let merged = Merged { rows: 3, replaced: 1, left_out: 1 };
    for _ in 0..2 {
        assert_eq!(Merged { replaced: 1, ..folder.merge(&["UC1"]).await }, merged);
        let want = ["mine/a.png=1 null", "thumbnails/b.jpg=1 \"UC1\"", "thumbnails/c.jpg=1 \"UC1\""];
        assert_eq!(folder.rows(), want);
    }
}

#[tokio::test]
async fn parts_of_an_earlier_version_are_moved() {
    let folder = Folder::new();
    let channel = "UCaaaaaaaaaaaaaaaaaaaaaa";
    folder.write(&legacy_file(channel), &[json!({"file_name": "a.jpg", "views": 1})]);
    folder.write("metadata/mine.jsonl", &[json!({"file_name": "m.jpg", "views": 9})]);
    folder.write_part("import-x", &[("b.jpg", 2)]);
    folder.merge(&["import-x"]).await;
    assert_eq!(folder.rows(), [&format!("a.jpg=1 \"{channel}\""), "b.jpg=2 \"import-x\""]);
    assert!(!folder.path().join(legacy_file(channel)).exists());
    assert!(
        folder.path().join(part_file(channel)).exists() && folder.path().join("metadata/mine.jsonl").exists()
    );
    // As after a crash between the two steps.
    folder.write(&legacy_file(channel), &[json!({"file_name": "a.jpg", "views": 1})]);
    folder.merge(&["import-x"]).await;
    assert_eq!(folder.rows().len(), 2);
    folder.write(&legacy_file(channel), &[json!({"file_name": "a.jpg", "views": 1})]);
    folder.write_part(channel, &[("a.jpg", 5)]);
    folder.merge(&[channel]).await;
    assert_eq!(folder.rows(), ["b.jpg=2 \"import-x\"", &format!("a.jpg=5 \"{channel}\"")]);
    assert!(!folder.path().join(legacy_file(channel)).exists());
    // A crawl that began with the earlier version.
    folder.write(&legacy_file("list-1"), &[json!({"file_name": "l.jpg", "views": 3})]);
    folder.merge(&["list-1"]).await;
    assert_eq!(folder.rows()[2], "l.jpg=3 \"list-1\"");
}

#[tokio::test]
async fn rows_that_show_types_come_first_and_mixed_columns_become_texts() {
    let folder = Folder::new();
    let rows = [
        json!({"file_name": "a", "part": "p"}),
        json!({"file_name": "b", "part": "p", "views": 1, "note": "x", "at": "2026-01-01"}),
        json!({"file_name": "c", "part": "p", "views": 2, "note": "y", "at": "2026-01-01"}),
        json!({"file_name": "d", "part": "p", "views": 2, "note": 7, "at": "2014"}),
    ];
    folder.write(&part_file("p"), &rows);
    folder.merge(&["p"]).await;
    let text = fs::read_to_string(folder.path().join(METADATA)).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row["file_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "d", "c"]);
    assert_eq!(
        (&rows[1]["note"], &rows[2]["note"], &rows[3]["views"]),
        (&json!("x"), &json!("7"), &json!(2))
    );
}

#[tokio::test]
async fn other_formats_are_not_mixed() {
    let folder = Folder::new();
    fs::write(folder.path().join("metadata.csv"), "file_name\n").unwrap();
    let error = merge(&folder.files, &["p".to_owned()]).await.unwrap_err();
    assert!(error.to_string().starts_with("the dataset has metadata.csv"), "{error}");
}

#[tokio::test]
async fn images_without_a_crawled_row_are_foreign() {
    let folder = Folder::new();
    let row = |file: &str, part: Value| json!({"file_name": file, "video_id": file, "part": part});
    folder.write(METADATA, &[row("crawled.jpg", json!("UC1")), row("imported.jpg", json!("import-x"))]);
    for name in ["crawled.jpg", "imported.jpg", "old.jpg"] {
        folder.write(name, &[]);
    }
    let names = ["crawled.jpg", "imported.jpg", "new.jpg", "old.jpg"].map(str::to_owned).to_vec();
    let foreign = foreign_images(&folder.files, names.clone()).await.unwrap();
    let want = [("imported.jpg", Foreign::Named), ("old.jpg", Foreign::Unknown)];
    assert_eq!(foreign, want.map(|(name, foreign)| (name.to_owned(), foreign)).into());
    fs::remove_file(folder.path().join(METADATA)).unwrap();
    let foreign = foreign_images(&folder.files, names).await.unwrap();
    assert_eq!(foreign.len(), 3, "{foreign:?}");
}

#[tokio::test]
async fn a_dataset_whose_lock_is_held_delays_no_other() {
    let (held, other) = (Folder::new(), Folder::new());
    for folder in [&held, &other] {
        folder.write_part("one", &[("a.jpg", 1)]);
    }
    let lock = held.files.lock(LOCK, LOCK_LIMIT).await.unwrap();
    let error = held.files.lock(LOCK, Duration::from_millis(10)).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("held this lock"), "{error}");
    let waiting = tokio::spawn({
        let files = held.files.clone();
        async move { merge(&files, &["one".to_owned()]).await }
    });
    assert_eq!(other.merge(&["one"]).await.rows, 1);
    assert!(!waiting.is_finished());
    drop(lock);
    assert_eq!(waiting.await.unwrap().unwrap().rows, 1);
}

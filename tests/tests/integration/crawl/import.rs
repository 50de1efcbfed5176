//! Importing existing tables and images as a dataset.

use std::{fs, path::Path};

use common::digest::Digest;
use serde_json::{Value, json};
use tests::{cluster::Cluster, python, real_data::real_data};
use turbojpeg::{Image, PixelFormat, Subsamp};

use super::rows;

/// Returns a generated thumbnail as a JPEG.
fn jpeg(number: u32) -> Vec<u8> {
    let picture = dataset::sample::picture(5, number);
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = picture.rgb.as_slice();
    let image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
    turbojpeg::compress(image, 85, Subsamp::Sub2x2).unwrap().to_vec()
}

/// Writes images of ten videos to a folder and its subfolder, and some invalid files.
fn write_images(folder: &Path) {
    fs::create_dir_all(folder.join("more")).unwrap();
    for number in 0..10 {
        let name =
            if number < 5 { format!("video{number:06}.jpg") } else { format!("more/video{number:06}.jpg") };
        fs::write(folder.join(name), jpeg(number)).unwrap();
    }
    fs::write(folder.join("truncated01.jpg"), &jpeg(20)[..2_000]).unwrap();
    fs::write(folder.join("notpicture1.jpg"), "<html>").unwrap();
    fs::write(folder.join("../outside001.jpg"), jpeg(21)).unwrap();
    if let Some(data) = real_data("the import of YouTube's grey picture") {
        fs::copy(data.join("odd-images/youtube-missing-placeholder.jpg"), folder.join("placeholder.jpg"))
            .unwrap();
    }
}

async fn import(cluster: &Cluster, table: &str, codes: &[i32]) -> Value {
    let at = |name: &str| cluster.folder().join(name).display().to_string();
    let (table, images, out) = (at(table), at("pictures"), at("set"));
    cluster.json(&["crawl", "import", &table, "--images", &images, "--out", &out, "-o", "json"], codes).await
}

fn skipped(report: &Value) -> Vec<(u64, &str)> {
    let rows = report["skipped"].as_array().unwrap();
    rows.iter().map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn table_and_images_are_imported_and_unusable_rows_are_reported() {
    let cluster = Cluster::start(1).await;
    write_images(&cluster.folder().join("pictures"));
    let write = |name: &str, text: &str| fs::write(cluster.folder().join(name), text).unwrap();
    let table = "\u{feff}Video_URL,Thumbnail,Title,Channel_ID,Category,Subs,Watch,Published\n\
        https://www.youtube.com/watch?v=video000000,,\"운동, 루틴\",UCone,헬스,구독자 1090만명,조회수 1.7억회,2019-05-01\n\
        https://youtu.be/video000001,,하체,UCone,헬스,구독자 1090만명,조회수 9.2천회,\n\
        video000005,more/video000005.jpg,,UCtwo,먹방,189,3044.0,2013\n\
        nofile00001,,gone,,,1,1,\n\
        placeholder,,grey,,,1,1,\n\
        truncated01,,half,,,1,1,\n\
        notpicture1,,page,,,1,1,\n\
        video000002,,wrong count,,,1,많음,\n\
        outside0001,../outside001.jpg,elsewhere,,,1,1,\n\
        video000000,,again,,,1,1,\n\
        video000003,,short\n";
    write("2019 헬스.csv", table);
    let report = import(&cluster, "2019 헬스.csv", &[3]).await;
    assert_eq!((&report["rows"], &report["imported"]), (&11.into(), &3.into()), "{report}");
    let part = report["part"].as_str().unwrap().to_owned();
    for ((line, reason), (want_line, want)) in skipped(&report).into_iter().zip([
        (5, "image 'nofile00001.jpg' not found in"),
        (6, "placeholder.jpg"),
        (7, "truncated01.jpg: undecodable: the JPEG cannot be decoded"),
        (8, "notpicture1.jpg: undecodable: the file is not a JPEG, PNG"),
        (9, "views: "),
        (10, "'../outside001.jpg' is outside the folder"),
        (12, "expected 8 cells as in the header, found 3"),
    ]) {
        assert!(line == want_line && reason.contains(want), "{line}: {reason}; {want_line}: {want}");
    }
    assert_eq!(skipped(&report).len(), 7);
    assert_eq!(report["repeated_lines"], json!([11]), "the row with the most views counts");
    if cluster.folder().join("pictures/placeholder.jpg").exists() {
        assert!(skipped(&report)[1].1.contains("grey placeholder for a missing thumbnail"));
    }

    let dataset = cluster.folder().join("set");
    let imported = rows(&dataset);
    let first = &imported["video000000"];
    let bytes = fs::read(dataset.join("thumbnails/video000000.jpg")).unwrap();
    assert_eq!(bytes, jpeg(0), "images are copied unchanged");
    let want = json!({
        "file_name": "thumbnails/video000000.jpg", "video_id": "video000000", "title": "운동, 루틴",
        "channel_id": "UCone", "category": "헬스", "published": "2019-05-01",
        "views": 170_000_000, "views_approximate": true,
        "subscribers": 10_900_000, "subscribers_approximate": true,
        "thumbnail_width": first["thumbnail_width"], "thumbnail_height": first["thumbnail_height"],
        "sha256": Digest::of(&bytes).to_string(), "source": "import", "part": part,
    });
    assert_eq!(*first, want);
    assert_eq!(imported["video000001"]["views"], 9_200);
    let third = &imported["video000005"];
    assert_eq!((&third["views"], &third["views_approximate"]), (&3_044.into(), &false.into()));

    // A second table adds a part; importing the corrected first table replaces its part.
    let lines: String = [3, 4, 6, 7]
        .map(|n| format!("{{\"id\":\"video{n:06}\",\"file\":\"{}video{n:06}.jpg\",\"views\":\"1.1M\",\"subscribers\":{n}}}\n", if n < 5 { "" } else { "more/" }))
        .concat();
    write("more.jsonl", &lines);
    let more = import(&cluster, "more.jsonl", &[0]).await;
    assert_eq!((&more["imported"], &more["skipped"]), (&4.into(), &json!([])));
    assert_ne!(more["part"], part);
    let corrected: String = table.lines().take(3).map(|line| format!("{line}\n")).collect();
    write("2019 헬스.csv", &corrected);
    let again = import(&cluster, "2019 헬스.csv", &[0]).await;
    assert_eq!((&again["imported"], &again["part"]), (&2.into(), &part.as_str().into()));
    let now = rows(&dataset);
    assert_eq!(now.len(), 6);
    assert!(!now.contains_key("video000005"), "a row removed from the table is removed from its part");
    assert_eq!(now["video000000"], want);

    let path = dataset.display().to_string();
    let checked = cluster.json(&["dataset", "check", &path, "-o", "json"], &[0]).await;
    assert_eq!((&checked["rows"], &checked["images"]), (&6.into(), &7.into()), "{checked}");
    assert_eq!(checked["problems"], json!([]));
    assert_eq!(checked["skipped"], json!([{"value": "no metadata row", "items": 1}]));
    assert_eq!(checked["files_without_row"], json!(["thumbnails/video000005.jpg"]));
    assert_eq!(checked["approximate"], json!({"views": 6, "subscribers": 2}));
    assert_eq!(checked["sources"], json!([{"value": "import", "items": 6}]));
    let embedded = cluster.json(&["embed", &path, "-o", "json"], &[0]).await;
    assert_eq!((&embedded["succeeded"], &embedded["without_row"]), (&7.into(), &1.into()), "{embedded}");
    cluster.finish().await;
}

#[tokio::test]
async fn table_without_usable_rows_changes_nothing() {
    let cluster = Cluster::start(0).await;
    write_images(&cluster.folder().join("pictures"));
    fs::write(cluster.folder().join("bad.csv"), "video_id,views\nnofile00001,1\nnofile00002,1\n").unwrap();
    fs::write(cluster.folder().join("names.csv"), "name,views\nvideo000001,1\n").unwrap();
    fs::write(cluster.folder().join("latin-1.csv"), b"video_id,title\nx,ma\xf1ana\n").unwrap();
    fs::write(cluster.folder().join("picture.csv"), jpeg(1)).unwrap();
    fs::write(cluster.folder().join("table.txt"), "video_id\nx\n").unwrap();
    let at = |name: &str| cluster.folder().join(name).display().to_string();
    for (table, images, code, want) in [
        ("bad.csv", "pictures", 1, "line 2: image 'nofile00001.jpg' not found in"),
        ("bad.csv", "pictures", 1, "line 3: image 'nofile00002.jpg' not found in"),
        ("bad.csv", "pictures", 1, "no usable rows in"),
        ("names.csv", "pictures", 2, "line 1: no known column among name, views"),
        ("absent.csv", "pictures", 5, "absent.csv: No such file"),
        ("bad.csv", "nowhere", 5, "nowhere does not exist"),
        ("latin-1.csv", "pictures", 2, "byte 0xF1 in line 2 is not valid UTF-8"),
        ("latin-1.csv", "pictures", 2, "`iconv -f WINDOWS-1252 -t UTF-8 "),
        ("picture.csv", "pictures", 2, "picture.csv: the file is a JPEG image"),
        ("table.txt", "pictures", 2, "must be a .csv, .tsv, .json or .jsonl file"),
        ("pictures", "pictures", 2, "a folder; name a table"),
    ] {
        let arguments = ["crawl", "import", &at(table), "--images", &at(images), "--out", &at("empty")];
        let ended = cluster.cli(&arguments).await;
        let printed = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{printed}");
        assert!(printed.contains(want), "{printed}");
    }
    assert!(!cluster.folder().join("empty").exists(), "a failed import leaves no folder");
    cluster.finish().await;
}

#[tokio::test]
async fn image_is_the_named_file_or_the_one_with_the_id_and_no_other() {
    let cluster = Cluster::start(0).await;
    let pictures = cluster.folder().join("pictures");
    fs::create_dir_all(pictures.join("a")).unwrap();
    for name in ["hqdefault.jpg", "cccccccccc1.jpg", "x.JPG", "a/1.jpg", "a b.jpg"] {
        fs::write(pictures.join(name), jpeg(1)).unwrap();
    }
    // A path that does not exist is not looked up elsewhere; a URL is not a path; any ID will do.
    let table = r#"{"video_id":"bbbbbbbbbb1","thumbnail":"bbbbbbbbbb1/hqdefault.jpg","views":3}
{"id":"cccccccccc1","thumbnail":"https://i.ytimg.com/vi_webp/cccccccccc1/maxresdefault.webp","view_count":1234,"channel_id":"UCc","channel_follower_count":77,"upload_date":"20190501","formats":[{}]}
{"video_id":"x","file_name":".\\x.JPG"}
{"video_id":"x","views":9,"file_name":"a/1.jpg"}
{"file":"./a/1.jpg"}
{"video_id":"a b","views":5}
{"video_id":"x/y","file":"a/../x.JPG"}
"#;
    fs::write(cluster.folder().join("downloads.jsonl"), table).unwrap();
    let report = import(&cluster, "downloads.jsonl", &[3]).await;
    let expected = [
        (1, "image 'bbbbbbbbbb1/hqdefault.jpg' not found in"),
        (4, "video x has another image in line 3"),
        (7, "'a/../x.JPG' is outside the folder"),
    ];
    let found = skipped(&report);
    assert_eq!(found.len(), expected.len(), "{report}");
    for ((line, reason), (want_line, want)) in found.into_iter().zip(expected) {
        assert!(line == want_line && reason.contains(want), "{line}: {reason}");
    }
    assert_eq!(report["nested_columns"], json!(["formats"]));
    assert_eq!(report["reserved_columns"], json!([]));
    let rows = rows(&cluster.folder().join("set"));
    let downloaded = &rows["cccccccccc1"];
    assert_eq!(
        (&downloaded["views"], &downloaded["subscribers"], &downloaded["published"]),
        (&1234.into(), &77.into(), &"2019-05-01".into())
    );
    assert_eq!(rows["x"]["file_name"], "thumbnails/x.jpg");
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["a b", "a/1", "cccccccccc1", "x"]);
    let dataset = cluster.folder().join("set").display().to_string();
    let checked = cluster.json(&["dataset", "check", &dataset, "-o", "json"], &[0]).await;
    assert_eq!((&checked["images"], &checked["problems"]), (&4.into(), &json!([])), "{checked}");
    cluster.finish().await;
}

/// Columns of an imported row that are not the table's, and the index of pandas' orient `table`.
const WRITTEN: [&str; 9] = [
    "file_name",
    "part",
    "views_approximate",
    "subscribers_approximate",
    "thumbnail_width",
    "thumbnail_height",
    "sha256",
    "source",
    "index",
];

#[tokio::test]
async fn tables_of_pandas_are_imported_as_pandas_reads_them() {
    let cluster = Cluster::start(0).await;
    write_images(&cluster.folder().join("pictures"));
    let folder = cluster.folder().display().to_string();
    let expected: Value = serde_json::from_str(&python::run("tables.py", &[&folder])).unwrap();
    let mut tables = 0;
    for (table, expected) in expected.as_object().unwrap() {
        let report = import(&cluster, table, &[0]).await;
        assert_eq!((&report["imported"], &report["skipped"]), (&5.into(), &json!([])), "{table}: {report}");
        let found = rows(&cluster.folder().join("set"));
        for want in expected.as_array().unwrap() {
            let row = &found[want["video_id"].as_str().unwrap()];
            let name = |pandas: &str| match pandas {
                "Title" => "title".to_owned(),
                " Views " => "views".to_owned(),
                other => other.to_owned(),
            };
            for (column, value) in want.as_object().unwrap() {
                assert!(is_same(&row[name(column)], value), "{table}: {column}: {row}, pandas: {value}");
            }
            let mut columns: Vec<String> = want.as_object().unwrap().keys().map(|key| name(key)).collect();
            columns.sort_unstable();
            let read = row.as_object().unwrap().keys().filter(|key| !WRITTEN.contains(&key.as_str()));
            assert_eq!(read.cloned().collect::<Vec<_>>(), columns, "{table}: {row}");
        }
        fs::remove_dir_all(cluster.folder().join("set")).unwrap();
        tables += 1;
    }
    assert_eq!(tables, 14 + 40);
    cluster.finish().await;
}

/// Whether two values are equal, as numbers if both are. pandas reads integers with missing values as floats.
fn is_same(found: &Value, pandas: &Value) -> bool {
    match (found.as_f64(), pandas.as_f64()) {
        (Some(found), Some(pandas)) => found == pandas,
        _ => found == pandas,
    }
}

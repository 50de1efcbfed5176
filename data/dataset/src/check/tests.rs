//! Tests of complete checks on folders with JPEG files.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use ::images::{decode, encode, perceptual_hash::MAX_FINE_DISTANCE};
use image::{RgbImage, imageops};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{real_data::real_data, sample, target::Target};

/// Options with the time 2026-02-01, a month after `crawled_at` of the sample.
fn options() -> CheckOptions {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_904_000);
    CheckOptions {
        target: Target::ViewsPerSubscriber,
        read_images: true,
        max_image_bytes: 1 << 20,
        thumbnails: 0,
        seed: 0,
        now,
    }
}

async fn check(root: &Path, options: &CheckOptions) -> Inspection {
    let files = Files::open(&Url::from_directory_path(root).unwrap()).unwrap();
    inspect(&files, options, |_, _| {}).await.unwrap()
}

fn jpeg(picture: &RgbImage, quality: i32) -> Vec<u8> {
    encode::jpeg(&picture.clone().into(), quality).unwrap()
}

fn drawn(number: u32) -> RgbImage {
    let picture = sample::picture(3, number);
    RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap()
}

/// A dataset of drawn thumbnails `0.jpg`, `1.jpg`, … with these rows.
fn dataset(images: u32, rows: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..images {
        fs::write(folder.path().join(format!("{number}.jpg")), jpeg(&drawn(number), 85)).unwrap();
    }
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(folder.path().join("metadata.jsonl"), lines).unwrap();
    folder
}

#[tokio::test]
async fn images_over_the_limit_are_problems() {
    let folder = dataset(2, &[json!({"file_name": "0.jpg"}), json!({"file_name": "1.jpg"})]);
    let sizes = [0, 1].map(|number| fs::metadata(folder.path().join(format!("{number}.jpg"))).unwrap().len());
    let smaller = sizes[0].min(sizes[1]);
    let report = check(folder.path(), &CheckOptions { max_image_bytes: smaller, ..options() }).await.report;
    assert_ne!(sizes[0], sizes[1]);
    assert_eq!((report.images, report.problems.len()), (1, 1));
    assert!(report.problems[0].reason.contains("too-large"), "{:?}", report.problems);
}

#[tokio::test]
async fn problems_and_duplicates_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample::generate(&root, 6, 0, |_| {}).unwrap();
    let copy = root.join("thumbnails/copy.jpg");
    fs::copy(root.join("thumbnails/s0-000000.jpg"), copy).unwrap();
    fs::write(root.join("thumbnails/bad.jpg"), b"not an image").unwrap();
    fs::write(root.join("thumbnails/unnamed.jpg"), b"not read").unwrap();
    let metadata = root.join("metadata.jsonl");
    let rows = fs::read_to_string(&metadata).unwrap();
    let more = [
        r#"{"file_name":"thumbnails/copy.jpg","views":1,"subscribers":0}"#,
        r#"{"file_name":"thumbnails/bad.jpg","views":1,"subscribers":1}"#,
        r#"{"file_name":"thumbnails/none.jpg","views":1,"subscribers":1}"#,
        r#"{"file_name":"thumbnails/copy.jpg","views":2,"subscribers":2}"#,
    ];
    fs::write(&metadata, rows + &more.join("\n")).unwrap();
    let report = check(&root, &options()).await.report;

    assert_eq!((report.rows, report.items, report.images), (10, 9, 7));
    assert_eq!(report.images_without_row, 1);
    assert_eq!(report.files_without_row, ["thumbnails/unnamed.jpg"]);
    assert_eq!(report.duplicate_image_groups, [["thumbnails/s0-000000.jpg", "thumbnails/copy.jpg"]]);
    assert_eq!((report.duplicate_images, report.near_duplicate_images), (1, 0));
    let problems: Vec<&str> = report.problems.iter().map(|problem| problem.item.as_str()).collect();
    assert_eq!(problems, ["thumbnails/none.jpg", "thumbnails/bad.jpg", "thumbnails/unnamed.jpg"]);
    assert_eq!(report.duplicate_rows.len(), 1);
    let skipped: Vec<(&str, u64)> =
        report.skipped.iter().map(|count| (count.value.as_str(), count.items)).collect();
    assert_eq!(skipped, [("undecodable", 2), ("missing", 1), ("zero subscribers", 1)]);
    assert_eq!(report.labels.items, 6);
    assert_eq!(report.labels.histogram.iter().map(|(_, items)| items).sum::<u64>(), 6);
    assert_eq!(report.labels.quantiles.len(), 9);
    assert_eq!(report.categories, [Category { category: "먹방".to_owned(), channels: 1, rows: 6 }]);
    assert_eq!((report.channels, report.rows_without_category), (1, 2));
}

#[tokio::test]
async fn warnings_have_values_and_are_not_problems() {
    let good = fs::read(dataset(1, &[]).path().join("0.jpg")).unwrap();
    let sha256 = common::digest::Digest::of(&good).to_string();
    let crawled = json!({"crawled_at": "2026-01-01T00:00:00Z", "channel_id": "UC1", "category": "Food"});
    let row = |number: u32, more: Value| {
        let mut row = crawled.clone();
        row["file_name"] = format!("{number}.jpg").into();
        row["views"] = 100.into();
        row["subscribers"] = 1_700.into();
        for (column, value) in more.as_object().unwrap() {
            row[column] = value.clone();
        }
        row
    };
    let folder = dataset(
        10,
        &[
            row(0, json!({"sha256": sha256, "thumbnail_variant": "maxres", "source": "api"})),
            row(1, json!({"sha256": sha256, "thumbnail_variant": "sd", "source": "api"})),
            row(2, json!({"subscribers": 17_000, "subscribers_approximate": true})),
            row(3, json!({"subscribers": 1, "views": 10_001, "channel_id": "UC2"})),
            row(4, json!({"views": 0, "views_approximate": true})),
            row(5, json!({"views": null, "published": "2026-01-31"})),
            row(6, json!({"subscribers": 0, "channel_id": "UC3", "published": "2027"})),
            row(7, json!({"subscribers": null, "crawled_at": "2026-03-01T00:00:00Z"})),
            row(8, json!({"category": "Travel", "crawled_at": null})),
            row(9, json!({"published": "long ago", "sha256": "x"})),
        ],
    );
    let report = check(folder.path(), &options()).await.report;

    assert_eq!(report.problems, []);
    let listed: Vec<(Reason, Vec<(&str, &str)>)> = report
        .warnings
        .iter()
        .map(|warning| {
            assert_eq!(warning.count, warning.examples.len() as u64);
            let examples = warning.examples.iter();
            (
                warning.reason,
                examples.map(|example| (example.item.as_str(), example.value.as_str())).collect(),
            )
        })
        .collect();
    let other = common::digest::Digest::of(&fs::read(folder.path().join("1.jpg")).unwrap());
    let changed = format!("{}… in the row, {}… in the file", &sha256[..12], other.prefix(12));
    let want = [
        (Reason::SubscribersMissing, vec![("7.jpg", "")]),
        (Reason::SubscribersZero, vec![("6.jpg", "views 100")]),
        (Reason::ViewsMissing, vec![("5.jpg", "")]),
        (Reason::ViewsZero, vec![("4.jpg", "subscribers 1700")]),
        (Reason::ViewsBeyondSubscribers, vec![("3.jpg", "views 10001, subscribers 1")]),
        (Reason::SubscribersDiffer, vec![("UC1", "1700 to 17000 subscribers in 8 rows")]),
        (Reason::SubscribersDifferByPowerOfTen, vec![("UC1", "1700 and 17000 subscribers")]),
        (Reason::ChannelInCategories, vec![("UC1", "7 Food, 1 Travel")]),
        (
            Reason::PublishedAfterCrawled,
            vec![
                ("5.jpg", "published 2026-01-31, crawled 2026-01-01T00:00:00Z"),
                ("6.jpg", "published 2027, crawled 2026-01-01T00:00:00Z"),
            ],
        ),
        (Reason::PublishedInFuture, vec![("6.jpg", "2027")]),
        (Reason::CrawledInFuture, vec![("7.jpg", "2026-03-01T00:00:00Z")]),
        (Reason::CrawledAtMissing, vec![("8.jpg", "")]),
        (Reason::DateUnreadable, vec![("9.jpg", "published 'long ago'")]),
        (
            Reason::FileChanged,
            vec![("9.jpg", "'x' in the row is not a SHA-256"), ("1.jpg", changed.as_str())],
        ),
    ];
    assert_eq!(listed, want);
    assert_eq!(report.approximate, Approximate { views: 1, subscribers: 1 });
    let count = |value: &str, items| Occurrences { value: value.to_owned(), items };
    assert_eq!(report.variants, [count("maxres", 1), count("sd", 1)]);
    assert_eq!(report.sources, [count("api", 2)]);
    let rows = |category: &str, channels, rows| Category { category: category.to_owned(), channels, rows };
    assert_eq!(report.categories, [rows("Food", 3, 9), rows("Travel", 1, 1)]);
}

#[tokio::test]
async fn near_duplicates_are_grouped() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for number in 0..40 {
        write(&format!("{number:02}.jpg"), &jpeg(&drawn(number), 90));
    }
    let original = drawn(7);
    let (width, height) = original.dimensions();
    write("07-copy.jpg", &jpeg(&original, 90));
    write("07-quality.jpg", &jpeg(&original, 30));
    let third = imageops::resize(&original, width / 3, height / 3, imageops::FilterType::Triangle);
    write("07-third.jpg", &jpeg(&third, 80));
    let (left, top) = (width / 100, height / 100);
    let cropped = imageops::crop_imm(&original, left, top, width - 2 * left, height - 2 * top).to_image();
    write("07-cropped.jpg", &jpeg(&cropped, 85));
    let report = check(folder.path(), &options()).await.report;

    assert_eq!(report.images, 44);
    assert_eq!(report.duplicate_image_groups, [["07-copy.jpg", "07.jpg"]]);
    assert_eq!(report.near_duplicate_image_groups.len(), 1, "{:?}", report.near_duplicate_image_groups);
    let group = &report.near_duplicate_image_groups[0];
    assert_eq!(group.items, ["07-copy.jpg", "07-cropped.jpg", "07-quality.jpg", "07-third.jpg"]);
    assert!((1..=MAX_FINE_DISTANCE).contains(&group.max_distance), "{group:?}");
    assert_eq!((report.duplicate_images, report.near_duplicate_images), (1, 3));
    assert!(report.rows == 0 && report.files_without_row.is_empty() && report.warnings.is_empty());
}

#[tokio::test]
async fn letterbox_bars_do_not_affect_near_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for number in 0..8 {
        let wide = imageops::resize(&drawn(number), 480, 270, imageops::FilterType::Triangle);
        let mut with_bars = RgbImage::new(480, 360);
        imageops::replace(&mut with_bars, &wide, 0, 45);
        write(&format!("{number}-bars.jpg"), &jpeg(&with_bars, 90));
        write(&format!("{number}.jpg"), &jpeg(&wide, 90));
    }
    let report = check(folder.path(), &options()).await.report;
    let groups: Vec<&[String]> =
        report.near_duplicate_image_groups.iter().map(|group| &group.items[..]).collect();
    let want: Vec<[String; 2]> = (0..8).map(|n| [format!("{n}-bars.jpg"), format!("{n}.jpg")]).collect();
    assert_eq!(groups, want);
}

#[tokio::test]
async fn seed_selects_the_thumbnails_of_the_contact_sheet() {
    let rows: Vec<Value> = (0..30)
        .map(|n| json!({"file_name": format!("{n}.jpg"), "video_id": format!("video-{n}"), "views": n, "subscribers": 10}))
        .collect();
    let folder = dataset(29, &rows);
    fs::write(folder.path().join("29.jpg"), b"not an image").unwrap();
    let labels_of = async |seed, thumbnails| {
        let inspection = check(folder.path(), &CheckOptions { thumbnails, seed, ..options() }).await;
        inspection.thumbnails.into_iter().map(|t| (t.video_id, t.label)).collect::<Vec<_>>()
    };
    let first = labels_of(1, 7).await;
    assert_eq!(first.len(), 7);
    assert!(first.is_sorted_by(|a, b| a.1 > b.1), "{first:?}");
    assert_eq!(first, labels_of(1, 7).await);
    assert_ne!(first, labels_of(2, 7).await);
    assert_eq!(labels_of(0, 0).await, []);

    let all = check(folder.path(), &CheckOptions { thumbnails: 100, ..options() }).await;
    assert_eq!(all.thumbnails.len(), 30);
    let unreadable: Vec<&str> =
        all.thumbnails.iter().filter(|t| t.picture.is_none()).map(|t| t.video_id.as_str()).collect();
    assert_eq!(unreadable, ["video-29"]);
    let picture = all.thumbnails[1].picture.clone().unwrap();
    let picture = RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap();
    assert_eq!((all.thumbnails[1].video_id.as_str(), picture.width()), ("video-28", 240));
    assert_eq!(all.labels, (0..29).map(|n| f64::from(n) / 10.0).collect::<Vec<_>>());

    let sheet = encode::png(&pictures::sheet(Target::ViewsPerSubscriber, &all.thumbnails, 30));
    let decoded = decode::decode(&sheet).unwrap();
    let rows_of_it = picture.enumerate_rows().map(|(_, row)| row.flat_map(|(_, _, pixel)| pixel.0).collect());
    let missing = |row: &Vec<u8>| !decoded.rgb.windows(row.len()).any(|part| part == row.as_slice());
    let missing = rows_of_it.step_by(20).filter(missing).count();
    assert_eq!(missing, 0, "rows of a thumbnail are not on the sheet");
    let histogram = encode::png(&pictures::histogram(Target::ViewsPerSubscriber, &all.labels));
    assert_eq!(decode::decode(&histogram).unwrap().width, 1200);
}

#[tokio::test]
async fn only_true_near_duplicates_are_found_among_real_thumbnails() {
    let Some(data) = real_data("near-duplicates among real thumbnails") else { return };
    let report = check(&data.join("fitness-3200"), &options()).await.report;
    assert_eq!((report.rows, report.images, report.duplicate_images), (3200, 3200, 0));
    let ids = |group: &NearDuplicateGroup| {
        let ids =
            group.items.iter().map(|item| item["thumbnails/".len()..].trim_end_matches(".jpg").to_owned());
        ids.collect::<Vec<_>>()
    };
    // By eye, these two are the same picture; others with one template and different text are not.
    let mut groups: Vec<Vec<String>> = report.near_duplicate_image_groups.iter().map(ids).collect();
    groups.iter_mut().for_each(|group| group.sort());
    groups.sort();
    assert_eq!(groups, [["C2HH-4MjgJc", "FP6Wmh7vITk"]]);
}

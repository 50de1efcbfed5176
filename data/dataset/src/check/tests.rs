//! Whole inspections of folders with real JPEGs, finding by finding.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use ::images::{decode, encode, perceptual_hash::MOST_FINE_BITS};
use image::{RgbImage, imageops};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{real_data::real_data, sample, target::Target};

/// 2026-02-01, a month after the sample was "crawled".
fn look() -> Look {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_904_000);
    Look {
        target: Target::ViewsPerSubscriber,
        images: true,
        max_image_bytes: 1 << 20,
        thumbnails: 0,
        seed: 0,
        now,
    }
}

async fn inspected(root: &Path, look: &Look) -> Inspected {
    let files = Files::open(&Url::from_directory_path(root).unwrap()).unwrap();
    inspect(&files, look, |_, _| {}).await.unwrap()
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
    let found = inspected(folder.path(), &Look { max_image_bytes: smaller, ..look() }).await;
    assert_ne!(sizes[0], sizes[1]);
    assert_eq!((found.report.images, found.report.problems.len()), (1, 1));
    assert!(found.report.problems[0].reason.contains("too-large"), "{:?}", found.report.problems);
}

#[tokio::test]
async fn what_is_wrong_is_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample::generate(&root, 6, 0, |_| {}).unwrap();
    let copy = root.join("thumbnails/copy.jpg");
    fs::copy(root.join("thumbnails/s0-000000.jpg"), copy).unwrap();
    fs::write(root.join("thumbnails/bad.jpg"), b"no picture").unwrap();
    fs::write(root.join("thumbnails/unnamed.jpg"), b"nobody looks into it").unwrap();
    let metadata = root.join("metadata.jsonl");
    let rows = fs::read_to_string(&metadata).unwrap();
    let more = [
        r#"{"file_name":"thumbnails/copy.jpg","views":1,"subscribers":0}"#,
        r#"{"file_name":"thumbnails/bad.jpg","views":1,"subscribers":1}"#,
        r#"{"file_name":"thumbnails/none.jpg","views":1,"subscribers":1}"#,
        r#"{"file_name":"thumbnails/copy.jpg","views":2,"subscribers":2}"#,
    ];
    fs::write(&metadata, rows + &more.join("\n")).unwrap();
    let found = inspected(&root, &look()).await.report;

    assert_eq!((found.rows, found.items, found.images), (10, 8, 7));
    assert_eq!(found.files_without_row, ["thumbnails/unnamed.jpg"]);
    assert_eq!(found.equal_images, [["thumbnails/s0-000000.jpg", "thumbnails/copy.jpg"]]);
    assert_eq!((found.repeated_images, found.near_repeats), (1, 0));
    let problems: Vec<&str> = found.problems.iter().map(|problem| problem.item.as_str()).collect();
    assert_eq!(problems, ["thumbnails/none.jpg", "thumbnails/bad.jpg"]);
    assert_eq!(found.duplicate_rows.len(), 1);
    let left_out: Vec<(&str, u64)> =
        found.left_out.iter().map(|count| (count.what.as_str(), count.items)).collect();
    assert_eq!(left_out, [("missing", 1), ("subscribers are zero", 1), ("undecodable", 1)]);
    assert_eq!(found.labels.items, 6);
    assert_eq!(found.labels.histogram.iter().map(|(_, items)| items).sum::<u64>(), 6);
    assert_eq!(found.labels.quantiles.len(), 9);
    assert_eq!(found.categories, [Category { category: "먹방".to_owned(), channels: 1, rows: 6 }]);
    assert_eq!((found.channels, found.without_category), (1, 2));
}

#[tokio::test]
async fn what_looks_odd_is_named_with_its_value_and_is_no_problem() {
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
    let found = inspected(folder.path(), &look()).await.report;

    assert_eq!(found.problems, []);
    let listed: Vec<(Reason, Vec<(&str, &str)>)> = found
        .suspicions
        .iter()
        .map(|suspicion| {
            assert_eq!(suspicion.found, suspicion.examples.len() as u64);
            let examples = suspicion.examples.iter();
            (suspicion.reason, examples.map(|e| (e.item.as_str(), e.value.as_str())).collect())
        })
        .collect();
    let other = common::digest::Digest::of(&fs::read(folder.path().join("1.jpg")).unwrap());
    let changed = format!("the row says {}…, the file has {}…", &sha256[..12], other.prefix(12));
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
            vec![("9.jpg", "the row says 'x', which is no SHA-256"), ("1.jpg", changed.as_str())],
        ),
    ];
    assert_eq!(listed, want);
    assert_eq!(found.approximate, Approximate { views: 1, subscribers: 1 });
    let count = |what: &str, items| Occurrences { what: what.to_owned(), items };
    assert_eq!(found.variants, [count("maxres", 1), count("sd", 1)]);
    assert_eq!(found.sources, [count("api", 2)]);
    let rows = |category: &str, channels, rows| Category { category: category.to_owned(), channels, rows };
    assert_eq!(found.categories, [rows("Food", 3, 9), rows("Travel", 1, 1)]);
}

#[tokio::test]
async fn pictures_that_look_alike_are_grouped_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for number in 0..40 {
        write(&format!("{number:02}.jpg"), &jpeg(&drawn(number), 90));
    }
    let original = drawn(7);
    let (width, height) = original.dimensions();
    write("07-again.jpg", &jpeg(&original, 90));
    write("07-quality.jpg", &jpeg(&original, 30));
    let third = imageops::resize(&original, width / 3, height / 3, imageops::FilterType::Triangle);
    write("07-third.jpg", &jpeg(&third, 80));
    let (left, top) = (width / 100, height / 100);
    let cropped = imageops::crop_imm(&original, left, top, width - 2 * left, height - 2 * top).to_image();
    write("07-cropped.jpg", &jpeg(&cropped, 85));
    let found = inspected(folder.path(), &look()).await.report;

    assert_eq!(found.images, 44);
    assert_eq!(found.equal_images, [["07-again.jpg", "07.jpg"]]);
    assert_eq!(found.near_images.len(), 1, "{:?}", found.near_images);
    let group = &found.near_images[0];
    assert_eq!(group.items, ["07-again.jpg", "07-cropped.jpg", "07-quality.jpg", "07-third.jpg"]);
    assert!((1..=MOST_FINE_BITS).contains(&group.bits), "{group:?}");
    assert_eq!((found.repeated_images, found.near_repeats), (1, 3));
    assert!(found.rows == 0 && found.files_without_row.is_empty() && found.suspicions.is_empty());
}

#[tokio::test]
async fn bars_do_not_make_pictures_look_alike_nor_different() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for number in 0..8 {
        let wide = imageops::resize(&drawn(number), 480, 270, imageops::FilterType::Triangle);
        let mut with_bars = RgbImage::new(480, 360);
        imageops::replace(&mut with_bars, &wide, 0, 45);
        write(&format!("{number}-bars.jpg"), &jpeg(&with_bars, 90));
        write(&format!("{number}.jpg"), &jpeg(&wide, 90));
    }
    let found = inspected(folder.path(), &look()).await.report;
    let groups: Vec<&[String]> = found.near_images.iter().map(|group| &group.items[..]).collect();
    let want: Vec<[String; 2]> = (0..8).map(|n| [format!("{n}-bars.jpg"), format!("{n}.jpg")]).collect();
    assert_eq!(groups, want);
}

#[tokio::test]
async fn a_contact_sheet_gets_the_thumbnails_that_the_seed_draws() {
    let rows: Vec<Value> = (0..30)
        .map(|n| json!({"file_name": format!("{n}.jpg"), "video_id": format!("video-{n}"), "views": n, "subscribers": 10}))
        .collect();
    let folder = dataset(29, &rows);
    fs::write(folder.path().join("29.jpg"), b"no picture").unwrap();
    let drawn_by = async |seed, thumbnails| {
        let found = inspected(folder.path(), &Look { thumbnails, seed, ..look() }).await;
        found.thumbnails.into_iter().map(|t| (t.video_id, t.label)).collect::<Vec<_>>()
    };
    let first = drawn_by(1, 7).await;
    assert_eq!(first.len(), 7);
    assert!(first.is_sorted_by(|a, b| a.1 > b.1), "{first:?}");
    assert_eq!(first, drawn_by(1, 7).await);
    assert_ne!(first, drawn_by(2, 7).await);
    assert_eq!(drawn_by(0, 0).await, []);

    let all = inspected(folder.path(), &Look { thumbnails: 100, ..look() }).await;
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
async fn real_thumbnails_that_look_alike_are_found_and_no_strangers() {
    let Some(data) = real_data("did not look for real thumbnails that look alike") else { return };
    let found = inspected(&data.join("fitness-3200"), &look()).await.report;
    assert_eq!((found.rows, found.images, found.repeated_images), (3200, 3200, 0));
    let group = |group: &NearGroup| {
        let ids =
            group.items.iter().map(|item| item["thumbnails/".len()..].trim_end_matches(".jpg").to_owned());
        ids.collect::<Vec<_>>()
    };
    // Looked at, these are one picture twice. Others of one template with other words are none.
    let mut groups: Vec<Vec<String>> = found.near_images.iter().map(group).collect();
    groups.iter_mut().for_each(|group| group.sort());
    groups.sort();
    assert_eq!(groups, [["C2HH-4MjgJc", "FP6Wmh7vITk"]]);
}

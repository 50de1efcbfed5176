//! Tests of whole tables; those of dates and counts are beside their code.

use serde_json::{Map, Value, json};

use super::*;

fn rows(text: &str, format: TableFormat) -> Vec<Result<ImportRow, BadRow>> {
    read_table(text, format).unwrap().rows
}

fn row(text: &str, format: TableFormat) -> Value {
    let row = rows(text, format).remove(0).unwrap();
    serde_json::to_value(row.columns).unwrap()
}

#[test]
fn csv_and_json_lines_give_the_same_rows() {
    let csv = "Thumbnail,Title,Subs,Watch\nx/dQw4w9WgXcQ.jpg,\"One, two\",1200,\na/short.jpg,,,\n";
    let json = "{\"thumbnail\":\"x/dQw4w9WgXcQ.jpg\",\"title\":\"One, two\",\"subs\":1200,\"watch\":null}\n{\"thumbnail\":\"a/short.jpg\"}";
    let (csv, json) = (rows(csv, TableFormat::Csv), rows(json, TableFormat::JsonLines));
    let row = csv[0].clone().unwrap();
    assert_eq!(row.file.as_deref(), Some("x/dQw4w9WgXcQ.jpg"));
    assert_eq!((row.video_id.as_str(), row.columns.known.views), ("dQw4w9WgXcQ", None));
    assert_eq!(row.columns.known.subscribers, Some(1200));
    assert_eq!(row.columns.others, Map::new());
    assert_eq!(row.columns, json[0].clone().unwrap().columns);
    let named = csv[1].clone().unwrap();
    assert_eq!((named.line, named.video_id.as_str(), named.file_stem().len()), (3, "a/short", 16));
}

#[test]
fn other_columns_keep_their_types_except_derived_ones() {
    let text = "video_id,Aufrufe,sha256,mood,Live,duration,tag,\n\
        dQw4w9WgXcQ,12,00,calm,TRUE,1.5,007,\nBD-LB23rRBE,NA,00,,False,2,12,\n";
    let found = rows(text, TableFormat::Csv)
        .into_iter()
        .map(|row| serde_json::to_value(row.unwrap().columns).unwrap());
    let expected = [
        json!({"file_name": "", "video_id": "dQw4w9WgXcQ", "Aufrufe": 12, "mood": "calm", "Live": true, "duration": 1.5, "tag": "007"}),
        json!({"file_name": "", "video_id": "BD-LB23rRBE", "Live": false, "duration": 2.0, "tag": "12"}),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn columns_with_another_meaning_in_a_dataset_are_named() {
    let text = "video_id,views,part,Source,crawled_at,mood\ndQw4w9WgXcQ,1,trailer,me,2020-01-01,calm\n";
    let table = read_table(text, TableFormat::Csv).unwrap();
    assert_eq!(table.not_copied.reserved_columns.iter().collect::<Vec<_>>(), ["Source", "part"]);
    let row = serde_json::to_value(&table.rows[0].as_ref().unwrap().columns).unwrap();
    let expected = json!({"file_name": "", "video_id": "dQw4w9WgXcQ", "views": 1, "views_approximate": false,
        "crawled_at": "2020-01-01", "mood": "calm"});
    assert_eq!(row, expected);
}

#[test]
fn downloader_columns_are_recognised() {
    let text = r#"{"id":"BD-LB23rRBE","title":"t","thumbnail":"https://i.ytimg.com/vi/a.webp","filename":"t [BD].webm",
        "webpage_url":"https://www.youtube.com/watch?v=BD-LB23rRBE","url":"https://x.googlevideo.com/videoplayback",
        "view_count":1234,"channel":null,"uploader":"U","channel_id":"UCx","uploader_id":"@u","channel_follower_count":77,
        "upload_date":"20190501","timestamp":1556668800,"categories":["Music"],"tags":["a","b"],"formats":[{"f":1}],
        "extractor":"youtube","like_count":null}"#;
    let table = read_table(text, TableFormat::Json).unwrap();
    assert_eq!(table.not_copied.nested_columns.iter().collect::<Vec<_>>(), ["formats"]);
    let row = table.rows[0].as_ref().unwrap();
    assert_eq!((row.line, row.file.as_deref()), (1, None));
    let expected = json!({
        "file_name": "", "video_id": "BD-LB23rRBE", "title": "t", "channel_id": "UCx", "channel": "U",
        "category": "Music", "published": "2019-05-01", "views": 1234, "views_approximate": false,
        "subscribers": 77, "subscribers_approximate": false, "timestamp": 1_556_668_800, "tags": ["a", "b"],
        "uploader_id": "@u", "extractor": "youtube",
        "thumbnail": "https://i.ytimg.com/vi/a.webp", "url": "https://x.googlevideo.com/videoplayback",
    });
    assert_eq!(serde_json::to_value(&row.columns).unwrap(), expected);
    let printed = "id\ttitle\tview_count\tchannel_follower_count\tupload_date\n\
        BD-LB23rRBE\tNA\t12\tNA\tNA\n";
    let expected = json!({
        "file_name": "", "video_id": "BD-LB23rRBE", "title": "NA", "views": 12, "views_approximate": false,
    });
    assert_eq!(self::row(printed, TableFormat::Tsv), expected);
}

#[test]
fn data_api_responses_are_read() {
    let text = r#"{"kind":"youtube#videoListResponse","items":[{"kind":"youtube#video","id":"BD-LB23rRBE",
        "snippet":{"publishedAt":"2019-05-01T00:00:00Z","channelId":"UCx","title":"t","channelTitle":"U","categoryId":"10",
        "thumbnails":{"high":{"url":"u"}}},"statistics":{"viewCount":"1234","likeCount":"3"}}]}"#;
    let expected = json!({
        "file_name": "", "video_id": "BD-LB23rRBE", "title": "t", "channel_id": "UCx", "channel": "U",
        "category": "10", "published": "2019-05-01T00:00:00Z", "views": 1234, "views_approximate": false,
        "statistics.likeCount": "3", "kind": "youtube#video",
    });
    assert_eq!(row(text, TableFormat::Json), expected);
    let item = r#"{"items":[{"id":"UExx","snippet":{"title":"t","channelId":"UCowner","videoOwnerChannelId":"UCx",
        "resourceId":{"kind":"youtube#video","videoId":"BD-LB23rRBE"}}}]}"#;
    let found = row(item, TableFormat::Json);
    assert_eq!((&found["video_id"], &found["channel_id"]), (&json!("BD-LB23rRBE"), &json!("UCx")));
}

#[test]
fn latest_of_several_rows_of_a_video_is_kept() {
    let text = "video_id,trending_date,title,channel_title,category_id,publish_time,views,thumbnail_link\n\
        2kyS6SvSYSE,17.14.11,a,C,22,2017-11-13T17:13:01.000Z,\"748,374\",https://i.ytimg.com/vi/2kyS6SvSYSE/default.jpg\n\
        1ZAPwfrtAFY,17.14.11,b,D,24,2017-11-13T07:30:00.000Z,10,https://i.ytimg.com/vi/1ZAPwfrtAFY/default.jpg\n\
        2kyS6SvSYSE,17.15.11,a,C,22,2017-11-13T17:13:01.000Z,2188590,https://i.ytimg.com/vi/2kyS6SvSYSE/default.jpg\n\
        1ZAPwfrtAFY,17.15.11,b,D,24,2017-11-13T07:30:00.000Z,9,https://i.ytimg.com/vi/1ZAPwfrtAFY/default.jpg\n";
    let table = read_table(text, TableFormat::Csv).unwrap();
    let kept: Vec<_> = table
        .rows
        .iter()
        .map(|row| row.as_ref().unwrap())
        .map(|row| (row.line, row.columns.known.views))
        .collect();
    assert_eq!(kept, [(3, Some(10)), (4, Some(2_188_590))]);
    assert_eq!(table.repeated_lines, [2, 5]);
    let last = &table.rows[1].as_ref().unwrap().columns;
    assert_eq!(
        (last.known.category.as_deref(), &last.others["trending_date"]),
        (Some("22"), &json!("17.15.11"))
    );
}

#[test]
fn unusable_rows_are_reported_with_a_reason() {
    let error = read_table("name,views\na,1\n", TableFormat::Csv).unwrap_err();
    assert!(
        error.starts_with("line 1: no known column among name, views; the table needs a column for videos"),
        "{error}"
    );
    let error = read_table("[{\"id\": 1}]", TableFormat::Csv).unwrap_err();
    assert!(error.contains("name it .json"), "{error}");
    let check = |text: &str, want: &str| {
        let found = rows(text, TableFormat::Csv).pop().unwrap().unwrap_err();
        assert!(found.problem.contains(want), "{found:?}");
    };
    check("video_id,views\ndQw4w9WgXcQ,many\n", "views");
    check("video_id,views\ndQw4w9WgXcQ,-3\n", "views");
    check("video_id,views\n@one,3\n", "a channel; a video is required");
    check("video_id,file\nx,a.jpg\nx,b.jpg\n", "video x has another image in line 2");
    check("video_id,views\ndQw4w9WgXcQ\n", "expected 2 cells as in the header, found 1");
    check("video_id,views\n\"NA\",5\n", "the row has neither a video nor a file");
    check("url\nhttps://vimeo.com/1\n", "not a YouTube link, and the row has no ID");
    let named = rows("url,file\nhttps://vimeo.com/1,v1.jpg\n", TableFormat::Csv).remove(0).unwrap();
    assert_eq!(
        (named.video_id.as_str(), &named.columns.others["url"]),
        ("v1", &json!("https://vimeo.com/1"))
    );
}

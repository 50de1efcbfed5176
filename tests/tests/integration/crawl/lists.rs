//! Lists of videos and links of videos that users give.

use crawler::http::ImageFetcher;
use tests::fake_site::{Channel, FakeSite, Fault, Faults, Rule, World};

use super::{crawl, report, rows, start};

#[tokio::test]
async fn list_with_an_invalid_row_is_refused_and_nothing_is_crawled() {
    let site = FakeSite::start(World { channels: 1, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let video = &site.channels()[0].videos[0].id;
    let encoded: Vec<u8> =
        format!("\u{feff}video_id\r\n{video}\r\n#5\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, want) in [
        ("tag.csv", format!("title,video_id\n#shorts,none\nplain,{video}\n").into_bytes(), "line 2: “none”"),
        ("blank.csv", format!("video_id,n\r\n\r\n\r\nnot an id,1\r\n{video},2").into_bytes(), "line 4: "),
        ("cr.txt", format!("# comment\r{video}\rnone\r").into_bytes(), "line 3: “none”"),
        ("tag.jsonl", format!("{{\"id\":\"{video}\"}}\n# none\n").into_bytes(), "line 2: not a JSON object"),
        (
            "array.json",
            format!("[\n{{\"id\":\"{video}\"}},\n\n{{\"id\":\"#\"}}]").into_bytes(),
            "line 4: “#”",
        ),
        (
            "channel.txt",
            format!("{video}\n@creativecommons\n").into_bytes(),
            "channel.txt: line 2: “https://www.youtube.com/@creativecommons” is a channel",
        ),
        ("utf-16.csv", encoded, "line 3: “#5”"),
        ("latin-1.csv", b"video_id,title\nx,ma\xf1ana\n".to_vec(), "`iconv -f WINDOWS-1252 -t UTF-8 "),
        ("list.xlsx", b"PK\x03\x04..xl/workbook.xml".to_vec(), "an Excel workbook (.xlsx)"),
    ] {
        let file = cluster.folder().join(name);
        std::fs::write(&file, bytes).unwrap();
        let list = ["--videos", file.to_str().unwrap()];
        let arguments = crawl(&cluster, &site, "set", &[], &list);
        let ended = cluster.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{name}: {stderr}");
        assert!(stderr.contains(want) && stderr.contains(name), "{stderr}");
    }
    assert_eq!(site.requests().count(), 0);
    assert!(!cluster.folder().join("set").exists());
    cluster.finish().await;
}

#[tokio::test]
async fn link_of_a_video_is_its_thumbnail_as_a_crawl_takes_it() {
    let site = FakeSite::start(World { channels: 2, ..World::default() }, Faults::none()).await;
    let cluster = start(1, &[]).await;
    let channels: Vec<&Channel> = site.channels().iter().collect();
    report(&cluster, &crawl(&cluster, &site, "set", &channels, &[]), &[0]).await;
    let rows = rows(&cluster.folder().join("set"));
    let fetcher = ImageFetcher::new("127.0.0.1", 32 << 20).with_thumbnail_base(&site.base());
    let mut with_bars = 0;
    for (number, (video, row)) in rows.iter().enumerate() {
        let link = match number % 3 {
            0 => format!("https://www.youtube.com/watch?v={video}&t=3"),
            1 => format!("https://youtu.be/{video}"),
            _ => format!("https://m.youtube.com/shorts/{video}"),
        };
        let crawled = cluster.folder().join("set").join(row["file_name"].as_str().unwrap());
        assert!(fetcher.fetch(&link).await.unwrap() == std::fs::read(crawled).unwrap(), "{link}");
        with_bars += usize::from(row["thumbnail_crop"].is_array());
    }
    assert!(with_bars > 0, "no thumbnail has letterbox bars");

    let error = async |link: &str| fetcher.fetch(link).await.unwrap_err().to_string();
    let missing = error("https://www.youtube.com/watch?v=nosuchvideo").await;
    assert!(missing.contains("video nosuchvideo has no thumbnail"), "{missing}");
    let channel = error("https://www.youtube.com/@creativecommons").await;
    assert!(channel.contains("a channel; a video is required"), "{channel}");
    let playlist = error("https://www.youtube.com/playlist?list=PL1").await;
    assert!(playlist.contains("not a link to a video"), "{playlist}");
    site.faults().add(Rule::at("/vi/", Fault::Unavailable));
    let (video, _) = rows.first_key_value().unwrap();
    let failed = error(&format!("https://youtu.be/{video}")).await;
    assert!(failed.contains("maxresdefault.jpg: HTTP 503"), "{failed}");
    let refused = ImageFetcher::new("", 1000).with_thumbnail_base(&site.base());
    let refused = refused.fetch(&format!("https://youtu.be/{video}")).await.unwrap_err().to_string();
    assert!(refused.contains("does not have a public address"), "{refused}");
    cluster.finish().await;
}

//! Thumbnails.

use std::{collections::HashSet, io::Cursor};

use image::{AnimationDecoder, codecs::gif::GifDecoder};
use images::picture::Picture;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};

use super::{client, get, site};
use crate::{FakeSite, Fault, MissingResponse, Occurrences, Rule, Video, World};

const VARIANTS: [(&str, u32, u32); 5] = [
    ("maxresdefault", 1280, 720),
    ("sddefault", 640, 480),
    ("hqdefault", 480, 360),
    ("mqdefault", 320, 180),
    ("default", 120, 90),
];

fn path(video: &Video, file: &str) -> String {
    format!("/vi/{}/{file}.jpg", video.id)
}

async fn file(site: &FakeSite, path: &str) -> Vec<u8> {
    let response = get(site, path).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()[CONTENT_TYPE]),
        (200, &"image/jpeg".parse().unwrap())
    );
    let announced: usize = response.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes.len(), announced);
    bytes.to_vec()
}

fn decode(bytes: &[u8]) -> Picture {
    images::decode::decode(bytes).unwrap()
}

/// Returns the maximum brightness of rows.
fn brightest(picture: &Picture, rows: std::ops::Range<u32>) -> u8 {
    let row = picture.width as usize * 3;
    *picture.rgb[rows.start as usize * row..rows.end as usize * row].iter().max().unwrap()
}

#[tokio::test]
async fn each_variant_has_its_size_and_frames_of_4_to_3_have_bars() {
    let site = site(World::default(), []).await;
    let video = site.channels()[0].videos.iter().find(|video| video.has_maxres).unwrap();
    for (name, width, height) in VARIANTS {
        let picture = decode(&file(&site, &path(video, name)).await);
        assert_eq!((picture.width, picture.height), (width, height));
        let bar = (height - width * 9 / 16) / 2;
        // JPEG blurs the edge of a bar over a block.
        let inner = bar.saturating_sub(16);
        if inner > 0 {
            assert!(brightest(&picture, 0..inner) < 16 && brightest(&picture, height - inner..height) < 16);
        }
        assert!(brightest(&picture, bar + 16..height - bar - 16) > 64);
    }
}

#[tokio::test]
async fn equal_worlds_have_equal_images_and_videos_differ() {
    let world = || World { channels: 4, videos_per_channel: 8, ..World::default() };
    let (site, twin) = (site(world(), []).await, site(world(), []).await);
    let mut different = HashSet::new();
    let mut videos = 0;
    for channel in site.channels() {
        for video in &channel.videos {
            let path = path(video, "mqdefault");
            let bytes = file(&site, &path).await;
            assert_eq!(bytes, file(&twin, &path).await);
            different.insert(bytes);
            videos += 1;
        }
    }
    // One channel in four has a repeated upload.
    assert_eq!(different.len(), videos - 1);
}

#[tokio::test]
async fn missing_variant_is_a_small_grey_placeholder() {
    let site = site(World { channels: 20, ..World::default() }, []).await;
    let missing = |kind| {
        site.channels().iter().flat_map(|c| &c.videos).find(|v| !v.has_maxres && v.missing == kind).unwrap()
    };
    let unknown = "/vi/AAAAAAAAAAA/hqdefault.jpg".to_owned();
    for (path, status) in [
        (path(missing(MissingResponse::NotFound), "maxresdefault"), 404),
        (path(missing(MissingResponse::Ok), "maxresdefault"), 200),
        (unknown, 404),
    ] {
        let response = get(&site, &path).await;
        assert_eq!(response.status(), status);
        let picture = decode(&response.bytes().await.unwrap());
        assert_eq!((picture.width, picture.height), (120, 90));
    }
    let videos: Vec<_> = site.channels().iter().flat_map(|channel| &channel.videos).collect();
    let share = |has: fn(&Video) -> bool| {
        videos.iter().filter(|video| has(video)).count() as f64 / videos.len() as f64
    };
    assert!((0.84..0.92).contains(&share(|video| video.has_maxres)));
    assert!((0.93..0.99).contains(&share(|video| video.has_sd)));
    assert!(videos.iter().all(|video| video.has_sd || !video.has_maxres));
}

#[tokio::test]
async fn unchanged_image_is_not_sent_again() {
    let site = site(World::default(), []).await;
    let path = path(&site.channels()[0].videos[0], "hqdefault");
    let tag = get(&site, &path).await.headers()[ETAG].clone();
    let again = client().get(site.base().join(&path).unwrap()).header(IF_NONE_MATCH, &tag);
    let again = again.send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()[ETAG]), (304, &tag));
    assert_eq!(site.requests().to(&path).count(), 2);
    assert_eq!(site.requests().to(&path).answered(304).count(), 1);
}

#[tokio::test]
async fn image_faults_have_their_effects() {
    let site = site(World::default(), []).await;
    let path = path(&site.channels()[0].videos[0], "hqdefault");
    let right = file(&site, &path).await;
    for fault in [Fault::AnimatedImage, Fault::OversizedImage, Fault::LongImage(1 << 20), Fault::NotAnImage] {
        site.faults().add(Rule::at("/vi/", fault).on(Occurrences::First(1)));
        let odd = file(&site, &path).await;
        match fault {
            Fault::LongImage(more) => {
                assert_eq!(odd.len(), right.len() + more);
                assert!(odd.starts_with(&right));
            }
            Fault::AnimatedImage => {
                let animation = GifDecoder::new(Cursor::new(&odd)).unwrap();
                assert_eq!(animation.into_frames().count(), 2);
            }
            _ => assert!(images::decode::decode(&odd).is_err(), "{fault:?}"),
        }
        site.faults().clear();
    }
    assert_eq!(file(&site, &path).await, right);
}

//! Names, titles and IDs.
//!
//! Titles include text that breaks naive parsers: braces, quotes, ends of scripts and other alphabets.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{Rng, RngExt};

const ADJECTIVES: [&str; 12] = [
    "Quiet", "Rapid", "Golden", "Hungry", "Tiny", "Brave", "Frozen", "Lucky", "Electric", "Gentle", "Wild",
    "Honest",
];
const NOUNS: [&str; 12] = [
    "Otter", "Harbour", "Noodle", "Comet", "Lantern", "Falcon", "Orchard", "Tiger", "Kettle", "Meadow",
    "Pixel", "Dumpling",
];
/// Parts of every eleventh title. Each breaks a parser that searches for a stop string.
const TRAPS: [&str; 9] = [
    r#"what does "};</script> do?"#,
    r#"};var ytInitialData = {"contents":{}};"#,
    r#"{"videoId":"AAAAAAAAAAA"} is not a video"#,
    r"C:\new\table\ ends with a backslash \",
    r#"She said \"}}]};\" {{{ [[["#,
    "first line\nsecond line;\u{2028}third",
    "Fish &amp; <b>chips</b> & 'tea'",
    "\u{200f}کھانا 🍜 먹방 – ASMR\u{ad}",
    r#"];window["ytInitialData"] = null; // """#,
];

/// Returns `UC` and 128 bits in 22 characters.
pub(super) fn channel_id(random: &mut impl Rng) -> String {
    format!("UC{}", URL_SAFE_NO_PAD.encode(random.random::<[u8; 16]>()))
}

/// Returns 64 bits in 11 characters.
pub(super) fn video_id(random: &mut impl Rng) -> String {
    URL_SAFE_NO_PAD.encode(random.random::<[u8; 8]>())
}

pub(super) fn channel_title(random: &mut impl Rng, number: u32) -> String {
    let (adjective, noun) = (pick(random, &ADJECTIVES), pick(random, &NOUNS));
    format!("{adjective} {noun} {number}")
}

pub(super) fn handle(title: &str, number: u32) -> String {
    let letters: String = title.chars().filter(char::is_ascii_alphabetic).collect();
    format!("@{letters}.{number}")
}

pub(super) fn video_title(random: &mut impl Rng, category: &str, number: u32) -> String {
    let (adjective, noun) = (pick(random, &ADJECTIVES), pick(random, &NOUNS));
    if number % 11 == 7 {
        return format!("{noun} {number}: {}", TRAPS[(number / 11) as usize % TRAPS.len()]);
    }
    format!("The {} {} of {category}, part {number}", adjective.to_lowercase(), noun.to_lowercase())
}

fn pick<'a>(random: &mut impl Rng, from: &[&'a str]) -> &'a str {
    from[random.random_range(0..from.len())]
}

//! Pages: channels, rankings and robots.txt.
//!
//! Owns HTML. What a channel's page says is data from `tab`; what a ranking says is only there once its
//! script has run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    channel::{CATEGORIES, Channel, KOREAN_CATEGORIES},
    counts::Language,
    exchange::{Answer, Asked},
    faults::Fault,
    refusals::page_not_found,
    site::Site,
    spoil::written,
    tab::{self, Manner, Tab},
    world::{Angles, InitialData},
};

/// A channel's page, by the parts of its path.
pub(super) fn channel(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let Some((name, tab)) = place(&asked.path) else { return page_not_found() };
    let Some(channel) = site.content.channel(name).filter(|_| fault != Some(Fault::NotFound)) else {
        return page_not_found();
    };
    let language = Language::of(asked.query("hl").unwrap_or("en"), asked.query("gl").unwrap_or("US"));
    let data = written(tab::page(channel, tab, Manner { language, fault }), fault);
    Answer::html(200, html(channel, &data, site.world.initial_data, site.world.angles))
        .with("cache-control", "no-cache, no-store, max-age=0, must-revalidate")
}

/// What a channel's address calls it, and which tab it is for.
pub(super) fn place(path: &str) -> Option<(&str, Tab)> {
    let path = path.strip_prefix('/')?;
    let path = ["channel/", "user/", "c/"].iter().find_map(|kind| path.strip_prefix(kind)).unwrap_or(path);
    let (name, tab) = path.split_once('/').unwrap_or((path, ""));
    match tab.trim_end_matches('/') {
        "" | "featured" => Some((name, Tab::Home)),
        "videos" => Some((name, Tab::Videos)),
        _ => None,
    }
}

fn html(channel: &Channel, data: &[u8], spelling: InitialData, angles: Angles) -> Vec<u8> {
    let title = escaped(&channel.title);
    let head = format!(
        r#"<!DOCTYPE html><html style="font-size: 10px" lang="en" dir="ltr"><head><meta charset="utf-8">
<title>{title} - YouTube</title>
<link rel="canonical" href="https://www.youtube.com/channel/{id}">
<meta property="og:title" content="{title}"><meta itemprop="identifier" content="{id}">
<script nonce="fixture">var ytcfg={{d:function(){{return window.yt&&yt.config_||ytcfg.data_||(ytcfg.data_={{}})}}}};
if(window["ytInitialData"]){{window.ytEarly=true;}}</script></head><body dir="ltr">
<script nonce="fixture">var ytInitialPlayerResponse = null;</script>"#,
        id = channel.id,
    );
    let (before, after) = match spelling {
        InitialData::Var => ("<script nonce=\"fixture\">var ytInitialData = ", ";</script>"),
        InitialData::Window => (
            "<script>\n    window[\"ytInitialData\"] = ",
            ";\n    window[\"ytInitialPlayerResponse\"] = null;\n    if (window.ytcsi) {window.ytcsi.tick(\"pdr\");};</script>",
        ),
    };
    let foot = "<script nonce=\"fixture\">if (window.ytcsi) {window.ytcsi.tick('gcc', null, '');}</script>\
        <div id=\"content\"></div></body></html>";
    let data = if angles == Angles::Escaped { without_angles(data) } else { data.to_vec() };
    [head.as_bytes(), before.as_bytes(), &data, after.as_bytes(), foot.as_bytes()].concat()
}

/// Writes what would end a script as escapes of JSON, as bytes because a fault may have broken the text.
fn without_angles(data: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(data.len());
    for byte in data {
        match byte {
            b'<' | b'>' | b'&' => written.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => written.push(*byte),
        }
    }
    written
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn robots(fault: Option<Fault>) -> Answer {
    if fault == Some(Fault::NotFound) {
        return page_not_found();
    }
    let mut text = "# robots.txt file for YouTube\n\nUser-agent: Mediapartners-Google*\nDisallow:\n\n\
        User-agent: *\n"
        .to_owned();
    let mut disallowed = vec!["/api/", "/comment", "/get_video", "/login", "/results", "/youtubei/"];
    if fault == Some(Fault::ChannelsDisallowed) {
        disallowed.extend(["/@", "/channel/", "/c/", "/user/"]);
    }
    if fault == Some(Fault::RankingsDisallowed) {
        disallowed.push("/ranking/");
    }
    for path in disallowed {
        writeln!(text, "Disallow: {path}").expect("a string takes all");
    }
    text.push_str("\nSitemap: https://www.youtube.com/sitemaps/sitemap.xml\n");
    Answer::text(200, text)
}

/// The ranking of a category: a table whose rows are built by a script, after a while.
pub(super) fn ranking(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let name = asked.path.trim_start_matches("/ranking/").trim_end_matches('/');
    let spellings = CATEGORIES.iter().zip(KOREAN_CATEGORIES);
    let category = spellings.clone().find(|(category, korean)| [*category, korean].contains(&&name));
    let Some((category, _)) = category.filter(|_| fault != Some(Fault::NotFound)) else {
        return page_not_found();
    };
    let rows = if fault == Some(Fault::NoItems) { Vec::new() } else { ranked(site, category) };
    let rows = without_angles(Value::Array(rows).to_string().as_bytes());
    let rows = String::from_utf8(rows).expect("escapes are ASCII");
    let delay = site.world.script_delay.as_millis();
    let id = if fault == Some(Fault::SchemaDrift) { "chart" } else { "ranking" };
    Answer::html(
        200,
        format!(
            r##"<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Top channels: {category}</title></head>
<body><h1>Top channels: {category}</h1><p id="status">Loading…</p>
<table id="{id}"><thead><tr><th>Rank</th><th>Channel</th><th>Subscribers</th></tr></thead><tbody></tbody></table>
<noscript>This page needs JavaScript.</noscript>
<script>
var rows = {rows};
setTimeout(function () {{
  var body = document.querySelector("#{id} tbody");
  rows.forEach(function (row) {{
    var line = body.insertRow(), link = document.createElement("a");
    line.className = "channel";
    [["rank", row[0]], ["name", ""], ["subscribers", row[3]]].forEach(function (cell) {{
      var made = line.insertCell();
      made.className = cell[0];
      made.textContent = cell[1];
    }});
    link.href = "https://www.youtube.com/channel/" + row[2];
    link.textContent = row[1];
    line.cells[1].appendChild(link);
  }});
  document.getElementById("status").remove();
  document.body.dataset.ready = "true";
}}, {delay});
</script></body></html>"##
        ),
    )
}

/// Rank, name, id and subscribers of each channel of a category, the greatest first.
fn ranked(site: &Site, category: &str) -> Vec<Value> {
    let mut channels: Vec<&Channel> =
        site.content.channels.iter().filter(|channel| channel.category == category).collect();
    channels.sort_by_key(|channel| std::cmp::Reverse(channel.subscribers));
    let row = |(at, channel): (usize, &Channel)| {
        let subscribers = Language::American.subscribers(channel.subscribers);
        json!([at + 1, channel.title, channel.id, subscribers.trim_end_matches(" subscribers")])
    };
    channels.into_iter().enumerate().map(row).collect()
}

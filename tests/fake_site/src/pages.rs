//! HTML pages of channels and rankings, and robots.txt.
//!
//! A channel's data comes from `tab`. A ranking's rows appear only after its script has run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    channel::{CATEGORIES, Channel, KOREAN_CATEGORIES},
    corruption::serialize,
    counts::Language,
    exchange::{SiteRequest, SiteResponse},
    faults::Fault,
    refusals::page_not_found,
    site::Site,
    tab::{self, RenderOptions, Tab},
    world::{AngleBrackets, InitialData},
};

/// Returns a channel's page.
pub(super) fn channel(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let Some((name, tab)) = parse_path(&request.path) else { return page_not_found() };
    let Some(channel) = site.content.channel(name).filter(|_| fault != Some(Fault::NotFound)) else {
        return page_not_found();
    };
    let language = Language::of(request.query("hl").unwrap_or("en"), request.query("gl").unwrap_or("US"));
    let data = serialize(tab::page(channel, tab, RenderOptions { language, fault }), fault);
    SiteResponse::html(200, html(channel, &data, site.world.initial_data, site.world.angles))
        .with("cache-control", "no-cache, no-store, max-age=0, must-revalidate")
}

/// Returns the channel's name and the tab in a path.
pub(super) fn parse_path(path: &str) -> Option<(&str, Tab)> {
    let path = path.strip_prefix('/')?;
    let path = ["channel/", "user/", "c/"].iter().find_map(|kind| path.strip_prefix(kind)).unwrap_or(path);
    let (name, tab) = path.split_once('/').unwrap_or((path, ""));
    match tab.trim_end_matches('/') {
        "" | "featured" => Some((name, Tab::Home)),
        "videos" => Some((name, Tab::Videos)),
        _ => None,
    }
}

fn html(channel: &Channel, data: &[u8], spelling: InitialData, angles: AngleBrackets) -> Vec<u8> {
    let title = escape_html(&channel.title);
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
    let data = if angles == AngleBrackets::Escaped { escape_angle_brackets(data) } else { data.to_vec() };
    [head.as_bytes(), before.as_bytes(), &data, after.as_bytes(), foot.as_bytes()].concat()
}

/// Escapes characters that could end a script. Works on bytes, since a fault may have made the text invalid.
fn escape_angle_brackets(data: &[u8]) -> Vec<u8> {
    let mut serialize = Vec::with_capacity(data.len());
    for byte in data {
        match byte {
            b'<' | b'>' | b'&' => serialize.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => serialize.push(*byte),
        }
    }
    serialize
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn robots(fault: Option<Fault>) -> SiteResponse {
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
        writeln!(text, "Disallow: {path}").expect("writing to a string does not fail");
    }
    text.push_str("\nSitemap: https://www.youtube.com/sitemaps/sitemap.xml\n");
    SiteResponse::text(200, text)
}

/// Returns the ranking of a category, a table that a script fills after a delay.
pub(super) fn ranking(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let name = request.path.trim_start_matches("/ranking/").trim_end_matches('/');
    let spellings = CATEGORIES.iter().zip(KOREAN_CATEGORIES);
    let category = spellings.clone().find(|(category, korean)| [*category, korean].contains(&&name));
    let Some((category, _)) = category.filter(|_| fault != Some(Fault::NotFound)) else {
        return page_not_found();
    };
    let rows = if fault == Some(Fault::NoItems) { Vec::new() } else { ranked(site, category) };
    let rows = escape_angle_brackets(Value::Array(rows).to_string().as_bytes());
    let rows = String::from_utf8(rows).expect("escapes are ASCII");
    let delay = site.world.script_delay.as_millis();
    let id = if fault == Some(Fault::SchemaDrift) { "chart" } else { "ranking" };
    SiteResponse::html(
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

/// Returns rank, title, ID and subscribers of the channels in a category, largest first.
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

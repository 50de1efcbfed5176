//! Tests of the site over HTTP, with a small independent reader of its responses.

mod api;
mod blocked;
mod counting;
mod images;
mod recorded;
mod walks;

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{Channel, FakeSite, Faults, Rule, World};

async fn site(world: World, rules: impl IntoIterator<Item = Rule>) -> FakeSite {
    FakeSite::start(world, Faults::of(rules)).await
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn get(site: &FakeSite, path: &str) -> Response {
    client().get(site.base().join(path).unwrap()).send().await.unwrap()
}

/// Waits up to ten seconds until `condition` holds.
async fn eventually(description: &str, mut condition: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < Duration::from_secs(10), "not within ten seconds: {description}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn post(site: &FakeSite, path: &str, fields: Value) -> Response {
    let mut body = json!({"context": {"client": {
        "hl": "en", "gl": "US", "clientName": "WEB", "clientVersion": "2.20260519.10.00",
    }}});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    client().post(site.base().join(path).unwrap()).json(&body).send().await.unwrap()
}

async fn browse(site: &FakeSite, fields: Value) -> Value {
    let response = post(site, "/youtubei/v1/browse?prettyPrint=false", fields).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

async fn videos_tab(site: &FakeSite, channel: &Channel) -> Value {
    browse(site, json!({"browseId": channel.id, "params": "EgZ2aWRlb3PyBgQKAjoA"})).await
}

/// Returns the data of a page, from its first assignment; titles may contain another.
fn initial_data(page: &str) -> Value {
    let spellings = ["var ytInitialData = ", "window[\"ytInitialData\"] = "];
    let begins = |spelling: &str| page.find(spelling).map(|at| at + spelling.len());
    let at = spellings.into_iter().filter_map(begins).min().unwrap_or_else(|| panic!("no data in {page}"));
    serde_json::Deserializer::from_str(&page[at..]).into_iter().next().unwrap().unwrap()
}

fn selected_grid(data: &Value) -> &Value {
    let tabs = data["contents"]["twoColumnBrowseResultsRenderer"]["tabs"].as_array().unwrap();
    let tab = tabs.iter().find(|tab| tab["tabRenderer"]["selected"] == true).unwrap();
    &tab["tabRenderer"]["content"]["richGridRenderer"]
}

/// Returns the action and the items of a continuation response.
fn more_items(data: &Value) -> (&'static str, &Vec<Value>) {
    let actions = data["onResponseReceivedActions"].as_array().unwrap();
    let action = actions.last().unwrap();
    let found = ["appendContinuationItemsAction", "reloadContinuationItemsCommand"];
    let name = found.into_iter().find(|name| action.get(name).is_some()).unwrap();
    (name, action[name]["continuationItems"].as_array().unwrap())
}

/// Returns all tokens in a value.
fn tokens(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = value["continuationCommand"]["token"].as_str().map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(tokens)).collect()
        }
        Value::Array(values) => values.iter().flat_map(tokens).collect(),
        _ => Vec::new(),
    }
}

/// Returns the token of the order labelled `label`, in any layout.
fn order_token(header: &Value, label: &str) -> String {
    fn find<'a>(value: &'a Value, label: &str) -> Option<&'a Value> {
        let reads = |text: &Value| text == label;
        let is_order = reads(&value["title"]["content"])
            || reads(&value["text"]["simpleText"])
            // A chip that opens a sheet is not an order.
            || reads(&value["text"]) && value["tapCommand"]["innertubeCommand"].get("showSheetCommand").is_none();
        if is_order {
            return Some(value);
        }
        match value {
            Value::Object(fields) => fields.values().find_map(|field| find(field, label)),
            Value::Array(values) => values.iter().find_map(|value| find(value, label)),
            _ => None,
        }
    }
    let found = tokens(find(header, label).unwrap_or_else(|| panic!("no {label} in {header}")));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// Returns an item's ID and title, or `None` if the value is not an item.
fn item(value: &Value) -> Option<(String, String)> {
    let content = &value["richItemRenderer"]["content"];
    if let Some(id) = content["videoRenderer"]["videoId"].as_str() {
        let title = content["videoRenderer"]["title"]["runs"][0]["text"].as_str().unwrap_or_default();
        return Some((id.to_owned(), title.to_owned()));
    }
    let id = content["lockupViewModel"]["contentId"].as_str()?;
    assert_eq!(content["lockupViewModel"]["contentType"], "LOCKUP_CONTENT_TYPE_VIDEO");
    let title = &content["lockupViewModel"]["metadata"]["lockupMetadataViewModel"]["title"]["content"];
    Some((id.to_owned(), title.as_str().unwrap().to_owned()))
}

/// Reads a list with its continuations.
async fn follow(site: &FakeSite, first: &[Value]) -> Vec<(String, String)> {
    let mut found: Vec<_> = first.iter().filter_map(item).collect();
    let mut next = tokens(first.last().unwrap());
    while let Some(token) = next.pop() {
        let data = browse(site, json!({"continuation": token})).await;
        let (action, items) = more_items(&data);
        assert_eq!(action, "appendContinuationItemsAction");
        found.extend(items.iter().filter_map(item));
        next = tokens(items.last().unwrap());
        // Menus have no tokens; the last entry has at most one.
        assert!(next.len() <= 1);
    }
    found
}

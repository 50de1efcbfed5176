//! Compares the site's JSON shapes with recorded responses.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use super::{browse, more_items, selected_grid, site, tokens, videos_tab};
use crate::real_data::real_data;
use crate::{Fault, Rule, World};

/// Paths of items in recorded pages and in continuations.
const FIRST: &str = ".contents.twoColumnBrowseResultsRenderer.tabs[].tabRenderer.content.richGridRenderer";
const MORE: &str = ".onResponseReceivedActions[].appendContinuationItemsAction.continuationItems[]";
/// Shapes known from other sources that are not in the recordings.
const UNRECORDED: [&str; 6] = [
    ".continuationEndpoint.commandExecutorCommand",
    ".continuationItemViewModel",
    // Live streams.
    ".videoRenderer.viewCountText.runs",
    // The sheet with the orders.
    ".tapCommand.innertubeCommand.showSheetCommand",
    // The older header, which recorded errors have without texts.
    ".header.c4TabbedHeaderRenderer.",
    // The response to a chip.
    ".onResponseReceivedActions[].reloadContinuationItemsCommand",
];

/// Collects the paths of all scalar values with their types.
fn shapes(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                shapes(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| shapes(value, &format!("{path}[]"), found)),
        Value::String(_) => drop(found.insert(format!("{path}: text"))),
        Value::Number(_) => drop(found.insert(format!("{path}: number"))),
        Value::Bool(_) | Value::Null => drop(found.insert(path.to_owned())),
    }
}

fn recorded(folder: &Path) -> BTreeSet<String> {
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let files = |folder: &Path| {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect::<Vec<_>>()
    };
    let mut found = BTreeSet::new();
    for path in files(folder) {
        shapes(&read(&path)["response"]["body"], "", &mut found);
    }
    for path in files(&folder.join("items")) {
        let item = read(&path);
        let layout = if item["videoId"].is_string() { "videoRenderer" } else { "lockupViewModel" };
        let item = json!({"richItemRenderer": {"content": {layout: item}}});
        shapes(&item, &format!("{FIRST}.contents[]"), &mut found);
        shapes(&item, MORE, &mut found);
    }
    found
}

#[tokio::test]
async fn all_shapes_occur_in_recorded_responses() {
    let Some(data) = real_data("all_shapes_occur_in_recorded_responses") else { return };
    let recorded = recorded(&data.join("youtube-responses"));
    let site = site(World::default(), []).await;
    let mut own = BTreeSet::new();
    for channel in site.channels() {
        let first = videos_tab(&site, channel).await;
        let mut next = tokens(selected_grid(&first)["contents"].as_array().unwrap().last().unwrap());
        shapes(&first, "", &mut own);
        while let Some(token) = next.pop() {
            let more = browse(&site, json!({"continuation": token})).await;
            next = tokens(more_items(&more).1.last().unwrap());
            shapes(&more, "", &mut own);
        }
    }
    let channel = &site.channels()[0];
    for fault in [Fault::Terminated, Fault::AgeGate] {
        site.faults().clear();
        site.faults().add(Rule::of_channel(&channel.id, fault));
        shapes(&videos_tab(&site, channel).await, "", &mut own);
    }
    let is_known = |path: &&String| UNRECORDED.iter().any(|known| path.contains(known));
    let odd: Vec<_> = own.difference(&recorded).filter(|path| !is_known(path)).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    assert!(own.len() > 200, "only {} shapes", own.len());
}

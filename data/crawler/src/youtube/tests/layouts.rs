//! Minimal layouts of a Videos tab: known ones, and changed ones, whose errors must name the change.

use serde_json::{Value, json};

use crate::youtube::{
    channel::{FirstPage, Resolved, VideoPage, first_page, next_page, resolved},
    counts::Count,
    faults::{Fault, FaultClass},
};

const ID: &str = "UCTwECeGqMZee77BjdoYtI2Q";

fn video(id: &str, parts: &[&str]) -> Value {
    let parts: Vec<Value> = parts.iter().map(|part| json!({"text": {"content": part}})).collect();
    let rows = json!({"contentMetadataViewModel": {"metadataRows": [{"metadataParts": parts}]}});
    let metadata = json!({"lockupMetadataViewModel": {"title": {"content": "Title"}, "metadata": rows}});
    let lockup = json!({"contentId": id, "contentType": "LOCKUP_CONTENT_TYPE_VIDEO", "metadata": metadata});
    json!({"richItemRenderer": {"content": {"lockupViewModel": lockup}}})
}

fn videos() -> Vec<Value> {
    ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"].map(|id| video(id, &["1.2K views", "1 year ago"])).into()
}

/// A response that appends these entries.
fn appended(entries: impl Into<Value>) -> Value {
    let action = json!({"continuationItems": entries.into()});
    json!({"onResponseReceivedActions": [{"appendContinuationItemsAction": action}]})
}

fn more(token: &str) -> Value {
    json!({"continuationItemRenderer": {"continuationEndpoint": {"continuationCommand": {"token": token}}}})
}

fn tab(name: &str, content: Option<Value>) -> Value {
    let url = format!("/@someone/{}", name.to_lowercase());
    let endpoint = json!({"commandMetadata": {"webCommandMetadata": {"url": url}}});
    let mut tab = json!({"title": name, "endpoint": endpoint});
    if let Some(content) = content {
        tab["selected"] = true.into();
        tab["content"] = content;
    }
    json!({"tabRenderer": tab})
}

fn header(rows: &[&[&str]]) -> Value {
    let part = |part: &&str| json!({"text": {"content": part}});
    let row = |row: &&[&str]| json!({"metadataParts": row.iter().map(part).collect::<Vec<_>>()});
    let rows: Vec<Value> = rows.iter().map(row).collect();
    let metadata = json!({"contentMetadataViewModel": {"metadataRows": rows}});
    json!({"pageHeaderRenderer": {"content": {"pageHeaderViewModel": {"metadata": metadata}}}})
}

fn response(content: Value) -> Value {
    json!({
        "contents": {"twoColumnBrowseResultsRenderer": {
            "tabs": [tab("Home", None), tab("Videos", Some(content))],
        }},
        "header": header(&[&["@someone"], &["1.09K subscribers", "3 videos"]]),
        "metadata": {"channelMetadataRenderer": {"externalId": ID, "title": "Someone"}},
    })
}

fn grid(entries: &[Value]) -> Value {
    json!({"richGridRenderer": {"contents": entries}})
}

fn full_page() -> Value {
    response(grid(&videos()))
}

fn ids(page: &VideoPage) -> Vec<&str> {
    page.items.iter().map(|item| item.video_id.as_str()).collect()
}

fn read(response: &Value) -> FirstPage {
    first_page(response).unwrap()
}

#[test]
fn small_channel_has_one_page_and_no_orders() {
    let found = read(&full_page());
    assert_eq!(ids(&found.page), ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"]);
    assert_eq!((found.page.continuation, found.orders.popular, found.empty), (None, None, None));
    assert_eq!(found.channel.subscribers, Some(Count { value: 1_090, approximate: true, step: 10 }));
    assert_eq!(found.channel.handle, None);
}

#[test]
fn hidden_subscribers_are_not_zero() {
    let check = |header: Value, expected: Option<u64>| {
        let mut response = full_page();
        response["header"] = header;
        assert_eq!(read(&response).channel.subscribers.map(|count| count.value), expected);
    };
    check(header(&[&["@someone"], &["3 videos"]]), None);
    check(header(&[&["@someone"]]), None);
    check(header(&[&["@someone"], &["No subscribers", "3 videos"]]), Some(0));
    check(json!({"c4TabbedHeaderRenderer": {"title": "Someone"}}), None);
    let text = json!({"simpleText": "24.6M subscribers"});
    check(json!({"c4TabbedHeaderRenderer": {"subscriberCountText": text}}), Some(24_600_000));
}

#[test]
fn channel_without_videos_has_a_message() {
    let check = |entry: Value| {
        let found = read(&response(json!({"sectionListRenderer": {"contents": [entry]}})));
        assert_eq!(
            (found.page, found.empty.as_deref()),
            (VideoPage::default(), Some("This channel has no videos."))
        );
    };
    let text = json!({"simpleText": "This channel has no videos."});
    check(json!({"itemSectionRenderer": {"contents": [{"messageRenderer": {"text": text}}]}}));
    check(json!({"channelOwnerEmptyStateRenderer": {"description": text}}));
}

#[test]
fn unreadable_items_are_reported_and_the_others_parsed() {
    let mut entries = videos();
    entries.push(video("ddddddddddd", &["1.2 Tsd views", "1 year ago"]));
    entries.push(json!({"richItemRenderer": {"content": {"reelItemRenderer": {}}}}));
    entries.push(json!({"richSectionRenderer": {}}));
    entries.push(json!({"adSlotRenderer": {}}));
    entries.push(more("next"));
    let page = read(&response(grid(&entries))).page;
    assert_eq!((page.items.len(), page.continuation.as_deref()), (3, Some("next")));
    let problems: Vec<&str> = page.unread.iter().map(|drift| drift.problem.as_str()).collect();
    let expected = [
        "“1.2 Tsd views” is not a known format of views",
        "unknown kind of item: reelItemRenderer",
        "unknown kind of entry: richSectionRenderer",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn tokens_are_found_in_every_layout() {
    let check = |entry: Value| {
        let mut entries = videos();
        entries.push(entry);
        assert_eq!(read(&response(grid(&entries))).page.continuation.as_deref(), Some("next"));
    };
    let command = json!({"continuationCommand": {"token": "next"}});
    let several = json!({"commandExecutorCommand": {"commands": [{"other": {}}, command]}});
    check(more("next"));
    check(json!({"continuationItemRenderer": {"continuationEndpoint": several}}));
    check(json!({"continuationItemRenderer": {"button": {"buttonRenderer": {"command": command}}}}));
    check(json!({"continuationItemViewModel": {"continuationCommand": {"innertubeCommand": command}}}));
}

#[test]
fn continuation_response_is_a_page() {
    let mut entries = videos();
    entries.push(more("third"));
    let append = appended(entries);
    let page = next_page(&append).unwrap();
    assert_eq!((page.items.len(), page.continuation.as_deref()), (3, Some("third")));

    let bar = json!([{"chipBarViewModel": {}}]);
    let header = json!({"slot": "RELOAD_CONTINUATION_SLOT_HEADER", "continuationItems": bar});
    let body = json!({"slot": "RELOAD_CONTINUATION_SLOT_BODY", "continuationItems": videos()});
    let commands =
        json!([{"reloadContinuationItemsCommand": header}, {"reloadContinuationItemsCommand": body}]);
    let page = next_page(&json!({"onResponseReceivedActions": commands})).unwrap();
    assert_eq!((page.items.len(), page.unread.len(), page.continuation), (3, 0, None));

    let end =
        json!({"onResponseReceivedActions": [{"appendContinuationItemsAction": {"continuationItems": []}}]});
    assert_eq!(next_page(&end), Ok(VideoPage::default()));
}

#[test]
fn links_resolve_to_channels_or_redirects() {
    let check = |endpoint: Value, expected: Resolved| {
        assert_eq!(resolved(&json!({"endpoint": endpoint})), Ok(expected));
    };
    check(json!({"browseEndpoint": {"browseId": ID}}), Resolved::Channel(ID.parse().unwrap()));
    let url = "https://www.youtube.com/@someone";
    check(json!({"urlEndpoint": {"url": url}}), Resolved::Redirect(url.to_owned()));
    let playlist = resolved(&json!({"endpoint": {"browseEndpoint": {"browseId": "VLPL1"}}})).unwrap_err();
    assert_eq!(playlist.class(), FaultClass::Permanent);
    let watch = resolved(&json!({"endpoint": {"watchEndpoint": {}}})).unwrap_err();
    assert_eq!(
        watch.to_string(),
        "unknown response layout at endpoint: expected a channel or a link, found watchEndpoint"
    );
}

fn assert_fault(case: &str, found: Result<impl std::fmt::Debug, Fault>, class: FaultClass, expected: &str) {
    let fault = found.unwrap_err();
    println!("{case:<34} {:?}: {fault}", fault.class());
    assert_eq!(fault.class(), class, "{case}");
    assert!(fault.to_string().contains(expected), "{case}: {fault}");
}

#[test]
fn invalid_first_pages_are_classified_and_explained() {
    let check = |case: &str, class: FaultClass, expected: &str, change: &dyn Fn(&mut Value)| {
        let mut response = full_page();
        change(&mut response);
        assert_fault(case, first_page(&response), class, expected);
    };
    let tabs = |tabs: Value| json!({"twoColumnBrowseResultsRenderer": {"tabs": tabs}});
    let alert = |text: &str| json!([{"alertRenderer": {"type": "ERROR", "text": {"simpleText": text}}}]);
    let message = |text: &str| {
        let entry = json!({"messageRenderer": {"text": {"simpleText": text}}});
        json!({"sectionListRenderer": {"contents": [{"itemSectionRenderer": {"contents": [entry]}}]}})
    };

    check("an empty response", FaultClass::Transient, "missing contents, found nothing", &|a| *a = json!({}));
    check("a notice only", FaultClass::Transient, "missing contents, found alerts", &|a| {
        *a = json!({"alerts": [{"alertRenderer": {"type": "INFO", "text": {"simpleText": "Hello"}}}]});
    });
    check(
        "no such channel",
        FaultClass::Permanent,
        "the channel does not exist: This channel does not exist.",
        &|a| {
            *a = json!({"alerts": alert("This channel does not exist.")});
        },
    );
    check("no Videos tab", FaultClass::Permanent, "no Videos tab; its tabs are: Home, Playlists", &|a| {
        a["contents"] = tabs(json!([tab("Home", Some(json!({}))), tab("Playlists", None)]));
    });
    check("another tab", FaultClass::Drift, "the selected tab is not Videos", &|a| {
        a["contents"] = tabs(json!([tab("Home", Some(json!({}))), tab("Videos", None)]));
    });
    check("no tab selected", FaultClass::Drift, "tabs: no tab is selected", &|a| {
        a["contents"] = tabs(json!([tab("Videos", None)]));
    });
    check(
        "another browser layout",
        FaultClass::Drift,
        "missing twoColumnBrowseResultsRenderer, found x",
        &|a| {
            a["contents"] = json!({"x": {}});
        },
    );
    check(
        "another grid",
        FaultClass::Drift,
        "content: missing richGridRenderer, found gridViewModel",
        &|a| {
            *a = response(json!({"gridViewModel": {}}));
        },
    );
    check("an unknown message", FaultClass::Drift, "instead of videos: “Come back later”", &|a| {
        *a = response(message("Come back later"));
    });
    check("an empty grid", FaultClass::Drift, "richGridRenderer.contents: no videos among nothing", &|a| {
        *a = response(grid(&[]));
    });
    check("a token and no videos", FaultClass::Drift, "no videos among continuationItemRenderer", &|a| {
        *a = response(grid(&[more("next")]));
    });
    check("an unknown item", FaultClass::Drift, "unknown kind of item: videoViewModel", &|a| {
        *a = response(grid(&[json!({"richItemRenderer": {"content": {"videoViewModel": {}}}})]));
    });
    check(
        "an unknown count",
        FaultClass::Drift,
        "“1.2 Tsd views” is not a known format of views",
        &|a| {
            *a = response(grid(&[video("aaaaaaaaaaa", &["1.2 Tsd views", "1 year ago"])]));
        },
    );
    check("no views", FaultClass::Drift, "none of 3 videos has views", &|a| {
        let dates = ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"].map(|id| video(id, &["1 year ago"]));
        *a = response(grid(&dates));
    });
    check(
        "a missing token",
        FaultClass::Drift,
        "continuationItemRenderer: missing token, found trigger",
        &|a| {
            let mut entries = videos();
            entries.push(json!({"continuationItemRenderer": {"trigger": "X"}}));
            *a = response(grid(&entries));
        },
    );
    check("no channel ID", FaultClass::Drift, "metadata.channelMetadataRenderer: missing externalId", &|a| {
        a["metadata"] = json!({"channelMetadataRenderer": {"title": "Someone"}});
    });
    check("no header", FaultClass::Drift, "at $: missing header", &|a| {
        a.as_object_mut().unwrap().remove("header");
    });
    check(
        "unknown subscribers",
        FaultClass::Drift,
        "“1.09 Tsd.” is not a known format of subscribers",
        &|a| {
            a["header"] = header(&[&["1.09 Tsd.", "3 videos"]]);
        },
    );
    check("a longer header", FaultClass::Drift, "metadataRows[0]: expected at most 2 parts, found 3", &|a| {
        a["header"] = header(&[&["@someone", "1.09K subscribers", "3 videos"]]);
    });
}

#[test]
fn invalid_continuations_are_classified_and_explained() {
    let check = |case: &str, response: Value, class: FaultClass, expected: &str| {
        assert_fault(case, next_page(&response), class, expected);
    };
    check(
        "no actions",
        json!({"responseContext": {}}),
        FaultClass::Transient,
        "missing contents, found responseContext",
    );
    let other = json!({"onResponseReceivedActions": [{"openPopupAction": {}}]});
    check("another action", other, FaultClass::Drift, "no videos among openPopupAction");
    let lost = json!({"onResponseReceivedActions": [{"appendContinuationItemsAction": {"items": []}}]});
    check("a missing list", lost, FaultClass::Drift, "missing continuationItems, found items");
    let unknown = appended(json!([{"videoViewModel": {}}]));
    check("unknown entries", unknown, FaultClass::Drift, "unknown kind of entry: videoViewModel");
}

/// JSON pointers to all values below one.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => (0..).map(|i: usize| i.to_string()).zip(items).collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(key, value)| {
        let at = format!("{at}/{key}");
        let deeper = pointers(value, &at);
        [at].into_iter().chain(deeper)
    });
    below.collect()
}

#[test]
fn missing_value_never_results_in_an_empty_page() {
    let mut entries = videos();
    entries.push(more("next"));
    let full_page = response(grid(&entries));
    let all = pointers(&full_page, "");
    assert!(all.len() > 100, "{}", all.len());
    for pointer in all {
        for lost in [json!(null), json!([]), json!({}), json!(""), json!(0)] {
            let mut response = full_page.clone();
            *response.pointer_mut(&pointer).unwrap() = lost.clone();
            if let Ok(found) = first_page(&response) {
                assert!(!found.page.items.is_empty(), "{pointer} is {lost}");
                assert!(found.page.items.len() + found.page.unread.len() >= 3, "{pointer} is {lost}");
            }
        }
    }
}

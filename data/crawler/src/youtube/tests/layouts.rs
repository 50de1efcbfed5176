//! Layouts of a Videos tab, made small: those there are, and changed ones, which must say what is missing.

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

/// An answer that puts these entries behind those there were.
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

fn answer(content: Value) -> Value {
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

fn whole() -> Value {
    answer(grid(&videos()))
}

fn ids(page: &VideoPage) -> Vec<&str> {
    page.items.iter().map(|item| item.video_id.as_str()).collect()
}

fn read(answer: &Value) -> FirstPage {
    first_page(answer).unwrap()
}

#[test]
fn a_small_channel_has_one_page_and_no_orders() {
    let found = read(&whole());
    assert_eq!(ids(&found.page), ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"]);
    assert_eq!((found.page.continuation, found.orders.popular, found.empty), (None, None, None));
    assert_eq!(found.channel.subscribers, Some(Count { value: 1_090, approximate: true, step: 10 }));
    assert_eq!(found.channel.handle, None);
}

#[test]
fn hidden_subscribers_are_not_zero() {
    let check = |header: Value, expected: Option<u64>| {
        let mut answer = whole();
        answer["header"] = header;
        assert_eq!(read(&answer).channel.subscribers.map(|count| count.value), expected);
    };
    check(header(&[&["@someone"], &["3 videos"]]), None);
    check(header(&[&["@someone"]]), None);
    check(header(&[&["@someone"], &["No subscribers", "3 videos"]]), Some(0));
    check(json!({"c4TabbedHeaderRenderer": {"title": "Someone"}}), None);
    let text = json!({"simpleText": "24.6M subscribers"});
    check(json!({"c4TabbedHeaderRenderer": {"subscriberCountText": text}}), Some(24_600_000));
}

#[test]
fn a_channel_may_say_that_it_has_no_videos() {
    let check = |entry: Value| {
        let found = read(&answer(json!({"sectionListRenderer": {"contents": [entry]}})));
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
fn one_odd_item_is_named_and_does_not_spoil_the_page() {
    let mut entries = videos();
    entries.push(video("ddddddddddd", &["1.2 Tsd views", "1 year ago"]));
    entries.push(json!({"richItemRenderer": {"content": {"reelItemRenderer": {}}}}));
    entries.push(json!({"richSectionRenderer": {}}));
    entries.push(json!({"adSlotRenderer": {}}));
    entries.push(more("next"));
    let page = read(&answer(grid(&entries))).page;
    assert_eq!((page.items.len(), page.continuation.as_deref()), (3, Some("next")));
    let problems: Vec<&str> = page.unread.iter().map(|drift| drift.problem.as_str()).collect();
    let expected = [
        "“1.2 Tsd views” is no number of views in a format that is known",
        "reelItemRenderer is no kind of item that is known",
        "richSectionRenderer is not known among videos",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn tokens_are_found_in_every_wrapping() {
    let check = |entry: Value| {
        let mut entries = videos();
        entries.push(entry);
        assert_eq!(read(&answer(grid(&entries))).page.continuation.as_deref(), Some("next"));
    };
    let command = json!({"continuationCommand": {"token": "next"}});
    let several = json!({"commandExecutorCommand": {"commands": [{"other": {}}, command]}});
    check(more("next"));
    check(json!({"continuationItemRenderer": {"continuationEndpoint": several}}));
    check(json!({"continuationItemRenderer": {"button": {"buttonRenderer": {"command": command}}}}));
    check(json!({"continuationItemViewModel": {"continuationCommand": {"innertubeCommand": command}}}));
}

#[test]
fn an_answer_to_a_continuation_is_a_page() {
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
fn links_lead_to_channels_or_to_other_links() {
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
        "the layout of the answer has changed: endpoint: leads to neither channel nor link; there is watchEndpoint"
    );
}

fn fails(what: &str, found: Result<impl std::fmt::Debug, Fault>, class: FaultClass, expected: &str) {
    let fault = found.unwrap_err();
    println!("{what:<34} {:?}: {fault}", fault.class());
    assert_eq!(fault.class(), class, "{what}");
    assert!(fault.to_string().contains(expected), "{what}: {fault}");
}

#[test]
fn faulty_first_pages_say_what_is_wrong() {
    let check = |what: &str, class: FaultClass, expected: &str, change: &dyn Fn(&mut Value)| {
        let mut answer = whole();
        change(&mut answer);
        fails(what, first_page(&answer), class, expected);
    };
    let tabs = |tabs: Value| json!({"twoColumnBrowseResultsRenderer": {"tabs": tabs}});
    let alert = |text: &str| json!([{"alertRenderer": {"type": "ERROR", "text": {"simpleText": text}}}]);
    let message = |text: &str| {
        let entry = json!({"messageRenderer": {"text": {"simpleText": text}}});
        json!({"sectionListRenderer": {"contents": [{"itemSectionRenderer": {"contents": [entry]}}]}})
    };

    check("an empty answer", FaultClass::Transient, "it has no contents, only nothing", &|a| *a = json!({}));
    check("a notice only", FaultClass::Transient, "it has no contents, only alerts", &|a| {
        *a = json!({"alerts": [{"alertRenderer": {"type": "INFO", "text": {"simpleText": "Hello"}}}]});
    });
    check(
        "no such channel",
        FaultClass::Permanent,
        "there is no such channel: This channel does not exist.",
        &|a| {
            *a = json!({"alerts": alert("This channel does not exist.")});
        },
    );
    check("no Videos tab", FaultClass::Permanent, "no Videos tab, only: Home, Playlists", &|a| {
        a["contents"] = tabs(json!([tab("Home", Some(json!({}))), tab("Playlists", None)]));
    });
    check("another tab", FaultClass::Drift, "another tab than Videos is shown", &|a| {
        a["contents"] = tabs(json!([tab("Home", Some(json!({}))), tab("Videos", None)]));
    });
    check("no tab selected", FaultClass::Drift, "tabs: no tab is selected", &|a| {
        a["contents"] = tabs(json!([tab("Videos", None)]));
    });
    check(
        "another browser layout",
        FaultClass::Drift,
        "no twoColumnBrowseResultsRenderer; there is x",
        &|a| {
            a["contents"] = json!({"x": {}});
        },
    );
    check("another grid", FaultClass::Drift, "content: no richGridRenderer; there is gridViewModel", &|a| {
        *a = answer(json!({"gridViewModel": {}}));
    });
    check("an unknown message", FaultClass::Drift, "“Come back later” in place of videos", &|a| {
        *a = answer(message("Come back later"));
    });
    check("an empty grid", FaultClass::Drift, "richGridRenderer.contents: no videos among nothing", &|a| {
        *a = answer(grid(&[]));
    });
    check("a token and no videos", FaultClass::Drift, "no videos among continuationItemRenderer", &|a| {
        *a = answer(grid(&[more("next")]));
    });
    check("an unknown item", FaultClass::Drift, "videoViewModel is no kind of item that is known", &|a| {
        *a = answer(grid(&[json!({"richItemRenderer": {"content": {"videoViewModel": {}}}})]));
    });
    check("an unknown count", FaultClass::Drift, "“1.2 Tsd views” is no number of views", &|a| {
        *a = answer(grid(&[video("aaaaaaaaaaa", &["1.2 Tsd views", "1 year ago"])]));
    });
    check("views nowhere", FaultClass::Drift, "views in none of 3 videos", &|a| {
        let dates = ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"].map(|id| video(id, &["1 year ago"]));
        *a = answer(grid(&dates));
    });
    check("a lost token", FaultClass::Drift, "continuationItemRenderer: no token; there is trigger", &|a| {
        let mut entries = videos();
        entries.push(json!({"continuationItemRenderer": {"trigger": "X"}}));
        *a = answer(grid(&entries));
    });
    check("no identity", FaultClass::Drift, "metadata.channelMetadataRenderer: no externalId", &|a| {
        a["metadata"] = json!({"channelMetadataRenderer": {"title": "Someone"}});
    });
    check("no header", FaultClass::Drift, "the answer: no header", &|a| {
        a.as_object_mut().unwrap().remove("header");
    });
    check("unknown subscribers", FaultClass::Drift, "“1.09 Tsd.” is no number of subscribers", &|a| {
        a["header"] = header(&[&["1.09 Tsd.", "3 videos"]]);
    });
    check("a longer header", FaultClass::Drift, "metadataRows[0]: 3 parts where two are known", &|a| {
        a["header"] = header(&[&["@someone", "1.09K subscribers", "3 videos"]]);
    });
}

#[test]
fn faulty_continuations_say_what_is_wrong() {
    let check = |what: &str, answer: Value, class: FaultClass, expected: &str| {
        fails(what, next_page(&answer), class, expected);
    };
    check("no actions", json!({"responseContext": {}}), FaultClass::Transient, "only responseContext");
    let other = json!({"onResponseReceivedActions": [{"openPopupAction": {}}]});
    check("another action", other, FaultClass::Drift, "no videos among openPopupAction");
    let lost = json!({"onResponseReceivedActions": [{"appendContinuationItemsAction": {"items": []}}]});
    check("a lost list", lost, FaultClass::Drift, "no continuationItems; there is items");
    let odd = appended(json!([{"videoViewModel": {}}]));
    check("unknown entries", odd, FaultClass::Drift, "videoViewModel is not known among videos");
}

/// The ways to all values below one, as JSON pointers.
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
fn no_value_that_is_lost_makes_an_empty_success() {
    let mut entries = videos();
    entries.push(more("next"));
    let whole = answer(grid(&entries));
    let all = pointers(&whole, "");
    assert!(all.len() > 100, "{}", all.len());
    for pointer in all {
        for lost in [json!(null), json!([]), json!({}), json!(""), json!(0)] {
            let mut answer = whole.clone();
            *answer.pointer_mut(&pointer).unwrap() = lost.clone();
            if let Ok(found) = first_page(&answer) {
                assert!(!found.page.items.is_empty(), "{pointer} is {lost}");
                assert!(found.page.items.len() + found.page.unread.len() >= 3, "{pointer} is {lost}");
            }
        }
    }
}

//! Parses recorded responses. Without them, the tests print what they skip and pass.

use serde_json::Value;

use crate::real_data::real_data;
use crate::youtube::{
    channel::{Channel, FirstPage, Resolved, VideoPage, first_page, next_page, resolved},
    chips::Orders,
    counts::Count,
    faults::Fault,
    items::{VideoItem, VideoKind, read},
    node::JsonNode,
    order::is_nearly_sorted,
    response,
};

fn recorded(name: &str) -> Option<Value> {
    let folder = real_data(&format!("did not read the recorded {name}"))?;
    let text = std::fs::read(folder.join("youtube-responses").join(name)).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

/// The body of a recorded response, through the same entry point as a live one.
fn response_of(name: &str) -> Option<Result<Value, Fault>> {
    let response = recorded(name)?["response"].take();
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    Some(response::from_body(status, response["body"].to_string().as_bytes()))
}

fn first(name: &str) -> Option<FirstPage> {
    Some(first_page(&response_of(name)?.unwrap()).unwrap())
}

fn views(page: &VideoPage) -> Vec<Count> {
    page.items.iter().filter_map(|item| item.views).collect()
}

fn item(id: &str, title: &str, views: &str, published: &str) -> VideoItem {
    VideoItem {
        video_id: id.parse().unwrap(),
        title: title.to_owned(),
        views: Some(Count::parse_views(views).unwrap()),
        published: Some(published.to_owned()),
        kind: VideoKind::Ordinary,
    }
}

fn channel(id: &str, title: &str, handle: &str, subscribers: &str) -> Channel {
    Channel {
        id: id.parse().unwrap(),
        title: title.to_owned(),
        handle: Some(handle.parse().unwrap()),
        subscribers: Some(Count::parse_subscribers(subscribers).unwrap()),
    }
}

fn check_page(page: &VideoPage, first: &VideoItem, last: &VideoItem, token: &str) {
    assert_eq!((page.items.len(), &page.unread[..]), (30, &[][..]));
    assert_eq!((&page.items[0], &page.items[29]), (first, last));
    assert_eq!(page.continuation.as_deref().map(|found| &found[..token.len()]), Some(token));
}

/// The tokens of the three orders differ near their end.
fn check_popular(orders: &Orders, length: usize, ends: &str) {
    assert_eq!(orders.labels, ["Latest", "Popular", "Oldest"]);
    let popular = orders.popular.as_ref().unwrap();
    assert!(popular.len() == length && popular.ends_with(ends), "{popular}");
}

#[test]
fn first_page_of_lockups_is_parsed() {
    let Some(found) = first("lockup-videos-page1.json") else { return };
    let expected =
        channel("UCTwECeGqMZee77BjdoYtI2Q", "Creative Commons", "@creativecommons", "8.84k subscribers");
    assert_eq!((found.channel, found.empty), (expected, None));
    let title =
        "Expert Panel III: Global Perspectives on Open Heritage and Diversity, Inclusion, and Sustainability";
    let last = "ALA Core webinar series, part 3 - Making the Case for Open at Your Institution";
    check_page(
        &found.page,
        &item("BD-LB23rRBE", title, "28 views", "13 days ago"),
        &item("Wi5vPm56fzg", last, "54 views", "1 year ago"),
        "4qmFsgLZCRIYVUNUd0VDZUdxTVplZTc3Qmpkb1l0STJRGrwJOGdh",
    );
    let shortened = |item: &&VideoItem| item.views.is_some_and(|views| views.approximate);
    assert_eq!(found.page.items.iter().filter(shortened).count(), 3);
    check_popular(&found.orders, 148, "RGd5T0RFeVlUUVlBZyUzRCUzRA%3D%3D");
    assert!(!is_nearly_sorted(&views(&found.page)));
}

#[test]
fn second_page_of_lockups_is_parsed() {
    let Some(found) = response_of("lockup-videos-page2.json") else { return };
    let page = next_page(&found.unwrap()).unwrap();
    check_page(
        &page,
        &item(
            "CIFHx7_z3Vc",
            "ALA Core webinar series, part 2 - Deep Dive into Creative Commons Licensing",
            "117 views",
            "1 year ago",
        ),
        &item(
            "9c1Kl8ElHug",
            "Panel: Can AI help everyone enjoy culture as a global public good?",
            "107 views",
            "2 years ago",
        ),
        "4qmFsgLBGBIYVUNUd0VDZUdxTVplZTc3Qmpkb1l0STJRGqQYOGdh",
    );
    assert_eq!(page.items[8].views, Some(Count { value: 14_000, approximate: true, step: 1_000 }));
    assert!(!is_nearly_sorted(&views(&page)));
}

#[test]
fn first_page_of_renderers_is_parsed() {
    let Some(found) = first("renderer-videos-page1.json") else { return };
    let expected =
        channel("UCsXVk37bltHxD1rDPwtNM8Q", "Kurzgesagt – In a Nutshell", "@kurzgesagt", "25m subscribers");
    assert_eq!((found.channel, found.empty), (expected, None));
    check_page(
        &found.page,
        &item("D0WQK7cMJn8", "We Made A New Channel!", "1,545,374 views", "10 days ago"),
        &item("reSfF60-2S4", "Is The World Getting More Violent?", "4,578,875 views", "1 year ago"),
        "4qmFsgKJERIYVUNzWFZrMzdibHRIeEQxckRQd3ROTThRGuwQOG",
    );
    check_popular(&found.orders, 222, "TWpsaFpUaGpOemdZQWclM0QlM0Q%3D");
    assert!(views(&found.page).iter().all(|views| !views.approximate));
    assert!(!is_nearly_sorted(&views(&found.page)));
}

#[test]
fn second_page_of_renderers_is_parsed() {
    let Some(found) = response_of("renderer-videos-page2.json") else { return };
    let page = next_page(&found.unwrap()).unwrap();
    check_page(
        &page,
        &item(
            "BmUZ2wp1lM8",
            "Black Hole's Evil Twin - Gravastars Explained",
            "8,299,959 views",
            "1 year ago",
        ),
        &item("fuFlMtZmvY0", "The Internet is Worse Than Ever – Now What?", "8,796,984 views", "2 years ago"),
        "4qmFsgLTKhIYVUNzWFZrMzdibHRIeEQxckRQd3ROTThRGrYqOGdi",
    );
    let mut sorted = views(&page);
    assert!(!is_nearly_sorted(&sorted));
    sorted.sort_by_key(|views| std::cmp::Reverse(views.value));
    assert!(is_nearly_sorted(&sorted));
}

#[test]
fn page_with_premium_videos_without_views_is_parsed() {
    let Some(found) = first("renderer-videos-other.json") else { return };
    let expected = channel("UC6nSFpj9HTCZ5t-N3Rm3-HA", "Vsauce", "@Vsauce", "24.6m subscribers");
    assert_eq!(found.channel, expected);
    check_page(
        &found.page,
        &item("xHd4zsIbXJ0", "All The Ghosts You Will Be", "6,403,051 views", "6 months ago"),
        &item("U3lWVLuc6CE", "Ayahuasca", "11,133,699 views", "8 years ago"),
        "4qmFsgKBExIYVUM2blNGcGo5SFRDWjV0LU4zUm0zLUhBGuQSOGdh",
    );
    let paid: Vec<&str> = found
        .page
        .items
        .iter()
        .filter(|item| item.kind == VideoKind::Premium && item.views.is_none())
        .map(|item| item.video_id.as_str())
        .collect();
    assert_eq!(paid, ["MBRi7Bz8LZk", "a-EC76gHQPQ"]);
    assert_eq!(views(&found.page).len(), 28);
    check_popular(&found.orders, 222, "bU1ERmhOREFZQWclM0QlM0Q%3D");
}

#[test]
fn abbreviated_and_exact_views_agree() {
    let mut pairs = 0;
    for name in ["renderer-videos-page1.json", "renderer-videos-page2.json", "renderer-videos-other.json"] {
        let Some(response) = recorded(name) else { return };
        let mut open = vec![&response];
        while let Some(value) = open.pop() {
            let text = |key: &str| value.get(key).and_then(|text| text["simpleText"].as_str());
            if let (Some(exact), Some(short)) = (text("viewCountText"), text("shortViewCountText")) {
                let (exact, short) = (Count::parse_views(exact).unwrap(), Count::parse_views(short).unwrap());
                assert!((short.value..=short.at_most()).contains(&exact.value), "{exact:?} {short:?}");
                pairs += 1;
            }
            open.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            open.extend(value.as_array().into_iter().flatten());
        }
    }
    assert_eq!(pairs, 88);
}

#[test]
fn error_responses_are_classified() {
    let check = |name: &str, expected: &dyn Fn(String) -> Fault, message: &str| {
        let Some(response) = response_of(name) else { return };
        let fault = response.and_then(|response| first_page(&response)).unwrap_err();
        println!("{name:<24} {:?}: {fault}", fault.class());
        assert_eq!(fault, expected(message.to_owned()));
    };
    check("error-bad-id.json", &Fault::InvalidArgument, "Request contains an invalid argument.");
    let terminated = "This account has been terminated because we received multiple third-party claims of \
                      copyright infringement regarding material that the user posted.";
    check("error-terminated.json", &Fault::Terminated, terminated);
    let removed = "This channel was removed because it violated our Community Guidelines.";
    check("error-unavailable.json", &Fault::Unavailable, removed);
    check("age-gated.json", &Fault::AgeRestricted, "Laphroaig Whisky");
    let next_for_first = |_| {
        Fault::Incomplete(
            "missing contents, found onResponseReceivedActions, responseContext, trackingParams".to_owned(),
        )
    };
    check("lockup-videos-page2.json", &next_for_first, "");
}

#[test]
fn old_name_resolves_to_its_channel() {
    let Some(response) = response_of("lockup-videos-resolve.json") else { return };
    let expected = Resolved::Channel("UCTwECeGqMZee77BjdoYtI2Q".parse().unwrap());
    assert_eq!(resolved(&response.unwrap()), Ok(expected));
}

/// Parses a recorded item. Some were recorded without their ID, which is restored first.
fn single(name: &str, kind: &str, id: Option<&str>) -> Option<VideoItem> {
    let mut content = recorded(&format!("items/{name}.json"))?;
    if let Some(id) = id {
        let error = read(kind, &JsonNode::root(&content)).unwrap_err().to_string();
        assert!(error.contains("contentId") && error.contains("is not a video ID"), "{error}");
        content["contentId"] = id.into();
    }
    Some(read(kind, &JsonNode::root(&content)).unwrap())
}

#[test]
fn special_lockups_are_parsed() {
    let check =
        |name: &str, id: Option<&str>, views: Option<&str>, published: Option<&str>, kind: VideoKind| {
            let Some(item) = single(name, "lockupViewModel", id) else { return };
            assert_eq!(item.views, views.map(|text| Count::parse_views(text).unwrap()), "{name}");
            assert_eq!((item.published.as_deref(), item.kind), (published, kind), "{name}");
        };
    let restored = Some("dQw4w9WgXcQ");
    check("lockupviewmodelvideo", None, Some("1.2M views"), Some("2 years ago"), VideoKind::Ordinary);
    check("lockupviewmodelnoduration", None, Some("500K views"), Some("1 month ago"), VideoKind::Ordinary);
    check(
        "lockupviewmodelchannelonerow",
        restored,
        Some("3.6m views"),
        Some("2 hours ago"),
        VideoKind::Ordinary,
    );
    check("lockupviewmodelchannelonerowliveviewsonly", restored, None, None, VideoKind::Live);
    check("lockupviewmodellivestreamnoviewer", restored, None, None, VideoKind::Live);
    let premiere = Some("Premieres 14/08/2025, 13:00");
    check("lockupviewmodelpremiere", restored, None, premiere, VideoKind::Upcoming);
    check("lockupviewmodelchannelmembersonly", None, None, Some("12 hours ago"), VideoKind::MembersOnly);
}

#[test]
fn special_renderers_are_parsed() {
    let Some(untitled) = single("emptytitle", "videoRenderer", None) else { return };
    assert_eq!(untitled, item("nc1kN8ZSfGQ", "", "1,318,193 views", "8 years ago"));
    let Some(premiere) = single("videorendererpremiere", "videoRenderer", None) else { return };
    assert_eq!(premiere.video_id.as_str(), "M_8QNw_JM4I");
    assert_eq!(premiere.title, "This video will premiere in 6 months.");
    assert_eq!((premiere.views, premiere.published, premiere.kind), (None, None, VideoKind::Upcoming));
}

#[test]
fn page_and_api_response_give_the_same_result() {
    let Some(response) = response_of("renderer-videos-page1.json") else { return };
    let response = response.unwrap();
    let html = format!("<html><script>window[\"ytInitialData\"] = {response};</script></html>");
    assert_eq!(first_page(&response::from_page(200, html.as_bytes()).unwrap()), first_page(&response));
}

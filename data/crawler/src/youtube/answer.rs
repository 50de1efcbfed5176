//! From what a server sent to the JSON in it: bodies of `youtubei/v1` and pages with `ytInitialData`.
//!
//! Owns finding the JSON, and recognising what is sent in its place: errors, a page that asks for consent, one
//! that suspects a robot. Does not own what the JSON means, nor how large an answer may be, which the caller
//! bounds. Invariant: the object in a page ends where JSON says so, and at no text that is looked for.

use serde_json::{Value, error::Category};
use url::Url;

use super::faults::{Fault, SchemaDrift};

/// What the object in a page is assigned to.
const INITIAL_DATA: &str = "ytInitialData";

/// Reads the body of an answer to one of [`crate::youtube::request`].
///
/// # Errors
/// When the status or the body says that there is no answer, or the body is no JSON.
pub fn from_body(status: u16, body: &[u8]) -> Result<Value, Fault> {
    if status != 200 {
        let error = serde_json::from_slice::<Value>(body).ok().and_then(|body| api_error(&body));
        return Err(match (status, error) {
            (400, Some(error)) => error,
            _ => Fault::of_status(status),
        });
    }
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return Err(Fault::Incomplete("it is empty".to_owned()));
    }
    if start.starts_with(b"<") {
        let refusal = refusal(&String::from_utf8_lossy(start));
        return Err(refusal
            .unwrap_or_else(|| SchemaDrift::new("the answer", "a page where JSON was expected").into()));
    }
    let value = serde_json::from_slice(start).map_err(|error| not_json(&error))?;
    api_error(&value).map_or(Ok(value), Err)
}

/// Reads the object `ytInitialData` of a page.
///
/// # Errors
/// When the status says that there is no page, another page was sent in its place, or the object is missing.
pub fn from_page(status: u16, page: &[u8]) -> Result<Value, Fault> {
    if status != 200 {
        return Err(Fault::of_status(status));
    }
    // Titles with signs that stand for others would be kept for ever.
    let html = std::str::from_utf8(page).map_err(|error| {
        let drift = SchemaDrift::new("the page", format!("no UTF-8: {error}"));
        refusal(&String::from_utf8_lossy(page)).unwrap_or_else(|| drift.into())
    })?;
    let Some(text) = initial_data(html) else {
        return Err(refusal(html).unwrap_or_else(|| {
            if html.trim_end().ends_with("</html>") {
                SchemaDrift::new("the page", format!("no {INITIAL_DATA}")).into()
            } else {
                Fault::Incomplete(format!("the page ends before {INITIAL_DATA}"))
            }
        }));
    };
    // A JSON parser knows where strings and escapes end, so it is what finds the matching brace.
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(not_json(&error)),
        None => Err(Fault::Incomplete(format!("nothing follows {INITIAL_DATA}"))),
    }
}

/// Tells whether a redirect leads to a page that stands in the way.
#[must_use]
pub fn refusal_at(location: &Url) -> Option<Fault> {
    let host = location.host_str().unwrap_or_default();
    if host.starts_with("consent.") {
        return Some(Fault::Consent);
    }
    location.path().starts_with("/sorry").then_some(Fault::Captcha)
}

/// Returns what follows the first assignment of an object to [`INITIAL_DATA`], in either spelling:
/// `var ytInitialData = {` and `window["ytInitialData"] = {`.
fn initial_data(html: &str) -> Option<&str> {
    html.match_indices(INITIAL_DATA).find_map(|(at, name)| {
        let rest = &html[at + name.len()..];
        let rest = ["\"]", "']"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest);
        let object = rest.trim_start().strip_prefix('=')?.trim_start();
        object.starts_with('{').then_some(object)
    })
}

/// Recognises the pages that are sent in place of another. Only for pages without data: a channel may well
/// write of unusual traffic.
fn refusal(html: &str) -> Option<Fault> {
    if html.contains("consent.youtube.com") || html.contains("consent.google.com") {
        return Some(Fault::Consent);
    }
    let captcha = ["/sorry/", "unusual traffic", "g-recaptcha"];
    captcha.iter().any(|sign| html.contains(sign)).then_some(Fault::Captcha)
}

fn not_json(error: &serde_json::Error) -> Fault {
    match error.classify() {
        Category::Eof => Fault::Incomplete(format!("its JSON ends early: {error}")),
        _ => SchemaDrift::new("the answer", format!("no JSON: {error}")).into(),
    }
}

/// Reads the error that an answer holds in place of everything else.
fn api_error(body: &Value) -> Option<Fault> {
    let error = body.get("error")?;
    let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Some(match (text("status").as_str(), code) {
        ("INVALID_ARGUMENT", _) => Fault::InvalidArgument(text("message")),
        ("NOT_FOUND", _) => Fault::NotFound(text("message")),
        (_, Some(code)) if code != 400 => Fault::of_status(code),
        (status, _) => SchemaDrift::new("error", format!("{status}: {}", text("message"))).into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(script: &str) -> String {
        format!("<!doctype html><html><body><script nonce=\"x\">{script}</script></body></html>\n")
    }

    #[test]
    fn the_object_is_found_in_both_spellings_and_to_its_last_brace() {
        let check = |script: &str, expected: Value| {
            assert_eq!(from_page(200, page(script).as_bytes()), Ok(expected), "{script}");
        };
        check("var ytInitialData = {\"a\":1};", json!({"a": 1}));
        check("window[\"ytInitialData\"] = {\"a\":1};window[\"other\"] = {};", json!({"a": 1}));
        check("window['ytInitialData']={\"a\":1}", json!({"a": 1}));
        let tricky = r#"{"a":"};</script> \" } \\","b":{"c":"ytInitialData = {"}}"#;
        check(
            &format!("if (window.ytInitialData) {{ }} var ytInitialData = {tricky};"),
            json!({
                "a": "};</script> \" } \\",
                "b": {"c": "ytInitialData = {"},
            }),
        );
        check("// unusual traffic, consent.youtube.com, /sorry/\nvar ytInitialData = {};", json!({}));
    }

    #[test]
    fn pages_sent_in_place_of_another_are_recognised() {
        let check = |html: &str, expected: Fault| {
            assert_eq!(from_page(200, html.as_bytes()), Err(expected), "{html}");
        };
        check(&page("<form action=\"https://consent.youtube.com/save\" method=\"POST\">"), Fault::Consent);
        check(&page("<form id=\"captcha-form\" action=\"/sorry/index\">"), Fault::Captcha);
        check(&page("Our systems have detected unusual traffic from your network."), Fault::Captcha);
        check(&page("hello"), SchemaDrift::new("the page", "no ytInitialData").into());
        check(
            "<!doctype html><html><script>var yt",
            Fault::Incomplete("the page ends before ytInitialData".to_owned()),
        );
        let cut = from_page(200, b"<script>var ytInitialData = {\"a\": [1, 2").unwrap_err();
        assert_eq!(
            cut.to_string(),
            "the answer is incomplete: its JSON ends early: EOF while parsing a list at line 1 column 11"
        );
        let broken = from_page(200, b"<script>var ytInitialData = {a: 1};").unwrap_err();
        assert!(matches!(broken, Fault::Drift(_)), "{broken}");
        let garbled = from_page(200, b"<script>var ytInitialData = {\"title\": \"\xff\"};").unwrap_err();
        assert!(garbled.to_string().contains("the page: no UTF-8"), "{garbled}");
        assert_eq!(from_page(200, b"\xff<form action=\"https://consent.youtube.com\">"), Err(Fault::Consent));
        assert_eq!(from_page(429, b""), Err(Fault::Refused(429)));
        assert_eq!(from_page(404, b""), Err(Fault::NotFound("HTTP 404".to_owned())));
    }

    #[test]
    fn redirects_that_stand_in_the_way_are_recognised() {
        let check =
            |url: &str, expected: Option<Fault>| assert_eq!(refusal_at(&url.parse().unwrap()), expected);
        check("https://consent.youtube.com/m?continue=https://www.youtube.com/", Some(Fault::Consent));
        check("https://www.google.com/sorry/index?continue=x", Some(Fault::Captcha));
        check("https://www.youtube.com/@creativecommons/videos", None);
    }

    #[test]
    fn bodies_that_are_no_answer_say_what_they_are() {
        let check = |status, body: &str, expected: Fault| {
            assert_eq!(from_body(status, body.as_bytes()), Err(expected), "{body}");
        };
        check(200, "", Fault::Incomplete("it is empty".to_owned()));
        check(200, "<html>consent.youtube.com</html>", Fault::Consent);
        check(200, "<html></html>", SchemaDrift::new("the answer", "a page where JSON was expected").into());
        check(429, "<html>/sorry/</html>", Fault::Refused(429));
        check(503, "", Fault::Server(503));
        check(
            404,
            "{\"error\": {\"code\": 404, \"status\": \"NOT_FOUND\"}}",
            Fault::NotFound("HTTP 404".to_owned()),
        );
        check(200, "{\"error\": {\"code\": 503}}", Fault::Server(503));
        let words = "Precondition check failed.";
        let outdated = json!({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": words}});
        check(
            400,
            &outdated.to_string(),
            SchemaDrift::new("error", "FAILED_PRECONDITION: Precondition check failed.").into(),
        );
        assert!(matches!(from_body(200, b"{\"contents\": {"), Err(Fault::Incomplete(_))));
        assert!(matches!(from_body(200, b"nonsense"), Err(Fault::Drift(_))));
        assert_eq!(from_body(200, b" {\"a\": 1}"), Ok(json!({"a": 1})));
    }
}

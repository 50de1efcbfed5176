//! Extracts the JSON from responses: bodies of `youtubei/v1`, and pages with `ytInitialData`.
//!
//! Also recognises errors, consent pages and captchas. The caller limits the size of a body. Invariant: a JSON parser
//! finds the end of the object in a page, not a text search.

use serde_json::{Value, error::Category};
use url::Url;

use super::faults::{Fault, SchemaDrift};

/// The variable in a page to which the object is assigned.
const INITIAL_DATA: &str = "ytInitialData";

/// Parses the body of a response to one of [`crate::youtube::request`].
pub fn from_body(status: u16, body: &[u8]) -> Result<Value, Fault> {
    if status != 200 {
        let error = serde_json::from_slice::<Value>(body).ok().and_then(|body| api_error(&body));
        return Err(match (status, error) {
            (400, Some(error)) => error,
            _ => Fault::from_status(status),
        });
    }
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return Err(Fault::Incomplete("the body is empty".to_owned()));
    }
    if start.starts_with(b"<") {
        let blocked = blocking_page(&String::from_utf8_lossy(start));
        return Err(blocked.unwrap_or_else(|| SchemaDrift::new("$", "expected JSON, found HTML").into()));
    }
    let value = serde_json::from_slice(start).map_err(|error| not_json(&error))?;
    api_error(&value).map_or(Ok(value), Err)
}

/// Parses the object `ytInitialData` of a page.
pub fn from_page(status: u16, page: &[u8]) -> Result<Value, Fault> {
    if status != 200 {
        return Err(Fault::from_status(status));
    }
    // Lossy decoding would store titles with replacement characters.
    let html = std::str::from_utf8(page).map_err(|error| {
        let drift = SchemaDrift::new("the page", format!("not UTF-8: {error}"));
        blocking_page(&String::from_utf8_lossy(page)).unwrap_or_else(|| drift.into())
    })?;
    let Some(text) = initial_data(html) else {
        return Err(blocking_page(html).unwrap_or_else(|| {
            if html.trim_end().ends_with("</html>") {
                SchemaDrift::new("the page", format!("missing {INITIAL_DATA}")).into()
            } else {
                Fault::Incomplete(format!("the page ends before {INITIAL_DATA}"))
            }
        }));
    };
    // Only a JSON parser finds the matching brace: strings may contain braces.
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(not_json(&error)),
        None => Err(Fault::Incomplete(format!("the page ends after {INITIAL_DATA}"))),
    }
}

/// Recognises redirects to a consent page or a captcha.
#[must_use]
pub fn blocking_redirect(location: &Url) -> Option<Fault> {
    let host = location.host_str().unwrap_or_default();
    if host.starts_with("consent.") {
        return Some(Fault::Consent);
    }
    location.path().starts_with("/sorry").then_some(Fault::Captcha)
}

/// Returns the text from the first object assigned to [`INITIAL_DATA`], in either spelling:
/// `var ytInitialData = {` and `window["ytInitialData"] = {`.
fn initial_data(html: &str) -> Option<&str> {
    html.match_indices(INITIAL_DATA).find_map(|(at, name)| {
        let rest = &html[at + name.len()..];
        let rest = ["\"]", "']"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest);
        let object = rest.trim_start().strip_prefix('=')?.trim_start();
        object.starts_with('{').then_some(object)
    })
}

/// Recognises consent pages and captchas. Only for pages without data: a channel may mention unusual traffic.
fn blocking_page(html: &str) -> Option<Fault> {
    if html.contains("consent.youtube.com") || html.contains("consent.google.com") {
        return Some(Fault::Consent);
    }
    let captcha = ["/sorry/", "unusual traffic", "g-recaptcha"];
    captcha.iter().any(|marker| html.contains(marker)).then_some(Fault::Captcha)
}

fn not_json(error: &serde_json::Error) -> Fault {
    match error.classify() {
        Category::Eof => Fault::Incomplete(format!("truncated JSON: {error}")),
        _ => SchemaDrift::new("$", format!("invalid JSON: {error}")).into(),
    }
}

/// Parses the error in a response.
fn api_error(body: &Value) -> Option<Fault> {
    let error = body.get("error")?;
    let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Some(match (text("status").as_str(), code) {
        ("INVALID_ARGUMENT", _) => Fault::InvalidArgument(text("message")),
        ("NOT_FOUND", _) => Fault::NotFound(text("message")),
        (_, Some(code)) if code != 400 => Fault::from_status(code),
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
    fn object_is_found_in_both_spellings_and_to_its_last_brace() {
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
    fn consent_pages_and_captchas_are_recognised() {
        let check = |html: &str, expected: Fault| {
            assert_eq!(from_page(200, html.as_bytes()), Err(expected), "{html}");
        };
        check(&page("<form action=\"https://consent.youtube.com/save\" method=\"POST\">"), Fault::Consent);
        check(&page("<form id=\"captcha-form\" action=\"/sorry/index\">"), Fault::Captcha);
        check(&page("Our systems have detected unusual traffic from your network."), Fault::Captcha);
        check(&page("hello"), SchemaDrift::new("the page", "missing ytInitialData").into());
        check(
            "<!doctype html><html><script>var yt",
            Fault::Incomplete("the page ends before ytInitialData".to_owned()),
        );
        let cut = from_page(200, b"<script>var ytInitialData = {\"a\": [1, 2").unwrap_err();
        assert_eq!(
            cut.to_string(),
            "incomplete response: truncated JSON: EOF while parsing a list at line 1 column 11"
        );
        let broken = from_page(200, b"<script>var ytInitialData = {a: 1};").unwrap_err();
        assert!(matches!(broken, Fault::Drift(_)), "{broken}");
        let garbled = from_page(200, b"<script>var ytInitialData = {\"title\": \"\xff\"};").unwrap_err();
        assert!(garbled.to_string().contains("the page: not UTF-8"), "{garbled}");
        assert_eq!(from_page(200, b"\xff<form action=\"https://consent.youtube.com\">"), Err(Fault::Consent));
        assert_eq!(from_page(429, b""), Err(Fault::Refused(429)));
        assert_eq!(from_page(404, b""), Err(Fault::NotFound("HTTP 404".to_owned())));
    }

    #[test]
    fn consent_and_captcha_redirects_are_recognised() {
        let check = |url: &str, expected: Option<Fault>| {
            assert_eq!(blocking_redirect(&url.parse().unwrap()), expected);
        };
        check("https://consent.youtube.com/m?continue=https://www.youtube.com/", Some(Fault::Consent));
        check("https://www.google.com/sorry/index?continue=x", Some(Fault::Captcha));
        check("https://www.youtube.com/@creativecommons/videos", None);
    }

    #[test]
    fn error_bodies_become_faults() {
        let check = |status, body: &str, expected: Fault| {
            assert_eq!(from_body(status, body.as_bytes()), Err(expected), "{body}");
        };
        check(200, "", Fault::Incomplete("the body is empty".to_owned()));
        check(200, "<html>consent.youtube.com</html>", Fault::Consent);
        check(200, "<html></html>", SchemaDrift::new("$", "expected JSON, found HTML").into());
        check(429, "<html>/sorry/</html>", Fault::Refused(429));
        check(503, "", Fault::Server(503));
        check(
            404,
            "{\"error\": {\"code\": 404, \"status\": \"NOT_FOUND\"}}",
            Fault::NotFound("HTTP 404".to_owned()),
        );
        check(200, "{\"error\": {\"code\": 503}}", Fault::Server(503));
        let message = "Precondition check failed.";
        let outdated = json!({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": message}});
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

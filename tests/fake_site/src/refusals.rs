//! Responses of faults that replace the whole response: consent and captcha pages, and errors of busy hosts.

use std::time::SystemTime;

use serde_json::json;

use super::{
    data_api,
    exchange::{Host, SiteResponse},
    faults::{Fault, RetryAfter, Wall},
};

/// Returns the response with which a fault replaces the regular one, if any.
pub(super) fn refusal(fault: Fault, host: Host, target: &str) -> Option<SiteResponse> {
    match fault {
        Fault::TooManyRequests(retry_after) => {
            let answer = busy(host, 429, "rateLimitExceeded", "RESOURCE_EXHAUSTED");
            Some(match retry_after {
                RetryAfter::Absent => answer,
                RetryAfter::Seconds(seconds) => answer.with("retry-after", seconds.to_string()),
                RetryAfter::Date(ahead) => {
                    answer.with("retry-after", httpdate::fmt_http_date(SystemTime::now() + ahead))
                }
            })
        }
        Fault::Unavailable => Some(busy(host, 503, "backendError", "UNAVAILABLE")),
        Fault::Consent(Wall::Page) => Some(SiteResponse::html(200, CONSENT)),
        Fault::Consent(Wall::Redirect) => Some(redirect_to("https://consent.youtube.com/m", target)),
        Fault::Captcha(Wall::Page) => Some(SiteResponse::html(200, CAPTCHA)),
        Fault::Captcha(Wall::Redirect) => Some(redirect_to("https://www.google.com/sorry/index", target)),
        _ => None,
    }
}

pub(super) fn page_not_found() -> SiteResponse {
    SiteResponse::html(
        404,
        "<!DOCTYPE html><html><head><title>404 Not Found</title></head><body></body></html>",
    )
}

/// Returns an InnerTube error.
pub(super) fn innertube_error(status: u16, message: &str, reason: &str, name: &str) -> SiteResponse {
    let body = json!({"error": {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}],
        "status": name,
    }});
    SiteResponse::json(status, body.to_string())
}

fn busy(host: Host, status: u16, reason: &str, name: &str) -> SiteResponse {
    match host {
        Host::Api => data_api::error(status, "The service is busy.", "global", reason, name),
        Host::Images => SiteResponse::text(status, ""),
        Host::Web | Host::Ranking => {
            let title = if status == 429 { "Error 429 (Too Many Requests)" } else { "Error 503" };
            SiteResponse::html(
                status,
                format!("<!DOCTYPE html><html><title>{title}</title><p>{title}</html>"),
            )
        }
    }
}

fn redirect_to(address: &str, target: &str) -> SiteResponse {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("continue", &format!("https://www.youtube.com{target}"))
        .append_pair("gl", "DE")
        .finish();
    SiteResponse::html(302, "").with("location", format!("{address}?{query}"))
}

const CONSENT: &str = r#"<!DOCTYPE html><html lang="en"><head><title>Before you continue to YouTube</title></head>
<body><h1>Before you continue to YouTube</h1><p>We use cookies and data to deliver and maintain services.</p>
<form action="https://consent.youtube.com/save" method="POST"><input type="hidden" name="gl" value="DE">
<input type="hidden" name="set_eom" value="true"><button aria-label="Reject all">Reject all</button></form>
<form action="https://consent.youtube.com/save" method="POST"><input type="hidden" name="set_eom" value="false">
<button aria-label="Accept all">Accept all</button></form></body></html>"#;

const CAPTCHA: &str = r#"<!DOCTYPE html><html><head><title>https://www.youtube.com/</title></head><body>
<form id="captcha-form" action="index" method="post"><div id="recaptcha" class="g-recaptcha" data-sitekey="fixture"></div>
<input type="hidden" name="q" value="fixture"></form><hr noshade size="1"><b>About this page</b><br><br>
Our systems have detected unusual traffic from your computer network. This page checks to see if it's really you
sending the requests, and not a robot.</body></html>"#;

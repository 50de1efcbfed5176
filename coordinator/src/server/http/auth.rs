//! Access control of the API.
//!
//! Owns how a request shows that it may. Does not own which scope a route needs (see [`crate::api::routes`]), nor
//! tokens (see `tokens`). Invariant: what a handler answers though the table does not name it, and a method that a path
//! of the table does not have, need `admin`. To be told that there is nothing at a path takes `read`.

use std::{fmt, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{browser_guard, problem::Failure};
use crate::{
    api::{Scope, routes},
    server::tokens::{TokenFile, TokenList},
};

/// Who may use the API.
#[derive(Clone)]
pub(crate) enum Access {
    /// Every client that reaches it, which is why only this machine may.
    ThisMachine,
    /// Holders of tokens.
    Tokens(Arc<TokenFile>),
}

/// The scope that a request needs; `None` if it needs no token. `route` is the path of the route that it met, if
/// there is one.
fn scope_of(method: &Method, route: Option<&str>) -> Option<Scope> {
    let Some(path) = route else { return Some(Scope::Read) };
    let listed = routes::ALL.iter().find(|route| route.path == path && answers(route.method, method));
    listed.map_or(Some(Scope::Admin), |route| route.scope)
}

fn answers(route: routes::Method, method: &Method) -> bool {
    match route {
        routes::Method::Get => method == Method::GET || method == Method::HEAD,
        routes::Method::Post => method == Method::POST,
        routes::Method::Delete => method == Method::DELETE,
    }
}

/// Lets a request through whose sender may make it.
pub(super) async fn authorize(State(access): State<Access>, request: Request, next: Next) -> Response {
    let Access::Tokens(tokens) = access else {
        return browser_guard::refuse_strangers(request, next).await;
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(scope) = scope_of(request.method(), route) else { return next.run(request).await };
    match check(&tokens.list(), request.headers(), scope) {
        Ok(name) => {
            if scope > Scope::Read {
                tracing::info!(token = %name, method = %request.method(), path = %request.uri().path(), "asked for");
            }
            next.run(request).await
        }
        Err(denial) => denial.into_response(),
    }
}

/// Why a request is not let through.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Denial {
    /// It shows no token.
    Missing,
    /// What it shows is no token of ours.
    Unknown,
    /// Its token is for less.
    TooSmall { name: String, has: Scope, needs: Scope },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("an access token is needed: send `Authorization: Bearer TOKEN`"),
            Self::Unknown => f.write_str("the access token is none that this coordinator knows"),
            Self::TooSmall { name, has, needs } => write!(
                f,
                "the token '{name}' has the scope {has}, and this needs the scope {needs}: use another token"
            ),
        }
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        // RFC 6750, section 3: a request without a token is told nothing but that one is needed.
        let (status, challenge) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, "Bearer".to_owned()),
            Self::Unknown => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"".to_owned()),
            Self::TooSmall { needs, .. } => {
                (StatusCode::FORBIDDEN, format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\""))
            }
        };
        ([(WWW_AUTHENTICATE, challenge)], Failure::new(status, self.to_string())).into_response()
    }
}

/// Returns the name of the token that a request shows, if it has the scope.
fn check(tokens: &TokenList, headers: &HeaderMap, needs: Scope) -> Result<String, Denial> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let token = match (shown.next(), shown.next()) {
        (None, _) => return Err(Denial::Missing),
        (Some(value), None) => value.to_str().ok().and_then(bearer),
        // Two are one too many to be sure who is asking.
        (Some(_), Some(_)) => None,
    };
    let token = token.and_then(|token| tokens.find(token)).ok_or(Denial::Unknown)?;
    if token.scope < needs {
        return Err(Denial::TooSmall { name: token.name.clone(), has: token.scope, needs });
    }
    Ok(token.name.clone())
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::server::tokens::NewToken;

    #[test]
    fn each_route_asks_for_its_scope() {
        let check = |method: Method, route: Option<&str>, want: Option<Scope>| {
            assert_eq!(scope_of(&method, route), want, "{method} {route:?}");
        };
        let (read, submit, admin) = (Some(Scope::Read), Some(Scope::Submit), Some(Scope::Admin));
        check(Method::GET, Some("/healthz"), None);
        check(Method::GET, Some("/readyz"), None);
        check(Method::GET, Some("/v1/runs"), read);
        check(Method::HEAD, Some("/v1/runs/{id}"), read);
        check(Method::GET, Some("/v1/similar"), read);
        check(Method::POST, Some("/v1/runs"), submit);
        check(Method::POST, Some("/v1/submissions/{id}/cancel"), submit);
        check(Method::POST, Some("/v1/images/fetch"), submit);
        check(Method::DELETE, Some("/v1/spaces/{name}"), admin);
        // What nobody wrote down.
        check(Method::POST, Some("/v1/brand-new"), admin);
        check(Method::DELETE, Some("/v1/runs/{id}"), admin);
        check(Method::GET, None, read);
        check(Method::DELETE, None, read);
    }

    #[test]
    fn a_request_needs_one_known_token_of_the_scope() {
        let made = NewToken::random("ci", Scope::Submit).unwrap();
        let list: TokenList = made.token.to_string().parse().unwrap();
        let secret = made.secret.expose_secret();
        let ask = |values: &[&[u8]], needs: Scope| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
            }
            check(&list, &headers, needs)
        };
        let bearer = format!("Bearer {secret}");
        assert_eq!(ask(&[bearer.as_bytes()], Scope::Submit), Ok("ci".to_owned()));
        assert_eq!(ask(&[format!("bEaReR   {secret}").as_bytes()], Scope::Read), Ok("ci".to_owned()));
        let too_small = Denial::TooSmall { name: "ci".to_owned(), has: Scope::Submit, needs: Scope::Admin };
        assert_eq!(ask(&[bearer.as_bytes()], Scope::Admin), Err(too_small));
        assert_eq!(ask(&[], Scope::Read), Err(Denial::Missing));
        let other = NewToken::random("ci", Scope::Admin).unwrap();
        for wrong in [
            secret.as_bytes(),
            b"Bearer",
            b"Bearer ",
            b"Bearer \xff",
            b"Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjF9.",
            format!("Basic {secret}").as_bytes(),
            format!("Bearer {}", other.secret.expose_secret()).as_bytes(),
            format!("Bearer {secret} x").as_bytes(),
        ] {
            assert_eq!(ask(&[wrong], Scope::Read), Err(Denial::Unknown), "{wrong:?}");
        }
        assert_eq!(ask(&[bearer.as_bytes(), bearer.as_bytes()], Scope::Read), Err(Denial::Unknown));
    }
}

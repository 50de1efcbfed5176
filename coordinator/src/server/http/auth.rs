//! Authentication and authorization of API requests.
//!
//! [`crate::api::routes`] has the scope of each route; `tokens` has the token file. A handler or method that the table
//! does not list requires `admin`; an unknown path requires `read` and gets 404.

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
    /// Every local client; the API listens on loopback only.
    Loopback,
    /// Clients with an access token.
    Tokens(Arc<TokenFile>),
}

/// The name of the request's token, for handlers that record who submits.
#[derive(Clone)]
pub(super) struct TokenName(pub(super) String);

/// Returns the scope that a request needs; `None` if it needs no token. `route` is the path of the matched route.
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

/// Middleware that rejects requests without the required token.
pub(super) async fn authorize(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let Access::Tokens(tokens) = access else {
        return browser_guard::reject_foreign_pages(request, next).await;
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(scope) = scope_of(request.method(), route) else { return next.run(request).await };
    match check(&tokens.list(), request.headers(), scope) {
        Ok(name) => {
            if scope > Scope::Read {
                let (method, path) = (request.method(), request.uri().path());
                tracing::info!(token = %name, %method, path = %path, "request");
            }
            request.extensions_mut().insert(TokenName(name));
            next.run(request).await
        }
        Err(denial) => denial.into_response(),
    }
}

/// Why a request is rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Denial {
    /// The request has no `Authorization` header.
    Missing,
    /// The header is malformed or the token is not in the token file.
    Invalid,
    InsufficientScope {
        name: String,
        has: Scope,
        needs: Scope,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("an access token is required: send `Authorization: Bearer TOKEN`"),
            Self::Invalid => {
                f.write_str("the access token is invalid: it is not in the coordinator's token file")
            }
            Self::InsufficientScope { name, has, needs } => write!(
                f,
                "token '{name}' has scope {has}, but this request requires scope {needs}: use another token"
            ),
        }
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        // RFC 6750, section 3: the challenge to a request without a token has no error code.
        let (status, challenge) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, "Bearer".to_owned()),
            Self::Invalid => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"".to_owned()),
            Self::InsufficientScope { needs, .. } => {
                (StatusCode::FORBIDDEN, format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\""))
            }
        };
        ([(WWW_AUTHENTICATE, challenge)], Failure::new(status, self.to_string())).into_response()
    }
}

/// Returns the name of the request's token if it includes the scope.
fn check(tokens: &TokenList, headers: &HeaderMap, needs: Scope) -> Result<String, Denial> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let token = match (values.next(), values.next()) {
        (None, _) => return Err(Denial::Missing),
        (Some(value), None) => value.to_str().ok().and_then(bearer),
        // Ambiguous: a proxy and this server might authenticate different headers.
        (Some(_), Some(_)) => None,
    };
    let token = token.and_then(|token| tokens.find(token)).ok_or(Denial::Invalid)?;
    if token.scope < needs {
        return Err(Denial::InsufficientScope { name: token.name.clone(), has: token.scope, needs });
    }
    Ok(token.name.clone())
}

/// Parses `Bearer TOKEN`; the scheme is case-insensitive (RFC 9110, section 11.1).
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
    fn each_route_requires_its_scope() {
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
        // Not in the table.
        check(Method::POST, Some("/v1/brand-new"), admin);
        check(Method::DELETE, Some("/v1/runs/{id}"), admin);
        check(Method::GET, None, read);
        check(Method::DELETE, None, read);
    }

    #[test]
    fn a_request_needs_exactly_one_valid_token_with_the_scope() {
        let made = NewToken::random("ci", Scope::Submit).unwrap();
        let list = TokenList::parse(&made.token.to_string());
        let secret = made.secret.expose_secret();
        let request = |values: &[&[u8]], needs: Scope| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
            }
            check(&list, &headers, needs)
        };
        let bearer = format!("Bearer {secret}");
        assert_eq!(request(&[bearer.as_bytes()], Scope::Submit), Ok("ci".to_owned()));
        assert_eq!(request(&[format!("bEaReR   {secret}").as_bytes()], Scope::Read), Ok("ci".to_owned()));
        let insufficient =
            Denial::InsufficientScope { name: "ci".to_owned(), has: Scope::Submit, needs: Scope::Admin };
        assert_eq!(request(&[bearer.as_bytes()], Scope::Admin), Err(insufficient));
        assert_eq!(request(&[], Scope::Read), Err(Denial::Missing));
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
            assert_eq!(request(&[wrong], Scope::Read), Err(Denial::Invalid), "{wrong:?}");
        }
        assert_eq!(request(&[bearer.as_bytes(), bearer.as_bytes()], Scope::Read), Err(Denial::Invalid));
    }
}

//! The routes of the HTTP API in one table: method, path and required scope.
//!
//! The server builds its router and access control from the table, and the client its paths. So server and client
//! cannot disagree on a path, and a route cannot be added without a scope.

use super::access::Scope;

/// The HTTP method of a route; a `GET` route also answers `HEAD`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    Post,
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    pub method: Method,
    /// The path, with each parameter in braces: `/v1/runs/{id}`.
    pub path: &'static str,
    /// The required scope; `None` if the route needs no token.
    pub scope: Option<Scope>,
}

impl Route {
    /// Returns the path's segments with `arguments` in place of the parameters. They are not percent-encoded.
    ///
    /// # Panics
    /// If there are fewer arguments than parameters.
    pub fn segments<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = arguments.iter();
        let substitute = |segment: &'static str| match segment.starts_with('{') {
            true => *arguments.next().expect("the caller gives one argument for each path parameter"),
            false => segment,
        };
        self.path.split('/').skip(1).map(substitute).collect()
    }
}

macro_rules! routes {
    ($($name:ident: $method:ident $path:literal, $scope:expr;)*) => {
        $(
            #[doc = concat!("`", $path, "`")]
            pub const $name: Route = Route { method: Method::$method, path: $path, scope: $scope };
        )*

        pub const ALL: &[Route] = &[$($name),*];
    };
}

const OPEN: Option<Scope> = None;
const READ: Option<Scope> = Some(Scope::Read);
const SUBMIT: Option<Scope> = Some(Scope::Submit);
const ADMIN: Option<Scope> = Some(Scope::Admin);

routes! {
    LIST_SUBMISSIONS:  Get    "/v1/submissions",                 READ;
    CREATE_SUBMISSION: Post   "/v1/submissions",                 SUBMIT;
    SUBMISSION:        Get    "/v1/submissions/{id}",            READ;
    RESULTS:           Get    "/v1/submissions/{id}/results",    READ;
    EMBEDDINGS:        Get    "/v1/submissions/{id}/embeddings", READ;
    JOBS:              Get    "/v1/submissions/{id}/jobs",       READ;
    CANCEL:            Post   "/v1/submissions/{id}/cancel",     SUBMIT;
    DELETE_SUBMISSION: Delete "/v1/submissions/{id}",            ADMIN;
    DELETE_ALL_OF:     Delete "/v1/submissions",                 ADMIN;

    LIST_RUNS:         Get    "/v1/runs",                        READ;
    CREATE_RUN:        Post   "/v1/runs",                        SUBMIT;
    RUN:               Get    "/v1/runs/{id}",                   READ;
    RESUME_RUN:        Post   "/v1/runs/{id}/resume",            SUBMIT;
    SPLIT:             Get    "/v1/runs/{id}/split",             READ;
    PREDICTIONS:       Get    "/v1/runs/{id}/predictions",       READ;
    HEAD:              Get    "/v1/runs/{id}/head",              READ;

    UPLOAD_IMAGE:      Post   "/v1/images",                      SUBMIT;
    FETCH_IMAGE:       Post   "/v1/images/fetch",                SUBMIT;
    DROP_UPLOADS:      Delete "/v1/images",                      ADMIN;
    SIMILAR:           Get    "/v1/similar",                     READ;

    LIST_DEAD_LETTERS:    Get    "/v1/dead-letters",             READ;
    DEAD_LETTER:          Get    "/v1/dead-letters/{id}",        READ;
    REQUEUE_DEAD_LETTERS: Post   "/v1/dead-letters/requeue",     ADMIN;
    PURGE_DEAD_LETTERS:   Post   "/v1/dead-letters/purge",       ADMIN;

    WORKERS:           Get    "/v1/workers",                     READ;
    STATUS:            Get    "/v1/status",                      READ;
    DOCTOR:            Get    "/v1/doctor",                      READ;
    END_HOST_BACKOFF:  Post   "/v1/hosts/{host}/resume",         ADMIN;
    LIST_SPACES:       Get    "/v1/spaces",                      READ;
    DROP_SPACE:        Delete "/v1/spaces/{name}",               ADMIN;
    SPACE_EMBEDDINGS:  Get    "/v1/spaces/{name}/embeddings",    READ;
    ADD_EMBEDDINGS:    Post   "/v1/spaces/{name}/embeddings",    ADMIN;

    HEALTHY:           Get    "/healthz",                        OPEN;
    READY:             Get    "/readyz",                         OPEN;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_listed_once() {
        for (index, route) in ALL.iter().enumerate() {
            let same = |other: &Route| (other.method, other.path) == (route.method, route.path);
            assert!(!ALL[..index].iter().any(same), "{route:?}");
        }
    }

    #[test]
    fn arguments_replace_path_parameters() {
        assert_eq!(STATUS.segments(&[]), ["v1", "status"]);
        assert_eq!(END_HOST_BACKOFF.segments(&["a/b"]), ["v1", "hosts", "a/b", "resume"]);
    }
}

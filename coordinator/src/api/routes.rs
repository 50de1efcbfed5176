//! The routes of the HTTP API, in one table.
//!
//! Owns method, path and scope of every route. The server builds its router and its access control from the
//! table, the client its paths, so a route cannot be spelled in two ways, and none can be added without a scope.

use super::access::Scope;

/// The method of a route; a `GET` route answers `HEAD` too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes something.
    Post,
    /// Removes something.
    Delete,
}

/// One route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with a name in braces for each segment that varies.
    pub path: &'static str,
    /// The scope that a request needs; `None` if it needs no token.
    pub scope: Option<Scope>,
}

impl Route {
    /// Returns the segments of the path with `names` in place of those that vary. They are not escaped.
    ///
    /// # Panics
    /// When there are fewer names than segments that vary.
    pub fn segments<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.iter();
        let name = |segment: &'static str| match segment.starts_with('{') {
            true => *names.next().expect("a route gets a name for each segment that varies"),
            false => segment,
        };
        self.path.split('/').skip(1).map(name).collect()
    }
}

macro_rules! routes {
    ($($name:ident: $method:ident $path:literal, $scope:expr;)*) => {
        $(
            #[doc = concat!("`", $path, "`")]
            pub const $name: Route = Route { method: Method::$method, path: $path, scope: $scope };
        )*

        /// Every route.
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

    LIST_RUNS:         Get    "/v1/runs",                        READ;
    CREATE_RUN:        Post   "/v1/runs",                        SUBMIT;
    RUN:               Get    "/v1/runs/{id}",                   READ;
    RESUME_RUN:        Post   "/v1/runs/{id}/resume",            SUBMIT;
    SPLIT:             Get    "/v1/runs/{id}/split",             READ;
    PREDICTIONS:       Get    "/v1/runs/{id}/predictions",       READ;
    HEAD:              Get    "/v1/runs/{id}/head",              READ;

    UPLOAD_IMAGE:      Post   "/v1/images",                      SUBMIT;
    FETCH_IMAGE:       Post   "/v1/images/fetch",                SUBMIT;
    SIMILAR:           Get    "/v1/similar",                     READ;

    LIST_DEAD_LETTERS:         Get    "/v1/dead-letters",                        READ;
    DEAD_LETTER:       Get    "/v1/dead-letters/{id}",           READ;
    REQUEUE_DEAD_LETTERS:      Post   "/v1/dead-letters/requeue",                ADMIN;
    PURGE_DEAD_LETTERS:        Post   "/v1/dead-letters/purge",                  ADMIN;

    WORKERS:           Get    "/v1/workers",                     READ;
    STATUS:            Get    "/v1/status",                      READ;
    DOCTOR:            Get    "/v1/doctor",                      READ;
    END_HOST_BACKOFF:     Post   "/v1/hosts/{host}/resume",       ADMIN;
    LIST_SPACES:       Get    "/v1/spaces",                      READ;
    DROP_SPACE:        Delete "/v1/spaces/{name}",               ADMIN;

    HEALTHY:           Get    "/healthz",                        OPEN;
    READY:             Get    "/readyz",                         OPEN;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_listed_once() {
        for (at, route) in ALL.iter().enumerate() {
            let same = |other: &Route| (other.method, other.path) == (route.method, route.path);
            assert!(!ALL[..at].iter().any(same), "{route:?}");
        }
    }

    #[test]
    fn names_take_the_place_of_what_varies() {
        assert_eq!(STATUS.segments(&[]), ["v1", "status"]);
        assert_eq!(END_HOST_BACKOFF.segments(&["a/b"]), ["v1", "hosts", "a/b", "resume"]);
    }
}

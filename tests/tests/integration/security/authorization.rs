//! Every route with every method and token: what each may do, derived from the table of routes.

use coordinator::api::{
    Scope,
    routes::{ALL, Method as Listed, Route},
};
use reqwest::Method;
use tests::{cluster::Cluster, http};

use super::Tokens;

/// What a request may need: nothing, or a token of a scope.
type Need = Option<Scope>;

/// The need of each route, as the documentation promises it. A new route has to be added here.
const NEEDS: &[(Listed, &str, Need)] = &[
    (Listed::Get, "/v1/submissions", Some(Scope::Read)),
    (Listed::Post, "/v1/submissions", Some(Scope::Submit)),
    (Listed::Get, "/v1/submissions/{id}", Some(Scope::Read)),
    (Listed::Get, "/v1/submissions/{id}/results", Some(Scope::Read)),
    (Listed::Get, "/v1/submissions/{id}/embeddings", Some(Scope::Read)),
    (Listed::Get, "/v1/submissions/{id}/jobs", Some(Scope::Read)),
    (Listed::Post, "/v1/submissions/{id}/cancel", Some(Scope::Submit)),
    (Listed::Delete, "/v1/submissions/{id}", Some(Scope::Admin)),
    (Listed::Delete, "/v1/submissions", Some(Scope::Admin)),
    (Listed::Get, "/v1/runs", Some(Scope::Read)),
    (Listed::Post, "/v1/runs", Some(Scope::Submit)),
    (Listed::Get, "/v1/runs/{id}", Some(Scope::Read)),
    (Listed::Post, "/v1/runs/{id}/resume", Some(Scope::Submit)),
    (Listed::Get, "/v1/runs/{id}/split", Some(Scope::Read)),
    (Listed::Get, "/v1/runs/{id}/predictions", Some(Scope::Read)),
    (Listed::Get, "/v1/runs/{id}/head", Some(Scope::Read)),
    (Listed::Post, "/v1/images", Some(Scope::Submit)),
    (Listed::Post, "/v1/images/fetch", Some(Scope::Submit)),
    (Listed::Delete, "/v1/images", Some(Scope::Admin)),
    (Listed::Get, "/v1/similar", Some(Scope::Read)),
    (Listed::Get, "/v1/dead-letters", Some(Scope::Read)),
    (Listed::Get, "/v1/dead-letters/{id}", Some(Scope::Read)),
    (Listed::Post, "/v1/dead-letters/requeue", Some(Scope::Admin)),
    (Listed::Post, "/v1/dead-letters/purge", Some(Scope::Admin)),
    (Listed::Get, "/v1/workers", Some(Scope::Read)),
    (Listed::Get, "/v1/status", Some(Scope::Read)),
    (Listed::Get, "/v1/doctor", Some(Scope::Read)),
    (Listed::Post, "/v1/hosts/{host}/resume", Some(Scope::Admin)),
    (Listed::Get, "/v1/spaces", Some(Scope::Read)),
    (Listed::Delete, "/v1/spaces/{name}", Some(Scope::Admin)),
    (Listed::Get, "/v1/spaces/{name}/embeddings", Some(Scope::Read)),
    (Listed::Post, "/v1/spaces/{name}/embeddings", Some(Scope::Admin)),
    (Listed::Get, "/healthz", None),
    (Listed::Get, "/readyz", None),
];

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

/// What a method needs on a path: methods that no route lists need `admin`.
fn need(path: &str, method: &str) -> Need {
    let listed = match method {
        "GET" | "HEAD" => Some(Listed::Get),
        "POST" => Some(Listed::Post),
        "DELETE" => Some(Listed::Delete),
        _ => None,
    };
    let found = NEEDS.iter().find(|(of, route, _)| Some(*of) == listed && *route == path);
    found.map_or(Some(Scope::Admin), |(_, _, need)| *need)
}

#[test]
fn each_route_has_a_need() {
    let listed: Vec<(Listed, &str, Need)> = NEEDS.to_vec();
    let routes: Vec<(Listed, &str, Need)> =
        ALL.iter().map(|Route { method, path, scope }| (*method, *path, *scope)).collect();
    assert_eq!(routes, listed, "add new routes to NEEDS");
}

#[tokio::test]
async fn no_method_of_any_route_exceeds_the_scope_of_a_token() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let holders: [(Option<&str>, Option<Scope>); 5] = [
        (None, None),
        (Some("subwatch_0000000000000000000000000000000000000000000000000000000000000000"), None),
        (Some(&tokens.read), Some(Scope::Read)),
        (Some(&tokens.submit), Some(Scope::Submit)),
        (Some(&tokens.admin), Some(Scope::Admin)),
    ];
    let client = http();
    let mut paths: Vec<&str> = ALL.iter().map(|route| route.path).collect();
    paths.dedup();
    let mut requests = 0;
    for path in paths {
        // Names what does not exist, so that allowed requests have no effect.
        let concrete = path
            .replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
            .replace("{host}", "none.example")
            .replace("{name}", "none");
        for method in METHODS {
            let need = need(path, method);
            for (token, scope) in holders {
                let url = format!("{}{concrete}", cluster.url());
                let mut request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let status = request.send().await.unwrap().status().as_u16();
                let is_right = match (need, scope) {
                    (Some(_), None) => status == 401,
                    (Some(need), Some(scope)) if scope < need => status == 403,
                    _ => ![401, 403].contains(&status) && status < 500,
                };
                assert!(is_right, "{method} {path} with the scope {scope:?}: {status}");
                requests += 1;
            }
        }
    }
    tests::print_line(&format!("{requests} requests"));
    cluster.finish().await;
}

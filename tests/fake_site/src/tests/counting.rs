//! The request log.

use std::time::Duration;

use futures::future::join_all;

use super::{eventually, get, site, videos_tab};
use crate::{Fault, Host, Rule, World};

#[tokio::test]
async fn requests_are_counted_by_host_path_and_channel() {
    let site = site(World::default(), []).await;
    let channel = &site.channels()[0];
    let page = format!("/{}/videos", channel.handle);
    let image = format!("/vi/{}/mqdefault.jpg", channel.videos[0].id);
    for path in [&page, &image, &image] {
        assert_eq!(get(&site, path).await.status(), 200);
    }
    videos_tab(&site, channel).await;
    let requests = site.requests();
    assert_eq!((requests.of(Host::Web).count(), requests.of(Host::Images).count()), (2, 2));
    assert_eq!((requests.to(&page).count(), requests.per_path()[&image]), (1, 2));
    assert!(requests.of(Host::Web).0.iter().all(|request| request.channel.as_deref() == Some(&channel.id)));
    assert!(requests.0.iter().all(|request| request.status == Some(200)));
    let by_body: Vec<_> = requests.0.iter().filter(|request| request.body.contains(&channel.id)).collect();
    assert_eq!(by_body.len(), 1);
    assert_eq!(by_body[0].path, "/youtubei/v1/browse");
    let seen = requests.count();
    get(&site, "/robots.txt").await;
    assert_eq!(site.requests_after(seen).per_path().into_keys().collect::<Vec<_>>(), ["/robots.txt"]);
}

#[tokio::test]
async fn concurrent_requests_are_counted() {
    let site = site(World { latency: Duration::from_millis(5), ..World::default() }, []).await;
    let image = |at: usize| format!("/vi/{}/mqdefault.jpg", site.channels()[0].videos[at].id);
    for at in 0..4 {
        get(&site, &image(at)).await.bytes().await.unwrap();
    }
    let one_by_one = site.requests();
    assert_eq!(one_by_one.max_concurrent(), 1);
    assert_eq!(one_by_one.max_within(Duration::from_secs(3_600)), 4);

    site.faults().add(Rule::to(Host::Images, Fault::Stalled));
    let paths: Vec<_> = (0..4).map(image).collect();
    let open = join_all(paths.iter().map(|path| get(&site, path))).await;
    assert_eq!(site.requests_after(4).max_concurrent(), 4);
    drop(open);
    eventually("aborted requests end", async || {
        site.requests().0.iter().all(|request| request.ended.is_some())
    })
    .await;
}

#[tokio::test]
async fn dropping_the_handle_stops_the_site() {
    let site = site(World::default(), []).await;
    let address = site.base();
    assert!(site.is_serving());
    drop(site);
    eventually("connections are refused", async || {
        super::client().get(address.clone()).send().await.is_err_and(|error| error.is_connect())
    })
    .await;
}

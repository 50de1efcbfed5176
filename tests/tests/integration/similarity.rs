//! The similarity index follows the store, whoever writes there.

use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
    store::CatalogueEntry,
};
use serde_json::Value;
use tests::{cluster::Cluster, http};

/// Embeddings on a quarter of a circle: 0 is the query, and the greater the number, the farther away.
fn image(number: u32) -> (Digest, Embedding) {
    let angle = number as f32 / 100.0;
    let mut values = vec![0.0; DIMENSIONS];
    (values[3], values[500]) = (angle.cos(), angle.sin());
    (Digest::of(&number.to_le_bytes()), Embedding::from_f32(&values))
}

async fn put(cluster: &Cluster, space: &Space, numbers: &[u32]) {
    let embeddings: Vec<_> = numbers.iter().map(|number| image(*number)).collect();
    let names = numbers.iter().map(|number| {
        let (item, dataset) = (format!("{number}.jpg"), "file:///images/".to_owned());
        (image(*number).0, CatalogueEntry { item, dataset, video_id: None, channel: None })
    });
    cluster.store.put_catalogue(&names.collect::<Vec<_>>()).await.unwrap();
    cluster.store.put_embeddings(space, &embeddings).await.unwrap();
}

/// Returns the names of the nearest images, and with how many the query was compared.
async fn nearest(cluster: &Cluster, space: &Space, count: usize) -> (Vec<String>, u64) {
    let url = format!("{}/v1/similar?sha256={}&space={space}&k={count}", cluster.url(), image(0).0);
    let found: Value =
        http().get(url).send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let names = found["neighbours"].as_array().unwrap().iter();
    let names = names.map(|neighbour| neighbour["item"].as_str().unwrap().to_owned()).collect();
    (names, found["compared"].as_u64().unwrap())
}

#[tokio::test]
async fn a_search_sees_what_was_written_before_it() {
    let cluster = Cluster::start(0).await;
    let space = Space("written-elsewhere".to_owned());
    cluster.store.register_space(&space, "a test").await.unwrap();
    put(&cluster, &space, &[0, 150]).await;
    assert_eq!(nearest(&cluster, &space, 1).await, (vec!["150.jpg".to_owned()], 1));
    // Each is nearer than all before it.
    for number in (1..60).rev() {
        put(&cluster, &space, &[number]).await;
        let found = nearest(&cluster, &space, 2).await;
        let second = if number == 59 { 150 } else { number + 1 };
        let want = vec![format!("{number}.jpg"), format!("{second}.jpg")];
        assert_eq!(found, (want, u64::from(61 - number)));
    }
    // Another space, and the first one with other images.
    let other = Space("another".to_owned());
    cluster.store.register_space(&other, "a test").await.unwrap();
    put(&cluster, &other, &[0, 7]).await;
    assert_eq!(nearest(&cluster, &other, 1).await.0, ["7.jpg"]);
    cluster.store.drop_space(&space).await.unwrap();
    cluster.store.register_space(&space, "a test").await.unwrap();
    put(&cluster, &space, &[0, 30, 20]).await;
    assert_eq!(nearest(&cluster, &space, 5).await.0, ["20.jpg", "30.jpg"]);
    cluster.finish().await;
}

#[tokio::test]
async fn searches_at_the_same_time_see_what_was_written_before_each() {
    let cluster = Cluster::start(0).await;
    let space = Space("written-elsewhere".to_owned());
    cluster.store.register_space(&space, "a test").await.unwrap();
    put(&cluster, &space, &[0]).await;
    for number in (1..40).rev() {
        put(&cluster, &space, &[number]).await;
        let want = vec![format!("{number}.jpg")];
        let search = || nearest(&cluster, &space, 1);
        let found = tokio::join!(search(), search(), search(), search());
        for (names, _) in [found.0, found.1, found.2, found.3] {
            assert_eq!(names, want);
        }
    }
    cluster.finish().await;
}

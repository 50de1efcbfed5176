//! Embedding, training and prediction, end to end.

use serde_json::Value;
use tests::cluster::Cluster;

#[tokio::test]
async fn embed_train_and_predict_work_together() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(600).await.display().to_string();

    let embed = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(
        (&embed["state"], &embed["succeeded"], &embed["cached"]),
        (&"succeeded".into(), &600.into(), &0.into())
    );
    let again = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!((&again["succeeded"], &again["cached"]), (&600.into(), &600.into()));

    let run = cluster.json(&["train", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(run["split"], serde_json::json!({"train": 360, "valid": 120, "test": 120}));
    assert_eq!(run["epochs"].as_array().unwrap().len(), 10);
    let (mse, baseline) = (number(&run["test"]["mse"]), number(&run["test"]["baseline_mse"]));
    assert!(mse <= 0.7 * baseline, "test MSE {mse}, baseline {baseline}: the model has not learnt anything");

    let mut files: Vec<String> = std::fs::read_dir(format!("{dataset}/thumbnails"))
        .unwrap()
        .take(5)
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    let garbage = cluster.folder().join("garbage.jpg");
    std::fs::write(&garbage, b"not an image").unwrap();
    files.push(garbage.display().to_string());
    let mut arguments = vec!["predict", "-o", "json"];
    arguments.extend(files.iter().map(String::as_str));
    let predictions = cluster.json(&arguments, &[3]).await;
    let predictions = predictions.as_array().unwrap();
    assert_eq!(predictions.len(), 6);
    for prediction in &predictions[..5] {
        assert!(number(&prediction["prediction"]) > -1.0, "{prediction}");
        assert_eq!(prediction["target"], "views-per-subscriber");
    }
    let error = predictions[5]["error"].as_str().unwrap();
    assert!(error.starts_with("undecodable"), "{error}");
    cluster.finish().await;
}

#[tokio::test]
async fn bad_image_fails_only_its_own_item() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(70).await;
    let thumbnails: Vec<_> =
        std::fs::read_dir(dataset.join("thumbnails")).unwrap().map(|e| e.unwrap().path()).collect();
    let whole = std::fs::read(&thumbnails[0]).unwrap();
    std::fs::write(&thumbnails[0], &whole[..whole.len() / 2]).unwrap();
    std::fs::write(&thumbnails[1], b"").unwrap();
    std::fs::remove_file(&thumbnails[2]).unwrap();

    let embed = cluster.json(&["embed", &dataset.display().to_string(), "-o", "json"], &[3]).await;
    assert_eq!(embed["state"], "completed_with_errors");
    assert_eq!((&embed["items"], &embed["succeeded"], &embed["failed"]), (&70.into(), &67.into(), &3.into()));
    let failures = embed["failures"].as_array().unwrap();
    let reason_of = |path: &std::path::Path| {
        let name = format!("thumbnails/{}", path.file_name().unwrap().to_str().unwrap());
        let failure = failures.iter().find(|failure| failure["item"].as_str().unwrap().contains(&name));
        failure.unwrap_or_else(|| panic!("{name} not found in {failures:?}"))["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (path, reason) in thumbnails.iter().zip(["undecodable", "empty", "missing"]) {
        assert!(reason_of(path).starts_with(reason), "{}", reason_of(path));
    }
    cluster.finish().await;
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

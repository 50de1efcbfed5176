//! What a dataset holds and what is wrong with it, for people.
//!
//! Owns the inspection of rows and images; changes nothing and decides nothing. Labels are counted for one
//! target, since that decides what a run would leave out.

use std::collections::{BTreeMap, HashMap};

use common::ids::Digest;
use futures::{StreamExt, stream};
use serde::Serialize;

use crate::{
    decode,
    files::Files,
    imagefolder::{Contents, Dataset, DatasetError},
    manifest::ManifestItem,
    target::{Target, Transform},
};

/// Largest image file that is read.
const MAX_IMAGE_BYTES: u64 = 32 << 20;
/// Groups of equal images that are named.
const LISTED: usize = 20;

/// What a dataset holds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Inspection {
    /// Rows of metadata; 0 where there is none.
    pub rows: u64,
    /// Items: usable rows, or images where there are no rows.
    pub items: u64,
    /// Images that were read and decoded.
    pub images: u64,
    /// Videos by channel: how many channels there are.
    pub channels: u64,
    /// Rows and images that cannot be used, with the reason.
    pub problems: Vec<Problem>,
    /// Rows about the same video or file: a dataset with any is refused.
    pub duplicate_rows: Vec<String>,
    /// Groups of items whose images have the same bytes, the largest first; at most 20.
    pub equal_images: Vec<Vec<String>>,
    /// Items beyond the first of each such group, over all groups.
    pub repeated_images: u64,
    /// Picture sizes, the most frequent first, as `1280×720`.
    pub sizes: Vec<Count>,
    /// The labels for one target.
    pub labels: Labels,
    /// What a run would leave out, by reason.
    pub left_out: Vec<Count>,
}

/// Something that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// The row or the image.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How often something occurs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Count {
    /// What.
    pub what: String,
    /// How often.
    pub items: u64,
}

/// How the labels of a dataset are distributed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Labels {
    /// The target they are for.
    pub target: Target,
    /// Items that have one.
    pub items: u64,
    /// Quantiles 0, 1, 5, 25, 50, 75, 95, 99 and 100 % in raw units; empty without labels.
    pub quantiles: Vec<(f64, f64)>,
    /// A histogram of `ln(1 + label)`: lower edge in raw units, and items.
    pub histogram: Vec<(f64, u64)>,
}

/// What one image turned out to be.
struct Looked<'a> {
    item: &'a ManifestItem,
    picture: Result<(Digest, String), String>,
}

/// Inspects the dataset, reading every image when `images` is set; `look` is called after each.
///
/// # Errors
/// When there is no dataset to inspect.
pub async fn inspect(
    files: &Files,
    target: Target,
    images: bool,
    look: impl Fn(u64, u64),
) -> Result<Inspection, DatasetError> {
    let mut dataset = Dataset::open(files).await?;
    let contents = dataset.rest().await?;
    let rows = contents.items.len() + contents.rejected.len() + contents.duplicates.len();
    let rows = if dataset.is_labelled() { rows } else { 0 };
    let total = contents.items.len() as u64;
    let mut looked = Vec::new();
    if images {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut pictures = stream::iter(&contents.items)
            .map(|item| async move { Looked { item, picture: look_at(files, item).await } })
            .buffered(threads * 2);
        while let Some(one) = pictures.next().await {
            looked.push(one);
            look(looked.len() as u64, total);
        }
    }
    Ok(summarise(rows as u64, &contents, &looked, target))
}

async fn look_at(files: &Files, item: &ManifestItem) -> Result<(Digest, String), String> {
    let bytes = files.read(&item.item, MAX_IMAGE_BYTES).await.map_err(|error| error.to_string())?;
    let looking = tokio::task::spawn_blocking(move || {
        let picture = decode::decode(&bytes).map_err(|failure| failure.to_string())?;
        Ok((Digest::of(&bytes), format!("{}×{}", picture.width, picture.height)))
    });
    looking.await.expect("decoding does not panic")
}

fn summarise(rows: u64, contents: &Contents, looked: &[Looked<'_>], target: Target) -> Inspection {
    let Contents { items, rejected, duplicates } = contents;
    let mut problems: Vec<Problem> = rejected
        .iter()
        .map(|rejected| Problem { item: rejected.item.clone(), reason: rejected.failure.to_string() })
        .collect();
    let mut left_out: Vec<String> =
        rejected.iter().map(|rejected| rejected.failure.reason.to_string()).collect();
    let mut groups = HashMap::<Digest, Vec<String>>::new();
    let mut sizes = Vec::new();
    let mut unreadable = HashMap::new();
    for Looked { item, picture } in looked {
        match picture {
            Ok((digest, size)) => {
                groups.entry(*digest).or_default().push(item.item.clone());
                sizes.push(size.clone());
            }
            Err(reason) => {
                problems.push(Problem { item: item.item.clone(), reason: reason.clone() });
                unreadable.insert(item.item.as_str(), reason.as_str());
            }
        }
    }
    let mut labels = Vec::new();
    for item in items {
        match (unreadable.get(item.item.as_str()), target.label(item)) {
            (Some(reason), _) => left_out.push(reason.split(':').next().unwrap_or_default().to_owned()),
            (None, Ok(label)) => labels.push(label),
            (None, Err(reason)) => left_out.push(reason),
        }
    }
    let mut equal: Vec<Vec<String>> = groups.into_values().filter(|group| group.len() > 1).collect();
    equal.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    let repeated_images = equal.iter().map(|group| group.len() as u64 - 1).sum();
    equal.truncate(LISTED);
    let channels: std::collections::HashSet<&String> =
        items.iter().filter_map(|item| item.channel_id.as_ref()).collect();
    Inspection {
        rows,
        items: items.len() as u64,
        images: sizes.len() as u64,
        channels: channels.len() as u64,
        problems,
        duplicate_rows: duplicates.iter().map(ToString::to_string).collect(),
        equal_images: equal,
        repeated_images,
        sizes: count(sizes),
        labels: distribution(target, labels),
        left_out: count(left_out),
    }
}

fn distribution(target: Target, mut labels: Vec<f64>) -> Labels {
    const QUANTILES: [f64; 9] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];
    const BINS: usize = 16;
    labels.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (labels.first(), labels.last()) else {
        return Labels { target, items: 0, quantiles: Vec::new(), histogram: Vec::new() };
    };
    let at = |quantile: f64| labels[(quantile * (labels.len() - 1) as f64).round() as usize];
    let (low, high) = (Transform::Log1p.apply(*first), Transform::Log1p.apply(*last));
    let width = ((high - low) / BINS as f64).max(f64::MIN_POSITIVE);
    let mut bins = [0_u64; BINS];
    for label in &labels {
        let bin = ((Transform::Log1p.apply(*label) - low) / width) as usize;
        bins[bin.min(BINS - 1)] += 1;
    }
    let edge = |bin: usize| Transform::Log1p.invert(low + width * bin as f64);
    Labels {
        target,
        items: labels.len() as u64,
        quantiles: QUANTILES.map(|quantile| (quantile, at(quantile))).to_vec(),
        histogram: bins.into_iter().enumerate().map(|(bin, items)| (edge(bin), items)).collect(),
    }
}

/// Counts equal texts, the most frequent first.
fn count(texts: Vec<String>) -> Vec<Count> {
    let mut counts = BTreeMap::<String, u64>::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut counts: Vec<Count> = counts.into_iter().map(|(what, items)| Count { what, items }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.items));
    counts
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::sample;

    #[tokio::test]
    async fn what_is_wrong_is_counted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        sample::generate(&root, 6, 0, |_| {}).unwrap();
        let copy = root.join("thumbnails/copy.jpg");
        std::fs::copy(root.join("thumbnails/s0-000000.jpg"), copy).unwrap();
        std::fs::write(root.join("thumbnails/bad.jpg"), b"no picture").unwrap();
        let metadata = root.join("metadata.jsonl");
        let rows = std::fs::read_to_string(&metadata).unwrap();
        let more = [
            r#"{"file_name":"thumbnails/copy.jpg","views":1,"subscribers":0}"#,
            r#"{"file_name":"thumbnails/bad.jpg","views":1,"subscribers":1}"#,
            r#"{"file_name":"thumbnails/none.jpg","views":1,"subscribers":1}"#,
            r#"{"file_name":"thumbnails/copy.jpg","views":2,"subscribers":2}"#,
        ];
        std::fs::write(&metadata, rows + &more.join("\n")).unwrap();
        let files = Files::open(&Url::from_directory_path(&root).unwrap()).unwrap();
        let found = inspect(&files, Target::ViewsPerSubscriber, true, |_, _| {}).await.unwrap();

        assert_eq!((found.rows, found.items, found.images), (10, 8, 7));
        assert_eq!(found.equal_images, [["thumbnails/s0-000000.jpg", "thumbnails/copy.jpg"]]);
        assert_eq!(found.repeated_images, 1);
        let problems: Vec<&str> = found.problems.iter().map(|problem| problem.item.as_str()).collect();
        assert_eq!(problems, ["thumbnails/none.jpg", "thumbnails/bad.jpg"]);
        assert_eq!(found.duplicate_rows.len(), 1);
        let left_out: Vec<(&str, u64)> =
            found.left_out.iter().map(|count| (count.what.as_str(), count.items)).collect();
        assert_eq!(left_out, [("missing", 1), ("subscribers are zero", 1), ("undecodable", 1)]);
        assert_eq!(found.labels.items, 6);
        assert_eq!(found.labels.histogram.iter().map(|(_, items)| items).sum::<u64>(), 6);
        assert_eq!(found.labels.quantiles.len(), 9);
    }
}

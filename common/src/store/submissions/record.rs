//! The record of a submission: the request and its progress.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{
    embedding::DeviceClass,
    ids::SubmissionId,
    store::{Snooze, Store, StoreError},
};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubmissionKind {
    /// Embed a dataset.
    Embed,
    /// Predict the target for images.
    Predict,
    /// Train a head. Such a submission is a run.
    Train,
    /// Crawl channels and videos into a dataset.
    Crawl,
}

/// Value of the field `output` while the items are being listed.
const LISTING: &str = "listing";

/// State of a submission.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its manifest is being written; it has no jobs yet.
    Preparing,
    /// Its jobs are being published and run.
    Running,
    /// Every item succeeded.
    Succeeded,
    /// Every item is resolved, and some failed.
    CompletedWithErrors,
    /// It failed as a whole; see [`Submission::error`].
    Failed,
    /// A user cancelled it.
    Cancelled,
}

impl State {
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Preparing | Self::Running)
    }

    pub(super) fn name(self) -> String {
        variant_name(&self)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

#[derive(Clone, Debug)]
pub struct Submission {
    pub id: SubmissionId,
    pub kind: SubmissionKind,
    pub state: State,
    /// The request.
    pub spec: serde_json::Value,
    /// The run that created it, for its embeddings.
    pub parent: Option<SubmissionId>,
    pub created_ms: u64,
    /// When its unfinished jobs expire.
    pub deadline_ms: Option<u64>,
    /// W3C trace context of the request, for its jobs.
    pub traceparent: Option<String>,
    /// Name of the access token that submitted it.
    pub submitted_by: Option<String>,
    pub finished_ms: Option<u64>,
    /// Number of items, including those rejected during preparation.
    pub items: u64,
    pub succeeded: u64,
    /// Succeeded items that did not need the model.
    pub cached: u64,
    /// The others of those, by the device class that computed them.
    pub computed_on: BTreeMap<DeviceClass, u64>,
    pub failed: u64,
    pub jobs: u32,
    pub jobs_published: u32,
    /// Jobs done or discarded.
    pub jobs_finished: u32,
    /// Thumbnails stored by a crawl so far.
    pub thumbnails: u64,
    /// The most recent snooze of one of its jobs.
    pub snoozed: Option<Snooze>,
    /// Whether its jobs write files, so that the leader ends it.
    pub has_output: bool,
    /// Whether its dataset is still being listed, or was when it was closed: `items` and `jobs` are those so far.
    pub is_listing: bool,
    /// The layout of its items, for the coordinator; `None` while preparing.
    pub manifest: Option<serde_json::Value>,
    pub error: Option<String>,
}

impl Submission {
    /// Whether all jobs are finished, and the leader has to write the rows of a crawl or the manifest of an output.
    #[must_use]
    pub fn awaits_leader(&self) -> bool {
        let are_published = self.jobs_published == self.jobs;
        (self.kind == SubmissionKind::Crawl || self.has_output)
            && self.state == State::Running
            && are_published
            && self.jobs_finished >= self.jobs
    }
}

impl Store {
    /// Returns `None` if the submission does not exist.
    pub async fn state(&self, id: SubmissionId) -> Result<Option<State>, StoreError> {
        let key = self.keys.submission(id);
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg("state");
        let text: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        text.map(|text| parse_name(&key, &text)).transpose()
    }

    /// Returns `None` if the submission does not exist.
    pub async fn submission(&self, id: SubmissionId) -> Result<Option<Submission>, StoreError> {
        let key = self.keys.submission(id);
        let fields: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        if fields.is_empty() { Ok(None) } else { read_record(id, &key, &fields).map(Some) }
    }
}

fn read_record(
    id: SubmissionId,
    key: &str,
    fields: &HashMap<String, String>,
) -> Result<Submission, StoreError> {
    fn number<T: FromStr>(fields: &HashMap<String, String>, name: &str) -> Option<T> {
        fields.get(name)?.parse().ok()
    }
    let text = |name: &str| {
        fields
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| StoreError::corrupt(key, &format!("the field '{name}' is missing")))
    };
    Ok(Submission {
        id,
        kind: parse_name(key, text("kind")?)?,
        state: parse_name(key, text("state")?)?,
        spec: serde_json::from_str(text("spec")?).map_err(|error| StoreError::corrupt(key, &error))?,
        parent: number(fields, "parent"),
        created_ms: number(fields, "created_ms").unwrap_or(0),
        deadline_ms: number(fields, "deadline_ms"),
        traceparent: fields.get("traceparent").cloned(),
        submitted_by: fields.get("submitted_by").cloned(),
        finished_ms: number(fields, "finished_ms"),
        items: number(fields, "items").unwrap_or(0),
        succeeded: number(fields, "succeeded").unwrap_or(0),
        cached: number(fields, "cached").unwrap_or(0),
        computed_on: computed_on(fields),
        failed: number(fields, "failed").unwrap_or(0),
        jobs: number(fields, "jobs").unwrap_or(0),
        jobs_published: number(fields, "jobs_published").unwrap_or(0),
        jobs_finished: number(fields, "jobs_finished").unwrap_or(0),
        thumbnails: number(fields, "thumbnails").unwrap_or(0),
        snoozed: number(fields, "snoozed_until_ms").map(|until_ms| Snooze {
            until_ms,
            reason: fields.get("snoozed_reason").cloned().unwrap_or_default(),
        }),
        has_output: fields.get("output").is_some_and(|output| output != LISTING),
        is_listing: fields.get("output").is_some_and(|output| output == LISTING),
        manifest: fields.get("manifest").and_then(|json| serde_json::from_str(json).ok()),
        error: fields.get("error").cloned(),
    })
}

/// Reads the fields `computed_on:CLASS`.
fn computed_on(fields: &HashMap<String, String>) -> BTreeMap<DeviceClass, u64> {
    let count = |(field, count): (&String, &String)| {
        Some((DeviceClass(field.strip_prefix("computed_on:")?.to_owned()), count.parse().ok()?))
    };
    fields.iter().filter_map(count).collect()
}

/// The serde name of a unit variant.
pub(super) fn variant_name(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).expect("a unit variant is a string");
    json.as_str().expect("a unit variant is a string").to_owned()
}

fn parse_name<T: for<'de> Deserialize<'de>>(key: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| StoreError::corrupt(key, &error))
}

//! A submission's record: what was asked for, and how far it is.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::SubmissionId,
    store::{Snooze, Store, StoreError},
};

/// What kind of thing was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubmissionKind {
    /// Embed a dataset.
    Embed,
    /// Predict the target of images.
    Predict,
    /// Train a head: a run.
    Train,
    /// Crawl channels and videos into a dataset.
    Crawl,
}

/// Where a submission stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its manifest is being made; it has no jobs yet.
    Preparing,
    /// Its jobs are being published and worked on.
    Running,
    /// Every item succeeded.
    Succeeded,
    /// Every item is resolved, and some failed.
    CompletedWithErrors,
    /// It could not be carried out; `error` says why.
    Failed,
    /// Someone stopped it.
    Cancelled,
}

impl State {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Preparing | Self::Running)
    }

    pub(super) fn name(self) -> String {
        word(&self)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

/// A submission's record.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id.
    pub id: SubmissionId,
    /// What kind of thing it asks for.
    pub kind: SubmissionKind,
    /// Where it stands.
    pub state: State,
    /// The request.
    pub spec: serde_json::Value,
    /// The run that made it for itself.
    pub parent: Option<SubmissionId>,
    /// When it was made, in Redis's time.
    pub created_ms: u64,
    /// When its unfinished jobs expire, in Redis's time.
    pub deadline_ms: Option<u64>,
    /// W3C trace context of the request, for its jobs.
    pub traceparent: Option<String>,
    /// When it reached its end, in Redis's time.
    pub finished_ms: Option<u64>,
    /// Items, those rejected while preparing included.
    pub items: u64,
    /// Items resolved well.
    pub succeeded: u64,
    /// Items resolved well without running the model.
    pub cached: u64,
    /// Items that failed.
    pub failed: u64,
    /// Jobs.
    pub jobs: u32,
    /// Jobs published so far.
    pub jobs_published: u32,
    /// Jobs done or dead.
    pub jobs_finished: u32,
    /// Thumbnails that a crawl has stored so far.
    pub thumbnails: u64,
    /// Why and until when the job rests that was put to rest last.
    pub snoozed: Option<Snooze>,
    /// How its items are laid out, as its coordinator wants to read it again; once it is open.
    pub manifest: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Store {
    /// Returns where a submission stands; nothing when it is gone.
    ///
    /// # Errors
    /// When Redis does not serve or the state is none.
    pub async fn state(&self, id: SubmissionId) -> Result<Option<State>, StoreError> {
        let key = self.keys.submission(id);
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg("state");
        let text: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        text.map(|text| parse_word(&key, &text)).transpose()
    }

    /// Returns a submission's record.
    ///
    /// # Errors
    /// When Redis does not serve or the record is not one.
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
            .ok_or_else(|| StoreError::corrupt(key, &format!("no field '{name}'")))
    };
    Ok(Submission {
        id,
        kind: parse_word(key, text("kind")?)?,
        state: parse_word(key, text("state")?)?,
        spec: serde_json::from_str(text("spec")?).map_err(|error| StoreError::corrupt(key, &error))?,
        parent: number(fields, "parent"),
        created_ms: number(fields, "created_ms").unwrap_or(0),
        deadline_ms: number(fields, "deadline_ms"),
        traceparent: fields.get("traceparent").cloned(),
        finished_ms: number(fields, "finished_ms"),
        items: number(fields, "items").unwrap_or(0),
        succeeded: number(fields, "succeeded").unwrap_or(0),
        cached: number(fields, "cached").unwrap_or(0),
        failed: number(fields, "failed").unwrap_or(0),
        jobs: number(fields, "jobs").unwrap_or(0),
        jobs_published: number(fields, "jobs_published").unwrap_or(0),
        jobs_finished: number(fields, "jobs_finished").unwrap_or(0),
        thumbnails: number(fields, "thumbnails").unwrap_or(0),
        snoozed: number(fields, "snoozed_until_ms").map(|until_ms| Snooze {
            until_ms,
            reason: fields.get("snoozed_reason").cloned().unwrap_or_default(),
        }),
        manifest: fields.get("manifest").and_then(|json| serde_json::from_str(json).ok()),
        error: fields.get("error").cloned(),
    })
}

/// The serde name of a unit variant.
pub(super) fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).expect("a unit variant is a string");
    json.as_str().expect("a unit variant is a string").to_owned()
}

fn parse_word<T: for<'de> Deserialize<'de>>(key: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| StoreError::corrupt(key, &error))
}

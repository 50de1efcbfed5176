//! Submissions: what users asked for, how far it is, and the results of its items.
//!
//! Owns the submission's record and its index; does not own how jobs change it (see [`super::jobs`]).

use std::{collections::HashMap, str::FromStr, sync::LazyLock, time::Duration};

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{Pause, Store, StoreError, lease::fenced_script};
use crate::{ids::SubmissionId, job::outcome::ItemResult};

static CREATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/create_submission.lua")));
static OPEN: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("scripts/open_submission.lua")));
static OPEN_RUN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/open_run.lua")));
static CLOSE: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("scripts/close_submission.lua")));
static SET_PUBLISHED: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("scripts/set_published.lua")));

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

    fn name(self) -> String {
        word(&self)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

/// A submission to record.
#[derive(Clone, Debug)]
pub struct NewSubmission {
    /// Its id.
    pub id: SubmissionId,
    /// What kind of thing it asks for.
    pub kind: SubmissionKind,
    /// The request, as its coordinator wants to read it again after a restart.
    pub spec: serde_json::Value,
    /// The run that made it for itself.
    pub parent: Option<SubmissionId>,
    /// How long it is kept after its end.
    pub retention: Duration,
    /// How long its jobs may take, all together, before those left are discarded.
    pub deadline: Option<Duration>,
    /// W3C trace context of the request, for its jobs.
    pub traceparent: Option<String>,
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
    pub paused: Option<Pause>,
    /// How its items are laid out, as its coordinator wants to read it again; once it is open.
    pub manifest: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A prepared submission, ready for its jobs.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Items, the rejected ones included.
    pub items: u64,
    /// Jobs.
    pub jobs: u32,
    /// How the items are laid out.
    pub manifest: serde_json::Value,
    /// How many items failed already (see [`Store::reject_items`]).
    pub rejected: u64,
}

impl Store {
    /// Records a submission in the state `preparing` and puts it in the index; one that is there already
    /// stays as it is.
    ///
    /// # Errors
    /// When Redis does not serve; the same call again completes it.
    pub async fn create_submission(&self, new: &NewSubmission) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let id = new.id.to_string();
        // First of all, so that whoever leads finds it even if this process dies now.
        redis::cmd("SADD").arg(self.keys.active()).arg(&id).query_async::<()>(&mut connection).await?;
        let mut fields = vec![
            ("kind", word(&new.kind)),
            ("state", State::Preparing.name()),
            ("spec", new.spec.to_string()),
            ("retention_ms", new.retention.as_millis().to_string()),
        ];
        fields.extend(new.parent.map(|parent| ("parent", parent.to_string())));
        fields.extend(new.traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
        if let Some(deadline) = new.deadline {
            let deadline_ms = u128::from(self.now_ms().await?) + deadline.as_millis();
            fields.push(("deadline_ms", deadline_ms.to_string()));
        }
        CREATE
            .key(self.keys.submission(new.id))
            .arg(self.keys.doorbell())
            .arg(id)
            .arg(&fields)
            .invoke_async::<()>(&mut connection)
            .await?;
        // Only now: an entry without a record leaves the index.
        self.put_in_index(new.id, new.kind).await
    }

    /// Puts a submission into the index that [`Store::submissions`] reads, and a run into that of
    /// [`Store::runs`]; doing it twice changes nothing. Whoever leads does it again for a maker that died, or a
    /// store that was put back, in between.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_in_index(&self, id: SubmissionId, kind: SubmissionKind) -> Result<(), StoreError> {
        let run = (kind == SubmissionKind::Train).then(|| self.keys.runs());
        for index in [self.keys.submissions()].into_iter().chain(run) {
            // All scores are equal: ids sort by time, so an index is read in lexicographic order.
            let mut command = redis::cmd("ZADD");
            command.arg(index).arg(0).arg(id.to_string());
            command.query_async::<()>(&mut self.connection.clone()).await?;
        }
        Ok(())
    }

    /// Returns how many submissions a coordinator has to look after.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn active_count(&self) -> Result<u64, StoreError> {
        Ok(redis::cmd("SCARD").arg(self.keys.active()).query_async(&mut self.connection.clone()).await?)
    }

    /// Puts a submission on the list of those to look after, and wakes whoever does.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn set_active(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.sadd(self.keys.active(), id.to_string()).ignore();
        pipe.publish(self.keys.doorbell(), id.to_string()).ignore();
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the submissions that a coordinator has to look after, oldest first.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn active_submissions(&self) -> Result<Vec<SubmissionId>, StoreError> {
        let key = self.keys.active();
        let ids: Vec<String> =
            redis::cmd("SMEMBERS").arg(&key).query_async(&mut self.connection.clone()).await?;
        let parsed: Result<Vec<SubmissionId>, _> = ids.iter().map(|id| id.parse()).collect();
        let mut ids = parsed.map_err(|error| StoreError::corrupt(&key, &error))?;
        ids.sort();
        Ok(ids)
    }

    /// Takes a submission that reached its end off the list of those to look after. One that was opened
    /// again meanwhile stays on it.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn set_inactive(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut command = redis::cmd("SREM");
        command.arg(self.keys.active()).arg(id.to_string());
        command.query_async::<()>(&mut self.connection.clone()).await?;
        match self.state(id).await? {
            Some(state) if !state.is_terminal() => self.set_active(id).await,
            _ => Ok(()),
        }
    }

    /// Writes the results of items, by submission-wide index, that failed while their submission is prepared.
    /// They are counted when it is opened.
    ///
    /// # Errors
    /// When Redis does not serve; doing it again changes nothing.
    pub async fn reject_items(
        &self,
        id: SubmissionId,
        results: &[(u64, ItemResult)],
    ) -> Result<(), StoreError> {
        if results.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HSET");
        command.arg(self.keys.of_submission(id, "results"));
        for (index, result) in results {
            let json = serde_json::to_string(result).expect("a result is plain data");
            command.arg(*index).arg(json);
        }
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Opens a prepared submission for its jobs, unless somebody closed it meanwhile. One without jobs is
    /// closed at once by [`Store::close_submission`].
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn open_submission(&self, id: SubmissionId, opening: &Opening) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut call = OPEN.key(self.keys.submission(id));
        call.arg(self.token())
            .arg(opening.items)
            .arg(opening.jobs)
            .arg(opening.rejected)
            .arg(opening.manifest.to_string());
        let opened = self.invoke_fenced(&call).await? == "opened";
        if !opened && self.state(id).await? == Some(State::Cancelled) {
            // Its retention began before these results were there.
            let mut command = redis::cmd("UNLINK");
            command.arg(self.keys.of_submission(id, "results"));
            command.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    /// Opens a run: it makes its jobs as it goes. One that is no longer `preparing` is left as it is.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn open_run(&self, run: SubmissionId) -> Result<(), StoreError> {
        OPEN_RUN.key(self.keys.submission(run)).invoke_async::<()>(&mut self.connection.clone()).await?;
        Ok(())
    }

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

    /// Remembers that the first `jobs` jobs are published, so that a restart goes on from there.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn set_published(&self, id: SubmissionId, jobs: u32) -> Result<(), StoreError> {
        let mut call = SET_PUBLISHED.key(self.keys.submission(id));
        call.arg(self.token()).arg(jobs);
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Ends a submission from outside its jobs. Returns whether it was open.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn close_submission(
        &self,
        id: SubmissionId,
        state: State,
        error: Option<&str>,
        keep: bool,
    ) -> Result<bool, StoreError> {
        let mut call = CLOSE.key(self.keys.submission(id));
        call.key(self.keys.of_submission(id, "results"))
            .key(self.keys.of_submission(id, "jobs"))
            .arg(self.token())
            .arg(state.name())
            .arg(error.unwrap_or_default())
            .arg(u8::from(keep))
            .arg(self.keys.doorbell())
            .arg(id.to_string());
        Ok(self.invoke_fenced(&call).await? == "closed")
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

    /// Returns up to `limit` submissions, newest first, older than `before`. Entries whose record has
    /// expired leave the index on the way; a record of a kind that is not known here is left out.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn submissions(
        &self,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        self.listed(&self.keys.submissions(), before, limit).await
    }

    /// Likewise, of the runs alone.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn runs(
        &self,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        self.listed(&self.keys.runs(), before, limit).await
    }

    async fn listed(
        &self,
        index: &str,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        let mut connection = self.connection.clone();
        let mut found = Vec::new();
        let mut cursor = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        while found.len() < limit {
            let mut page = redis::cmd("ZRANGE");
            page.arg(index).arg(&cursor).arg("-").arg("BYLEX").arg("REV").arg("LIMIT").arg(0).arg(limit);
            let ids: Vec<String> = page.query_async(&mut connection).await?;
            let Some(last) = ids.last() else { break };
            cursor = format!("({last}");
            for text in &ids {
                let id = text.parse().map_err(|error| StoreError::corrupt(index, &error))?;
                match self.submission(id).await {
                    Ok(Some(submission)) => found.push(submission),
                    Ok(None) => {
                        redis::cmd("ZREM").arg(index).arg(text).query_async::<()>(&mut connection).await?;
                    }
                    Err(error @ StoreError::Corrupt { .. }) => tracing::debug!(%error, "not listed"),
                    Err(error) => return Err(error),
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Returns the results of the items `first .. first + count`; nothing for an unresolved one.
    ///
    /// # Errors
    /// When Redis does not serve or a result is not one.
    pub async fn results(
        &self,
        id: SubmissionId,
        first: u64,
        count: u64,
    ) -> Result<Vec<Option<ItemResult>>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let key = self.keys.of_submission(id, "results");
        let mut command = redis::cmd("HMGET");
        command.arg(&key);
        for index in first..first + count {
            command.arg(index);
        }
        let raw: Vec<Option<String>> = command.query_async(&mut self.connection.clone()).await?;
        raw.into_iter()
            .map(|json| json.map(|json| serde_json::from_str(&json)).transpose())
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::corrupt(&key, &error))
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
        paused: number(fields, "paused_until_ms").map(|until_ms| Pause {
            until_ms,
            reason: fields.get("paused_reason").cloned().unwrap_or_default(),
        }),
        manifest: fields.get("manifest").and_then(|json| serde_json::from_str(json).ok()),
        error: fields.get("error").cloned(),
    })
}

/// The serde name of a unit variant.
fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).expect("a unit variant is a string");
    json.as_str().expect("a unit variant is a string").to_owned()
}

fn parse_word<T: for<'de> Deserialize<'de>>(key: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| StoreError::corrupt(key, &error))
}

//! Run state: the current parameters, the results of their nodes, and the run's documents.
//!
//! The training protocol defines the bytes.
//! Invariant: results for an older parameter version are ignored.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, jobs::ignored_reason, lease::fenced_script};
use crate::{ids::SubmissionId, training::tree::Node};

static FINISH_NODE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/finish_node.lua")));
static REOPEN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/reopen_run.lua")));
static EXPIRE: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("scripts/expire_run.lua")));
static PUT_PARAMETERS: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("scripts/put_parameters.lua")));
static PUT_BLOB: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("scripts/put_blob.lua")));
static DELETE: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("scripts/delete_run_state.lua")));

/// One version of a run's parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameters {
    /// Increases by 1 with every step and evaluation.
    pub version: u64,
    /// Little-endian f32.
    pub bytes: Vec<u8>,
}

/// The verdict on a node's result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeFinish {
    Applied,
    /// The result has no effect, for this reason.
    Ignored(&'static str),
    /// Another worker computed different bytes: the two do not share the arithmetic of their fingerprint.
    Conflict,
}

/// A document of a run, stored as JSON, except for samples and scaling, whose bytes the training protocol defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunDocument {
    /// ID of the submission that embeds the dataset.
    Embed,
    /// [`Sample`](crate::training::protocol::Sample)s, in the order of the splits.
    Samples,
    /// [`Scaling`](crate::training::protocol::Scaling) of the features.
    Scaling,
    /// The [`RunPlan`](crate::training::protocol::RunPlan) for the workers.
    Plan,
    /// The progress and metrics that the API shows. Rewritten as the run progresses.
    Report,
    /// The coordinator's plan of the run. Written last, once everything is prepared.
    Setup,
    /// The state of the run after the last complete epoch.
    Checkpoint,
    /// The trained [`Head`](crate::training::protocol::Head).
    Head,
}

impl RunDocument {
    const ALL: [Self; 8] = [
        Self::Embed,
        Self::Samples,
        Self::Scaling,
        Self::Plan,
        Self::Report,
        Self::Setup,
        Self::Checkpoint,
        Self::Head,
    ];

    /// The last part of its key.
    fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Samples => "samples",
            Self::Scaling => "scaling",
            Self::Plan => "plan",
            Self::Report => "report",
            Self::Setup => "setup",
            Self::Checkpoint => "checkpoint",
            Self::Head => "head",
        }
    }
}

impl Store {
    /// Publishes the next version of the parameters and deletes the results of the previous one.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if another coordinator became the leader.
    pub async fn put_parameters(&self, run: SubmissionId, parameters: &Parameters) -> Result<(), StoreError> {
        let mut value = parameters.version.to_le_bytes().to_vec();
        value.extend_from_slice(&parameters.bytes);
        let mut call = PUT_PARAMETERS.key(self.keys.submission(run));
        call.key(self.keys.of_submission(run, "parameters"))
            .key(self.keys.of_submission(run, "nodes"))
            .arg(self.token())
            .arg(parameters.version)
            .arg(value);
        self.invoke_fenced(&call).await.map(drop)
    }

    pub async fn parameters(&self, run: SubmissionId) -> Result<Option<Parameters>, StoreError> {
        let key = self.keys.of_submission(run, "parameters");
        let value: Option<Vec<u8>> =
            redis::cmd("GET").arg(&key).query_async(&mut self.connection.clone()).await?;
        value
            .map(|value| match value.split_first_chunk::<8>() {
                Some((version, bytes)) => {
                    Ok(Parameters { version: u64::from_le_bytes(*version), bytes: bytes.to_vec() })
                }
                None => Err(StoreError::corrupt(&key, &format!("{} bytes", value.len()))),
            })
            .transpose()
    }

    /// Stores the result of `node` for parameter version `version`.
    pub async fn finish_node(
        &self,
        run: SubmissionId,
        job_name: &str,
        version: u64,
        node: Node,
        bytes: &[u8],
    ) -> Result<NodeFinish, StoreError> {
        let verdict: String = FINISH_NODE
            .key(self.keys.submission(run))
            .key(self.keys.of_submission(run, "jobs"))
            .key(self.keys.of_submission(run, "nodes"))
            .arg(job_name)
            .arg(version)
            .arg(node.to_string())
            .arg(bytes)
            .arg(self.keys.notifications())
            .arg(run.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "applied" => NodeFinish::Applied,
            "conflict" => NodeFinish::Conflict,
            other => NodeFinish::Ignored(ignored_reason(other)),
        })
    }

    /// Returns the results available for `wanted` (at least one node) with parameter version `version`, or `None` if
    /// that is not the current version, for example after Redis was restored from a backup.
    pub async fn nodes(
        &self,
        run: SubmissionId,
        version: u64,
        wanted: &[Node],
    ) -> Result<Option<HashMap<Node, Vec<u8>>>, StoreError> {
        let names: Vec<String> = wanted.iter().map(Node::to_string).collect();
        let mut pipe = redis::pipe();
        pipe.atomic().hget(self.keys.submission(run), "version");
        pipe.cmd("HMGET").arg(self.keys.of_submission(run, "nodes")).arg(names);
        let (current, results): (Option<u64>, Vec<Option<Vec<u8>>>) =
            pipe.query_async(&mut self.connection.clone()).await?;
        let available = wanted.iter().zip(results).filter_map(|(node, bytes)| Some((*node, bytes?)));
        Ok((current == Some(version)).then(|| available.collect()))
    }

    /// Stores a document of the run as JSON.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if another coordinator became the leader.
    pub async fn put_document(
        &self,
        run: SubmissionId,
        document: RunDocument,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_vec(value).expect("a document is plain data");
        self.put_blob(run, document, &json).await
    }

    pub async fn document<T: DeserializeOwned>(
        &self,
        run: SubmissionId,
        document: RunDocument,
    ) -> Result<Option<T>, StoreError> {
        let key = self.keys.of_submission(run, document.name());
        let json = self.blob(run, document).await?;
        json.map(|json| serde_json::from_slice(&json).map_err(|error| StoreError::corrupt(&key, &error)))
            .transpose()
    }

    /// Stores the bytes of a document of the run, such as its samples.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if another coordinator became the leader.
    pub async fn put_blob(
        &self,
        run: SubmissionId,
        document: RunDocument,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let mut call = PUT_BLOB.key(self.keys.submission(run));
        call.key(self.keys.of_submission(run, document.name())).arg(self.token()).arg(bytes);
        self.invoke_fenced(&call).await.map(drop)
    }

    pub async fn blob(
        &self,
        run: SubmissionId,
        document: RunDocument,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.of_submission(run, document.name()));
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Deletes the state that only a run in progress needs.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if another coordinator became the leader.
    pub async fn delete_run_state(&self, run: SubmissionId) -> Result<(), StoreError> {
        let mut call = DELETE.key(self.keys.submission(run));
        for part in ["parameters", "nodes", "jobs", RunDocument::Checkpoint.name()] {
            call.key(self.keys.of_submission(run, part));
        }
        call.arg(self.token());
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Lets a run expire after its retention, with all its data, unless it is open or reopened in the meantime.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if another coordinator became the leader.
    pub async fn expire_run(&self, run: SubmissionId) -> Result<(), StoreError> {
        let mut call = EXPIRE.key(self.keys.submission(run));
        for key in self.run_data(run) {
            call.key(key);
        }
        call.arg(self.token());
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Ends the expiry of a run and its data.
    pub async fn keep_run(&self, run: SubmissionId) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        for key in std::iter::once(self.keys.submission(run)).chain(self.run_data(run)) {
            pipe.cmd("PERSIST").arg(key).ignore();
        }
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    /// Reopens a failed or cancelled run, to continue from its last checkpoint. Returns `false` if it is in another
    /// state.
    pub async fn reopen_run(&self, run: SubmissionId) -> Result<bool, StoreError> {
        let mut call = REOPEN.key(self.keys.submission(run));
        call.key(self.keys.of_submission(run, "jobs")).key(self.keys.of_submission(run, "nodes"));
        for key in self.run_data(run) {
            call.key(key);
        }
        call.arg(self.keys.notifications()).arg(run.to_string());
        Ok(call.invoke_async(&mut self.connection.clone()).await?)
    }

    /// Returns the keys of the data of a run, or of another submission, beside its record.
    pub(super) fn run_data(&self, run: SubmissionId) -> impl Iterator<Item = String> {
        let documents = RunDocument::ALL.map(RunDocument::name);
        let parts = ["parameters", "nodes", "jobs", "results"].into_iter().chain(documents);
        parts.map(move |part| self.keys.of_submission(run, part))
    }
}

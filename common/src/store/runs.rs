//! Run state: the parameters of the current version, the answers of its nodes, and the run's documents.
//!
//! Owns the keys beside a run's submission; the bytes' meaning belongs to the training protocol.
//! Invariant: answers to an older parameter version have no effect.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, jobs::no_effect, lease::fenced_script};
use crate::{ids::SubmissionId, training::tree::Node};

static FINISH_NODE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/finish_node.lua")));
static REOPEN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/reopen_run.lua")));
static PUT_PARAMETERS: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("scripts/put_parameters.lua")));
static PUT_BLOB: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("scripts/put_blob.lua")));
static FORGET: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("scripts/forget_run_state.lua")));

/// One version of a run's parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameters {
    /// Rises by one with every step and evaluation.
    pub version: u64,
    /// The parameters, little-endian f32.
    pub bytes: Vec<u8>,
}

/// What came of handing over a node's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeFinish {
    /// The answer counts.
    Applied,
    /// It has no effect, for the reason given.
    WithoutEffect(&'static str),
    /// Another worker answered with other bytes: the fingerprint is broken.
    Conflict,
}

/// What is kept beside a run: JSON, but for samples and scaling, whose bytes the training protocol defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunDocument {
    /// Id of the submission that embeds the dataset.
    Embed,
    /// [`Sample`](crate::training::protocol::Sample)s, in the order of the splits.
    Samples,
    /// [`Scaling`](crate::training::protocol::Scaling) of the features.
    Scaling,
    /// [`RunPlan`](crate::training::protocol::RunPlan): what workers know of the run.
    Plan,
    /// What the run has come to, as the API shows it. It is written again as the run goes on.
    Report,
    /// What the coordinator knows of the run. It is written last, once everything is prepared.
    Setup,
    /// The state of the run after the epoch that ended last.
    Checkpoint,
    /// [`Head`](crate::training::protocol::Head): what the run has learnt.
    Head,
}

impl RunDocument {
    /// The end of its key.
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
    /// Publishes the next version of the parameters; answers to the version before are forgotten.
    ///
    /// # Errors
    /// When Redis does not serve, or this coordinator was replaced.
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

    /// Returns the current version of the parameters.
    ///
    /// # Errors
    /// When Redis does not serve.
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

    /// Hands over what was computed for `node` with parameter version `version`.
    ///
    /// # Errors
    /// When Redis does not serve.
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
            .arg(self.keys.doorbell())
            .arg(run.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "applied" => NodeFinish::Applied,
            "conflict" => NodeFinish::Conflict,
            other => NodeFinish::WithoutEffect(no_effect(other)),
        })
    }

    /// Returns those answers to parameter version `version` that there are for `wanted`, which names at least one
    /// node; nothing when that is not the current version: the store was put back to an older state, say, whose
    /// answers must not be taken for these.
    ///
    /// # Errors
    /// When Redis does not serve.
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
        let (current, answers): (Option<u64>, Vec<Option<Vec<u8>>>) =
            pipe.query_async(&mut self.connection.clone()).await?;
        let answered = wanted.iter().zip(answers).filter_map(|(node, bytes)| Some((*node, bytes?)));
        Ok((current == Some(version)).then(|| answered.collect()))
    }

    /// Keeps a document of the run as JSON.
    ///
    /// # Errors
    /// When Redis does not serve, or this coordinator was replaced.
    pub async fn put_document(
        &self,
        run: SubmissionId,
        document: RunDocument,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_vec(value).expect("a document is plain data");
        self.put_blob(run, document, &json).await
    }

    /// Returns a document of the run.
    ///
    /// # Errors
    /// When Redis does not serve or the document is not one.
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

    /// Keeps the bytes of a document.
    ///
    /// # Errors
    /// When Redis does not serve, or this coordinator was replaced.
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

    /// Returns the bytes of a document.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn blob(
        &self,
        run: SubmissionId,
        document: RunDocument,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.of_submission(run, document.name()));
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Forgets what only a run in progress needs.
    ///
    /// # Errors
    /// When Redis does not serve, or this coordinator was replaced.
    pub async fn forget_run_state(&self, run: SubmissionId) -> Result<(), StoreError> {
        let mut call = FORGET.key(self.keys.submission(run));
        for what in ["parameters", "nodes", "jobs", RunDocument::Checkpoint.name()] {
            call.key(self.keys.of_submission(run, what));
        }
        call.arg(self.token());
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Opens a run that failed again, to go on from its last checkpoint. Returns whether it had failed.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn reopen_run(&self, run: SubmissionId) -> Result<bool, StoreError> {
        Ok(REOPEN
            .key(self.keys.submission(run))
            .key(self.keys.of_submission(run, "jobs"))
            .key(self.keys.of_submission(run, "nodes"))
            .arg(self.keys.doorbell())
            .arg(run.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }
}

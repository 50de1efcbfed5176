//! The frame around a job's arguments: who asked, which attempt, until when.
//!
//! Owns the envelope, the text of its `type` and its JSON body. How the rest of it becomes properties and headers of
//! AMQP is in `broker/codec.rs`. Invariant: a body is at most [`MAX_BODY_BYTES`].

use super::{args::JobArgs, kind::Kind};
use crate::ids::{JobId, SubmissionId};

/// Largest body that is published or accepted.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// One job as it travels.
#[derive(Clone, PartialEq, Debug)]
pub struct Envelope {
    /// The job's id: AMQP `message_id`, the same over retries.
    pub job: JobId,
    /// The submission it belongs to: AMQP `correlation_id`.
    pub submission: SubmissionId,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// Rises when an operator requeues the job.
    pub generation: u32,
    /// When the job expires, in milliseconds since the Unix epoch.
    pub deadline_ms: Option<u64>,
    /// W3C trace context of whoever submitted.
    pub traceparent: Option<String>,
    /// What to do.
    pub args: JobArgs,
}

impl Envelope {
    /// Returns the kind of the job.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.args.kind()
    }

    /// Returns the AMQP `type`: kind and version.
    #[must_use]
    pub fn message_type(&self) -> String {
        format!("{}.v1", self.kind())
    }

    /// Serialises the body.
    ///
    /// # Errors
    /// When it would be larger than [`MAX_BODY_BYTES`].
    pub fn body(&self) -> Result<Vec<u8>, EnvelopeError> {
        let body = serde_json::to_vec(&self.args).expect("job arguments are plain data");
        if body.len() > MAX_BODY_BYTES {
            return Err(EnvelopeError::TooLarge { bytes: body.len() });
        }
        Ok(body)
    }

    /// Parses the kind out of an AMQP `type`.
    ///
    /// # Errors
    /// When the kind or the version is not one this program knows.
    pub fn parse_type(message_type: &str) -> Result<Kind, EnvelopeError> {
        let unknown = || EnvelopeError::UnknownType(message_type.to_owned());
        message_type.strip_suffix(".v1").and_then(|kind| kind.parse().ok()).ok_or_else(unknown)
    }

    /// Parses the body of a job of `kind`.
    ///
    /// # Errors
    /// When it is larger than [`MAX_BODY_BYTES`], no JSON, lacks a field, or a field is out of range.
    pub fn parse_body(kind: Kind, body: &[u8]) -> Result<JobArgs, EnvelopeError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(EnvelopeError::TooLarge { bytes: body.len() });
        }
        let invalid = |error: String| EnvelopeError::InvalidBody { kind, error };
        let args = JobArgs::from_json(kind, body).map_err(|error| invalid(error.to_string()))?;
        args.check().map_err(invalid)?;
        Ok(args)
    }
}

/// Why bytes are not a job. Such a message is dead-lettered, never retried.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The `type` names no kind and version known here.
    #[error("unknown job type '{0}'")]
    UnknownType(String),
    /// A property or header is missing or has another form.
    #[error("{name} is missing or malformed: {value}")]
    InvalidHeader {
        /// The AMQP property or header.
        name: &'static str,
        /// What stood there.
        value: String,
    },
    /// The body is not the kind's arguments.
    #[error("body is no {kind} job: {error}")]
    InvalidBody {
        /// The kind the type named.
        kind: Kind,
        /// What serde said.
        error: String,
    },
    /// The body is over the limit.
    #[error("body of {bytes} bytes is over the limit of {MAX_BODY_BYTES}")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
}

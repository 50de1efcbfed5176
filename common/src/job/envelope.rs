//! The envelope of a job: its IDs, attempt, deadline and arguments.
//!
//! Owns the message type and the JSON body; `broker` maps the rest to AMQP properties and headers.
//! Invariant: a body is at most [`MAX_BODY_BYTES`].

use super::{args::JobArgs, kind::Kind};
use crate::ids::{JobId, SubmissionId};

/// Largest body, published or received.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

#[derive(Clone, PartialEq, Debug)]
pub struct Envelope {
    /// AMQP `message_id`; the same for every attempt.
    pub job: JobId,
    /// AMQP `correlation_id`.
    pub submission: SubmissionId,
    /// Attempt, from 1.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Increases whenever the job is requeued.
    pub generation: u32,
    /// When the job expires, in ms since the Unix epoch.
    pub deadline_ms: Option<u64>,
    /// W3C trace context of the request that submitted it.
    pub traceparent: Option<String>,
    pub args: JobArgs,
}

impl Envelope {
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.args.kind()
    }

    /// Returns the AMQP `type`: kind and version, such as `embed.v1`.
    #[must_use]
    pub fn message_type(&self) -> String {
        format!("{}.v1", self.kind())
    }

    /// # Errors
    /// If the body would be larger than [`MAX_BODY_BYTES`].
    pub fn body(&self) -> Result<Vec<u8>, EnvelopeError> {
        let body = serde_json::to_vec(&self.args).expect("job arguments are plain data");
        if body.len() > MAX_BODY_BYTES {
            return Err(EnvelopeError::TooLarge { bytes: body.len() });
        }
        Ok(body)
    }

    /// Parses an AMQP `type`.
    ///
    /// # Errors
    /// If this version does not know the kind or its version.
    pub fn parse_type(message_type: &str) -> Result<Kind, EnvelopeError> {
        let unknown = || EnvelopeError::UnknownType(message_type.to_owned());
        message_type.strip_suffix(".v1").and_then(|kind| kind.parse().ok()).ok_or_else(unknown)
    }

    /// # Errors
    /// If the body is larger than [`MAX_BODY_BYTES`] or not valid JSON, or a field is missing or out of range.
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

/// Why a message is not a valid job. It is dead-lettered, not retried.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    #[error("unknown job type '{0}'")]
    UnknownType(String),
    #[error("{name} is missing or malformed: {value}")]
    InvalidHeader {
        /// The AMQP property or header.
        name: &'static str,
        value: String,
    },
    #[error("invalid body of a {kind} job: {error}")]
    InvalidBody { kind: Kind, error: String },
    #[error("the body has {bytes} bytes; the limit is {MAX_BODY_BYTES}")]
    TooLarge { bytes: usize },
}

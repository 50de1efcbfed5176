//! An AMQP message: properties, headers and body, whether or not it encodes a job.
//!
//! Owns the names of the headers and the AMQP value types that are accepted for them; their meaning is in `codec`.
//! Invariant: no header written or copied is longer than [`MAX_HEADER_BYTES`], so the header frame always fits.

use lapin::{
    BasicProperties,
    types::{AMQPValue, ShortString},
};

use crate::job::envelope::EnvelopeError;

pub(super) const ATTEMPT: &str = "subwatch-attempt";
pub(super) const MAX_ATTEMPTS: &str = "subwatch-max-attempts";
pub(super) const GENERATION: &str = "subwatch-generation";
pub(super) const DEADLINE_MS: &str = "subwatch-deadline-ms";
pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const DEAD_REASON: &str = "subwatch-dead-reason";
pub(super) const DEAD_ERROR: &str = "subwatch-dead-error";
pub(super) const DEAD_WORKER: &str = "subwatch-dead-worker";
pub(super) const DEAD_ORIGIN: &str = "subwatch-dead-origin";
/// The job's headers that a dead letter keeps.
pub(super) const JOB_HEADERS: [&str; 5] = [ATTEMPT, MAX_ATTEMPTS, GENERATION, DEADLINE_MS, TRACEPARENT];
/// Longest text written to or copied from one header.
pub(super) const MAX_HEADER_BYTES: usize = 2048;
/// AMQP delivery mode: stored on disk.
pub(super) const PERSISTENT: u8 = 2;

#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// The `message_id`: of a job, its id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.properties.message_id().as_ref().map(ShortString::as_str)
    }

    /// The `correlation_id`: of a job, its submission's id.
    #[must_use]
    pub fn submission(&self) -> Option<&str> {
        self.properties.correlation_id().as_ref().map(ShortString::as_str)
    }

    /// The `type`, such as `embed.v1`.
    #[must_use]
    pub fn message_type(&self) -> Option<&str> {
        self.properties.kind().as_ref().map(ShortString::as_str)
    }

    /// The attempt number in its header.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.number(ATTEMPT).ok()
    }

    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Earlier deliveries that were not acknowledged, as counted by a quorum queue.
    #[must_use]
    pub fn delivery_count(&self) -> u64 {
        self.number("x-delivery-count").unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<&AMQPValue> {
        self.properties.headers().as_ref()?.inner().get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.header(name).and_then(as_text)
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, EnvelopeError> {
        let value = self.header(name);
        value
            .and_then(as_number)
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| invalid(name, value))
    }
}

#[cfg(fuzzing)]
impl Message {
    /// Parses a message as it is on the wire: properties, then the body.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let (body, properties) = lapin::protocol::basic::parse_properties(bytes).ok()?;
        Some(Self { properties, body: body.to_vec() })
    }
}

pub(super) fn invalid(name: &'static str, value: Option<&AMQPValue>) -> EnvelopeError {
    let value =
        value.map_or_else(|| "missing".to_owned(), |value| prefix(&format!("{value:?}"), 100).to_owned());
    EnvelopeError::InvalidHeader { name, value }
}

/// Any AMQP integer type: some clients choose the width by the value.
pub(super) fn as_number(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(number) => Some(number.into()),
        AMQPValue::ShortShortUInt(number) => Some(number.into()),
        AMQPValue::ShortInt(number) => Some(number.into()),
        AMQPValue::ShortUInt(number) => Some(number.into()),
        AMQPValue::LongInt(number) => Some(number.into()),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::LongLongInt(number) => Some(number),
        _ => None,
    }
}

pub(super) fn as_text(value: &AMQPValue) -> Option<String> {
    let text = match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?,
        AMQPValue::ShortString(text) => text.as_str(),
        _ => return None,
    };
    (text.len() <= MAX_HEADER_BYTES).then(|| text.to_owned())
}

pub(super) fn long_string(text: &str) -> AMQPValue {
    AMQPValue::LongString(prefix(text, MAX_HEADER_BYTES).into())
}

pub(super) fn short_string(text: &str) -> ShortString {
    prefix(text, lapin::types::MAX_SHORT_STRING_LENGTH).into()
}

pub(super) fn prefix(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

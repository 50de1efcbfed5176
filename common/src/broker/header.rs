//! The headers of messages: their names, and the values that other programs' clients may write.
//!
//! Invariant: no header written or taken over is longer than [`MAX_HEADER_BYTES`], so a header frame always fits.

use lapin::types::{AMQPValue, ShortString};

pub(super) const ATTEMPT: &str = "subwatch-attempt";
pub(super) const MAX_ATTEMPTS: &str = "subwatch-max-attempts";
pub(super) const GENERATION: &str = "subwatch-generation";
pub(super) const DEADLINE_MS: &str = "subwatch-deadline-ms";
pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const DEAD_REASON: &str = "subwatch-dead-reason";
pub(super) const DEAD_ERROR: &str = "subwatch-dead-error";
pub(super) const DEAD_WORKER: &str = "subwatch-dead-worker";
pub(super) const DEAD_ORIGIN: &str = "subwatch-dead-origin";
/// The headers a dead letter keeps of the job it was.
pub(super) const JOB_HEADERS: [&str; 5] = [ATTEMPT, MAX_ATTEMPTS, GENERATION, DEADLINE_MS, TRACEPARENT];
/// Longest text written to, or taken over from, one header.
pub(super) const MAX_HEADER_BYTES: usize = 2048;

/// Any AMQP integer: other programs' clients choose the width by the value.
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

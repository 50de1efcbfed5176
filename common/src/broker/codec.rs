//! The codec between jobs and AMQP messages: properties, headers, body.
//!
//! Owns every property and header name; does not own how messages travel. Invariants: whatever was
//! received, decoding returns an error, never panics; a message written here holds only properties and
//! headers of ours, so nothing a stranger sent (an expiration, a user id, a megabyte of headers) is
//! passed on, and a header frame always fits.

use std::time::{SystemTime, UNIX_EPOCH};

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::job::{
    discard::DiscardReason,
    envelope::{Envelope, EnvelopeError, MAX_BODY_BYTES},
};

const ATTEMPT: &str = "subwatch-attempt";
const MAX_ATTEMPTS: &str = "subwatch-max-attempts";
const GENERATION: &str = "subwatch-generation";
const DEADLINE_MS: &str = "subwatch-deadline-ms";
const TRACEPARENT: &str = "traceparent";
const DEAD_REASON: &str = "subwatch-dead-reason";
const DEAD_ERROR: &str = "subwatch-dead-error";
const DEAD_WORKER: &str = "subwatch-dead-worker";
const DEAD_ORIGIN: &str = "subwatch-dead-origin";
/// The headers a dead letter keeps of the job it was.
const JOB_HEADERS: [&str; 5] = [ATTEMPT, MAX_ATTEMPTS, GENERATION, DEADLINE_MS, TRACEPARENT];
/// Longest text written to, or taken over from, one header.
const MAX_HEADER_BYTES: usize = 2048;
const PERSISTENT: u8 = 2;

/// Bytes with AMQP properties, whether or not they are a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// Why a message was discarded, by whom and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadNote {
    /// The class of reason.
    pub reason: DiscardReason,
    /// The error behind it.
    pub error: String,
    /// Who discarded it.
    pub worker: Option<String>,
    /// The queue it came from.
    pub origin: Option<String>,
}

impl Message {
    /// Writes a job, stamped with `now` and the name of the publishing program.
    pub(super) fn encode(envelope: &Envelope, app_id: &str, now: SystemTime) -> Result<Self, EnvelopeError> {
        let mut headers = FieldTable::default();
        let mut number = |name: &str, value: u64| {
            // AMQP as RabbitMQ speaks it has no unsigned 64-bit number; milliseconds end in the year 292 million.
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            headers.insert(name.into(), AMQPValue::LongLongInt(value));
        };
        number(ATTEMPT, envelope.attempt.into());
        number(MAX_ATTEMPTS, envelope.max_attempts.into());
        number(GENERATION, envelope.generation.into());
        if let Some(deadline) = envelope.deadline_ms {
            number(DEADLINE_MS, deadline);
        }
        if let Some(traceparent) = envelope.traceparent.as_ref().filter(|text| text.len() <= MAX_HEADER_BYTES)
        {
            headers.insert(TRACEPARENT.into(), long_string(traceparent));
        }
        let properties = BasicProperties::default()
            .with_message_id(envelope.job.to_string().into())
            .with_correlation_id(envelope.submission.to_string().into())
            .with_type(envelope.message_type().into())
            .with_content_type("application/json".into())
            .with_timestamp(now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()))
            .with_app_id(short_string(app_id))
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers);
        Ok(Self { properties, body: envelope.body()? })
    }

    /// Reads the job.
    ///
    /// # Errors
    /// When a property or a header is missing or malformed, or the body is not the kind's arguments.
    pub fn decode(&self) -> Result<Envelope, EnvelopeError> {
        let message_type = self.message_type().ok_or_else(|| invalid("type", None))?;
        let kind = Envelope::parse_type(message_type)?;
        Ok(Envelope {
            job: parse("message_id", self.id())?,
            submission: parse("correlation_id", self.submission())?,
            attempt: self.number(ATTEMPT)?,
            max_attempts: self.number(MAX_ATTEMPTS)?,
            generation: self.number(GENERATION)?,
            deadline_ms: self.header(DEADLINE_MS).map(|_| self.number(DEADLINE_MS)).transpose()?,
            // A malformed trace context is ignored, as W3C has it: it must not cost the job.
            traceparent: self.text(TRACEPARENT),
            args: Envelope::parse_body(kind, &self.body)?,
        })
    }

    /// Returns the `message_id`: the job's id, if it is a job.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.properties.message_id().as_ref().map(ShortString::as_str)
    }

    /// Returns the `correlation_id`: the submission's id, if it is a job.
    #[must_use]
    pub fn submission(&self) -> Option<&str> {
        self.properties.correlation_id().as_ref().map(ShortString::as_str)
    }

    /// Returns the `type`, such as `embed.v1`.
    #[must_use]
    pub fn message_type(&self) -> Option<&str> {
        self.properties.kind().as_ref().map(ShortString::as_str)
    }

    /// Returns the attempt it says it is.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.number(ATTEMPT).ok()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns how often the broker has delivered it before without an acknowledgement.
    #[must_use]
    pub fn delivery_count(&self) -> u64 {
        self.number("x-delivery-count").unwrap_or(0)
    }

    /// Returns the letter that hands this message over to the dead: same identity and body, and why. A body
    /// over the limit of a job is cut there.
    pub(super) fn dead(&self, note: &DeadNote) -> Self {
        let mut headers = FieldTable::default();
        for name in JOB_HEADERS {
            if let Ok(number) = self.number::<i64>(name) {
                headers.insert(name.into(), AMQPValue::LongLongInt(number));
            } else if let Some(text) = self.text(name) {
                headers.insert(name.into(), long_string(&text));
            }
        }
        headers.insert(DEAD_REASON.into(), long_string(&note.reason.to_string()));
        headers.insert(DEAD_ERROR.into(), long_string(&note.error));
        for (name, text) in [(DEAD_WORKER, &note.worker), (DEAD_ORIGIN, &note.origin)] {
            if let Some(text) = text {
                headers.insert(name.into(), long_string(text));
            }
        }
        let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
        let old = &self.properties;
        properties = set(properties, old.message_id(), BasicProperties::with_message_id);
        properties = set(properties, old.correlation_id(), BasicProperties::with_correlation_id);
        properties = set(properties, old.kind(), BasicProperties::with_type);
        properties = set(properties, old.content_type(), BasicProperties::with_content_type);
        properties = set(properties, old.timestamp(), BasicProperties::with_timestamp);
        properties = set(properties, old.app_id(), BasicProperties::with_app_id);
        Self { properties, body: self.body[..self.body.len().min(MAX_BODY_BYTES)].to_vec() }
    }

    /// Reads why this dead letter was discarded: by the words of whoever published it here, else by the
    /// broker's own record of its last death.
    #[must_use]
    pub fn dead_note(&self) -> DeadNote {
        if let Some(reason) = self.text(DEAD_REASON) {
            return DeadNote {
                reason: DiscardReason::from(reason.as_str()),
                error: self.text(DEAD_ERROR).unwrap_or_default(),
                worker: self.text(DEAD_WORKER),
                origin: self.text(DEAD_ORIGIN),
            };
        }
        let last_death = match self.header("x-death") {
            Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice().first(),
            _ => None,
        };
        let field = |name: &str| match last_death {
            Some(AMQPValue::FieldTable(death)) => death.inner().get(name).and_then(as_text),
            _ => None,
        };
        let (reason, origin) = (field("reason").unwrap_or_else(|| "unknown".to_owned()), field("queue"));
        let place = origin.as_deref().unwrap_or("an unnamed queue");
        DeadNote {
            error: format!("discarded by the broker from {place}: {reason}"),
            reason: DiscardReason::from(reason.as_str()),
            worker: None,
            origin,
        }
    }

    fn header(&self, name: &str) -> Option<&AMQPValue> {
        self.properties.headers().as_ref()?.inner().get(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.header(name).and_then(as_text)
    }

    fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, EnvelopeError> {
        let value = self.header(name);
        value
            .and_then(as_number)
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| invalid(name, value))
    }
}

#[cfg(fuzzing)]
impl Message {
    /// Takes a message as it comes over the wire: properties, then the body.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let (body, properties) = lapin::protocol::basic::parse_properties(bytes).ok()?;
        Some(Self { properties, body: body.to_vec() })
    }

    /// Writes a job, and the letter it makes when it dies.
    #[must_use]
    pub fn written(envelope: &Envelope, note: &DeadNote) -> Option<(Self, Self)> {
        let written = Self::encode(envelope, "fuzz", UNIX_EPOCH).ok()?;
        let letter = written.dead(note);
        Some((written, letter))
    }

    /// Returns the letter that this message makes when it dies.
    #[must_use]
    pub fn letter(&self, note: &DeadNote) -> Self {
        self.dead(note)
    }
}

fn set<T: Clone>(
    properties: BasicProperties,
    value: &Option<T>,
    with: impl FnOnce(BasicProperties, T) -> BasicProperties,
) -> BasicProperties {
    match value {
        Some(value) => with(properties, value.clone()),
        None => properties,
    }
}

fn parse<T: std::str::FromStr>(name: &'static str, value: Option<&str>) -> Result<T, EnvelopeError> {
    value.and_then(|text| text.parse().ok()).ok_or_else(|| EnvelopeError::InvalidHeader {
        name,
        value: value.map_or_else(|| "missing".to_owned(), |text| format!("'{text}'")),
    })
}

fn invalid(name: &'static str, value: Option<&AMQPValue>) -> EnvelopeError {
    let value =
        value.map_or_else(|| "missing".to_owned(), |value| prefix(&format!("{value:?}"), 100).to_owned());
    EnvelopeError::InvalidHeader { name, value }
}

/// Any AMQP integer: other programs' clients choose the width by the value.
fn as_number(value: &AMQPValue) -> Option<i64> {
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

fn as_text(value: &AMQPValue) -> Option<String> {
    let text = match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?,
        AMQPValue::ShortString(text) => text.as_str(),
        _ => return None,
    };
    (text.len() <= MAX_HEADER_BYTES).then(|| text.to_owned())
}

fn long_string(text: &str) -> AMQPValue {
    AMQPValue::LongString(prefix(text, MAX_HEADER_BYTES).into())
}

fn short_string(text: &str) -> ShortString {
    prefix(text, lapin::types::MAX_SHORT_STRING_LENGTH).into()
}

fn prefix(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ids::{JobId, SubmissionId},
        job::{
            args::{Chunk, EmbedArgs, JobArgs, MAX_CHUNK_ITEMS, PredictArgs, TrainEpochArgs},
            kind::Kind,
        },
        training::{protocol::Phase, tree::Node},
    };

    fn any_args() -> impl Strategy<Value = JobArgs> {
        (any::<u32>(), 1..=MAX_CHUNK_ITEMS, any::<bool>(), 0..3).prop_map(|(index, items, uploaded, kind)| {
            let part = "file:///manifests/a%20b/0.jsonl".parse().unwrap();
            let dataset = (!uploaded).then(|| "s3://bucket/dataset/".parse().unwrap());
            let chunk = Chunk { part, dataset, index, first_item: u64::from(index) * 64, items };
            match kind {
                0 => JobArgs::Embed(EmbedArgs { chunk }),
                1 => JobArgs::Predict(PredictArgs { chunk, run: SubmissionId::now() }),
                _ => JobArgs::TrainEpoch(TrainEpochArgs {
                    phase: Phase::Valid,
                    epoch: index,
                    step: items,
                    version: u64::from(index) << 20,
                    node: Node { first: 0, end: items },
                }),
            }
        })
    }

    fn any_envelope() -> impl Strategy<Value = Envelope> {
        let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), prop::option::of(0..=i64::MAX as u64));
        (any_args(), numbers, prop::option::of("[ -~é]{0,80}")).prop_map(|(args, numbers, traceparent)| {
            let submission = SubmissionId::now();
            let (attempt, max_attempts, generation, deadline_ms) = numbers;
            let job = JobId::derive(submission, args.kind(), "0");
            Envelope { job, submission, attempt, max_attempts, generation, deadline_ms, traceparent, args }
        })
    }

    fn any_value() -> impl Strategy<Value = AMQPValue> {
        prop_oneof![
            any::<bool>().prop_map(AMQPValue::Boolean),
            any::<i8>().prop_map(AMQPValue::ShortShortInt),
            any::<u16>().prop_map(AMQPValue::ShortUInt),
            any::<i32>().prop_map(AMQPValue::LongInt),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            any::<f64>().prop_map(AMQPValue::Double),
            any::<u64>().prop_map(AMQPValue::Timestamp),
            prop::collection::vec(any::<u8>(), 0..5000).prop_map(|bytes| AMQPValue::LongString(bytes.into())),
            Just(AMQPValue::Void),
            Just(AMQPValue::FieldArray(vec![AMQPValue::Void].into())),
            Just(AMQPValue::FieldTable(FieldTable::default())),
        ]
    }

    fn header_name() -> impl Strategy<Value = String> {
        let known =
            [JOB_HEADERS.as_slice(), &["x-death", "x-delivery-count", DEAD_REASON, DEAD_ORIGIN]].concat();
        prop_oneof![prop::sample::select(known).prop_map(str::to_owned), "[a-z-]{0,20}"]
    }

    fn note(error: &str) -> DeadNote {
        DeadNote {
            reason: DiscardReason::Poison,
            error: error.to_owned(),
            worker: Some("worker-1".to_owned()),
            origin: Some("subwatch.embed.v1".to_owned()),
        }
    }

    fn example() -> Envelope {
        let submission = SubmissionId::now();
        let args = JobArgs::TrainEpoch(TrainEpochArgs {
            phase: Phase::Train,
            epoch: 1,
            step: 0,
            version: 0,
            node: Node { first: 0, end: 1 },
        });
        let job = JobId::derive(submission, Kind::TrainEpoch, "0");
        let (attempt, max_attempts, generation) = (2, 5, 0);
        Envelope {
            job,
            submission,
            attempt,
            max_attempts,
            generation,
            deadline_ms: None,
            traceparent: None,
            args,
        }
    }

    proptest! {
        #[test]
        fn jobs_survive_the_round_trip(envelope in any_envelope()) {
            let message = Message::encode(&envelope, "subwatch", SystemTime::now()).unwrap();
            prop_assert_eq!(message.decode().unwrap(), envelope);
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(
            headers in prop::collection::vec((header_name(), any_value()), 0..8),
            message_type in prop::option::of(prop_oneof![Just("embed.v1".to_owned()), "[a-z.0-9]{0,20}"]),
            id in prop::option::of(".{0,40}"),
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut table = FieldTable::default();
            for (name, value) in headers {
                table.insert(name.into(), value);
            }
            let mut properties = BasicProperties::default().with_headers(table);
            properties = set(properties, &message_type.map(ShortString::from), BasicProperties::with_type);
            properties = set(properties, &id.map(ShortString::from), BasicProperties::with_message_id);
            let message = Message { properties, body };
            prop_assert!(message.decode().is_err());
            let letter = message.dead(&note("é"));
            prop_assert_eq!(letter.dead_note(), note("é"));
            prop_assert_eq!(letter.body(), message.body());
            let _ = message.dead_note();
        }
    }

    #[test]
    fn properties_are_those_of_the_contract() {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let envelope =
            Envelope { traceparent: Some("00-ab-cd-01".to_owned()), deadline_ms: Some(7), ..example() };
        let message = Message::encode(&envelope, "subwatch-worker", now).unwrap();
        let properties = &message.properties;
        assert_eq!(message.id(), Some(envelope.job.to_string().as_str()));
        assert_eq!(message.submission(), Some(envelope.submission.to_string().as_str()));
        assert_eq!(message.message_type(), Some("train-epoch.v1"));
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!(*properties.timestamp(), Some(1_700_000_000));
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "subwatch-worker");
        let names: Vec<_> =
            properties.headers().as_ref().unwrap().inner().keys().map(ShortString::as_str).collect();
        let mut want = JOB_HEADERS;
        want.sort_unstable();
        assert_eq!(names, want);
    }

    #[test]
    fn errors_name_the_header() {
        let check = |name: &str, value: Option<AMQPValue>, want: &str| {
            let mut message = Message::encode(&example(), "subwatch", SystemTime::now()).unwrap();
            let mut headers = FieldTable::default();
            for (key, old) in message.properties.headers().as_ref().unwrap() {
                if key.as_str() != name {
                    headers.insert(key.clone(), old.clone());
                }
            }
            if let Some(value) = value {
                headers.insert(name.into(), value);
            }
            message.properties = message.properties.with_headers(headers);
            assert_eq!(message.decode().unwrap_err().to_string(), want);
        };
        check(ATTEMPT, None, "subwatch-attempt is missing or malformed: missing");
        check(ATTEMPT, Some(AMQPValue::LongInt(-1)), "subwatch-attempt is missing or malformed: LongInt(-1)");
        check(
            DEADLINE_MS,
            Some(AMQPValue::Boolean(true)),
            "subwatch-deadline-ms is missing or malformed: Boolean(true)",
        );
    }

    #[test]
    fn a_dead_letter_keeps_the_job_and_drops_what_strangers_set() {
        let mut message = Message::encode(&example(), "subwatch", SystemTime::now()).unwrap();
        let mut headers = message.properties.headers().clone().unwrap();
        headers.insert("CC".into(), AMQPValue::FieldArray(vec![long_string("elsewhere")].into()));
        headers.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::Void].into()));
        message.properties = message
            .properties
            .with_headers(headers)
            .with_expiration("1".into())
            .with_user_id("somebody".into());
        let letter = message.dead(&note(&"ü".repeat(5000)));
        assert_eq!(letter.decode().unwrap(), example_with(&message));
        assert_eq!(letter.header("CC"), None);
        assert_eq!(letter.header("x-death"), None);
        assert_eq!((letter.properties.expiration(), letter.properties.user_id()), (&None, &None));
        assert_eq!(letter.dead_note().error.len(), MAX_HEADER_BYTES);
    }

    fn example_with(message: &Message) -> Envelope {
        message.decode().unwrap()
    }

    #[test]
    fn what_the_broker_discards_has_its_reason_and_origin() {
        let mut death = FieldTable::default();
        death.insert("reason".into(), long_string("delivery_limit"));
        death.insert("queue".into(), long_string("subwatch.embed.v1"));
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()));
        let message =
            Message { properties: BasicProperties::default().with_headers(headers), body: Vec::new() };
        let note = message.dead_note();
        assert_eq!(
            (&note.reason, note.origin.as_deref()),
            (&DiscardReason::DeliveryLimit, Some("subwatch.embed.v1"))
        );
        assert_eq!(note.error, "discarded by the broker from subwatch.embed.v1: delivery_limit");
    }
}

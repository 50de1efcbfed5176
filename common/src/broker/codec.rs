//! Encoding of jobs as AMQP messages, and back.
//!
//! Owns the mapping of a job's fields to properties and headers. Invariant: decoding malformed input returns an error
//! and never panics.

use std::time::{SystemTime, UNIX_EPOCH};

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};

use super::message::{
    ATTEMPT, DEADLINE_MS, GENERATION, MAX_ATTEMPTS, MAX_HEADER_BYTES, Message, PERSISTENT, TRACEPARENT,
    invalid, long_string, short_string,
};
use crate::job::envelope::{Envelope, EnvelopeError};

impl Message {
    /// Encodes a job; `app_id` is the name of the publishing program.
    pub(super) fn encode(envelope: &Envelope, app_id: &str, now: SystemTime) -> Result<Self, EnvelopeError> {
        let mut headers = FieldTable::default();
        let mut number = |name: &str, value: u64| {
            // RabbitMQ's AMQP 0-9-1 has no unsigned 64-bit integer; i64 milliseconds last until the year 292 million.
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

    /// Decodes the job.
    ///
    /// # Errors
    /// If a property or a header is missing or malformed, or the body does not match the kind's arguments.
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
            // Per W3C Trace Context, a malformed traceparent is ignored; the job still runs.
            traceparent: self.text(TRACEPARENT),
            args: Envelope::parse_body(kind, &self.body)?,
        })
    }
}

fn parse<T: std::str::FromStr>(name: &'static str, value: Option<&str>) -> Result<T, EnvelopeError> {
    value.and_then(|text| text.parse().ok()).ok_or_else(|| EnvelopeError::InvalidHeader {
        name,
        value: value.map_or_else(|| "missing".to_owned(), |text| format!("'{text}'")),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use lapin::types::ShortString;
    use proptest::prelude::*;

    use super::{super::message::JOB_HEADERS, *};
    use crate::{
        embedding::Space,
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
            let chunk = Chunk { part, range: None, dataset, index, first_item: u64::from(index) * 64, items };
            match kind {
                0 => JobArgs::Embed(EmbedArgs { chunk, space: None }),
                1 => {
                    let space = Some(Space("resnet34@avx2".to_owned()));
                    JobArgs::Predict(PredictArgs { chunk, run: SubmissionId::now(), space, output: None })
                }
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

    pub(in crate::broker) fn example() -> Envelope {
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
    }

    #[test]
    fn encoded_job_has_the_documented_properties() {
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
    fn decode_errors_name_the_header() {
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
}

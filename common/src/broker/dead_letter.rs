//! Dead letters: a discarded message with the reason in its headers.
//!
//! Invariant: a dead letter has only the properties and headers that this program sets, so an expiration, a user id or
//! a megabyte of headers set by another publisher are not passed on.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};

use super::message::{
    DEAD_ERROR, DEAD_ORIGIN, DEAD_REASON, DEAD_WORKER, JOB_HEADERS, Message, PERSISTENT, as_text, long_string,
};
use crate::{
    job::{discard::DiscardReason, envelope::MAX_BODY_BYTES},
    topology::Policy,
};

/// Why, by which worker and from which queue a message was discarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetterInfo {
    pub reason: DiscardReason,
    pub error: String,
    /// The worker's name; `None` if the broker or the coordinator discarded it.
    pub worker: Option<String>,
    /// The queue that the message was in.
    pub origin: Option<String>,
}

impl Message {
    /// Makes a dead letter of this message, with the same identity and body. A body longer than [`MAX_BODY_BYTES`] is
    /// truncated.
    pub(super) fn to_dead_letter(&self, info: &DeadLetterInfo) -> Self {
        let mut headers = FieldTable::default();
        for name in JOB_HEADERS {
            if let Ok(number) = self.number::<i64>(name) {
                headers.insert(name.into(), AMQPValue::LongLongInt(number));
            } else if let Some(text) = self.text(name) {
                headers.insert(name.into(), long_string(&text));
            }
        }
        headers.insert(DEAD_REASON.into(), long_string(&info.reason.to_string()));
        headers.insert(DEAD_ERROR.into(), long_string(&info.error));
        for (name, text) in [(DEAD_WORKER, &info.worker), (DEAD_ORIGIN, &info.origin)] {
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

    /// Returns the policy that dropped this message, if RabbitMQ dead-lettered it because of one.
    #[must_use]
    pub fn dropped_by(&self) -> Option<Policy> {
        let by_program = self.text(DEAD_REASON).is_some();
        self.last_death("reason").filter(|_| !by_program).and_then(|reason| Policy::of_death(&reason))
    }

    /// Reads why this message was dead-lettered: from the headers of this program, else from the broker's `x-death`.
    #[must_use]
    pub fn dead_letter_info(&self) -> DeadLetterInfo {
        if let Some(reason) = self.text(DEAD_REASON) {
            return DeadLetterInfo {
                reason: DiscardReason::from(reason.as_str()),
                error: self.text(DEAD_ERROR).unwrap_or_default(),
                worker: self.text(DEAD_WORKER),
                origin: self.text(DEAD_ORIGIN),
            };
        }
        let reason = self.last_death("reason").unwrap_or_else(|| "unknown".to_owned());
        let origin = self.last_death("queue");
        let queue = origin.as_deref().unwrap_or("an unnamed queue");
        let (reason, error) = match Policy::of_death(&reason) {
            Some(policy) => {
                (DiscardReason::Policy, format!("RabbitMQ dropped it from {queue}: a policy sets {policy}"))
            }
            None => {
                let error = format!("dead-lettered by RabbitMQ from {queue}: {reason}");
                (DiscardReason::from(reason.as_str()), error)
            }
        };
        DeadLetterInfo { reason, error, worker: None, origin }
    }
}

impl Message {
    /// Returns a field of the newest entry of `x-death`.
    fn last_death(&self, field: &str) -> Option<String> {
        let Some(AMQPValue::FieldArray(deaths)) = self.header("x-death") else { return None };
        let Some(AMQPValue::FieldTable(death)) = deaths.as_slice().first() else { return None };
        death.inner().get(field).and_then(as_text)
    }
}

#[cfg(fuzzing)]
impl Message {
    /// Encodes a job, and makes its dead letter.
    #[must_use]
    pub fn encode_with_dead_letter(
        envelope: &crate::job::envelope::Envelope,
        info: &DeadLetterInfo,
    ) -> Option<(Self, Self)> {
        let message = Self::encode(envelope, "fuzz", std::time::UNIX_EPOCH).ok()?;
        let dead_letter = message.to_dead_letter(info);
        Some((message, dead_letter))
    }

    #[must_use]
    pub fn dead_letter(&self, info: &DeadLetterInfo) -> Self {
        self.to_dead_letter(info)
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lapin::types::ShortString;
    use proptest::prelude::*;

    use super::{super::message::MAX_HEADER_BYTES, *};
    use crate::broker::codec::tests::example;

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

    fn info(error: &str) -> DeadLetterInfo {
        DeadLetterInfo {
            reason: DiscardReason::Poison,
            error: error.to_owned(),
            worker: Some("worker-1".to_owned()),
            origin: Some("subwatch.embed.v1".to_owned()),
        }
    }

    proptest! {
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
            let dead_letter = message.to_dead_letter(&info("é"));
            prop_assert_eq!(dead_letter.dead_letter_info(), info("é"));
            prop_assert_eq!(dead_letter.body(), message.body());
            let _ = message.dead_letter_info();
        }
    }

    #[test]
    fn dead_letter_keeps_the_job_and_drops_foreign_properties() {
        let mut message = Message::encode(&example(), "subwatch", SystemTime::now()).unwrap();
        let mut headers = message.properties.headers().clone().unwrap();
        headers.insert("CC".into(), AMQPValue::FieldArray(vec![long_string("elsewhere")].into()));
        headers.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::Void].into()));
        message.properties = message
            .properties
            .with_headers(headers)
            .with_expiration("1".into())
            .with_user_id("somebody".into());
        let dead_letter = message.to_dead_letter(&info(&"ü".repeat(5000)));
        assert_eq!(dead_letter.decode().unwrap(), message.decode().unwrap());
        assert_eq!(dead_letter.header("CC"), None);
        assert_eq!(dead_letter.header("x-death"), None);
        assert_eq!((dead_letter.properties.expiration(), dead_letter.properties.user_id()), (&None, &None));
        assert_eq!(dead_letter.dead_letter_info().error.len(), MAX_HEADER_BYTES);
    }

    #[test]
    fn message_dead_lettered_by_the_broker_has_reason_and_origin() {
        let check = |reason: &str, want: DiscardReason, policy: Option<Policy>, error: &str| {
            let mut death = FieldTable::default();
            death.insert("reason".into(), long_string(reason));
            death.insert("queue".into(), long_string("subwatch.embed.v1"));
            let mut headers = FieldTable::default();
            let deaths = vec![AMQPValue::FieldTable(death)];
            headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
            let properties = BasicProperties::default().with_headers(headers);
            let message = Message { properties, body: Vec::new() };
            let info = message.dead_letter_info();
            assert_eq!((&info.reason, info.origin.as_deref()), (&want, Some("subwatch.embed.v1")));
            assert_eq!((info.error.as_str(), message.dropped_by()), (error, policy));
            // What this program says of a discarded job counts, wherever it expired before.
            assert_eq!(message.to_dead_letter(&info).dropped_by(), None);
        };
        let limit = DiscardReason::DeliveryLimit;
        check(
            "delivery_limit",
            limit,
            None,
            "dead-lettered by RabbitMQ from subwatch.embed.v1: delivery_limit",
        );
        let error = "RabbitMQ dropped it from subwatch.embed.v1: a policy sets message-ttl";
        check("expired", DiscardReason::Policy, Some(Policy::MessageTtl), error);
        let error = "RabbitMQ dropped it from subwatch.embed.v1: a policy sets max-length";
        check("maxlen", DiscardReason::Policy, Some(Policy::MaxLength), error);
    }
}

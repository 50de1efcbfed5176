//! Dead letters: the message that hands a discarded one over, and the note that says why.
//!
//! Invariant: a letter holds only properties and headers of ours, so nothing a stranger sent (an expiration, a user id,
//! a megabyte of headers) is passed on.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};

use super::message::{
    DEAD_ERROR, DEAD_ORIGIN, DEAD_REASON, DEAD_WORKER, JOB_HEADERS, Message, PERSISTENT, as_text, long_string,
};
use crate::job::{discard::DiscardReason, envelope::MAX_BODY_BYTES};

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
}

#[cfg(fuzzing)]
impl Message {
    /// Writes a job, and the letter it makes when it dies.
    #[must_use]
    pub fn written(envelope: &crate::job::envelope::Envelope, note: &DeadNote) -> Option<(Self, Self)> {
        let written = Self::encode(envelope, "fuzz", std::time::UNIX_EPOCH).ok()?;
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lapin::types::ShortString;
    use proptest::prelude::*;

    use super::{super::message::MAX_HEADER_BYTES, *};
    use crate::{broker::codec::tests::example, job::envelope::Envelope};

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
            let letter = message.dead(&note("é"));
            prop_assert_eq!(letter.dead_note(), note("é"));
            prop_assert_eq!(letter.body(), message.body());
            let _ = message.dead_note();
        }
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

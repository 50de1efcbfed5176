//! An AMQP message as it travels: properties and a body, whether or not they are a job.

use lapin::{
    BasicProperties,
    types::{AMQPValue, ShortString},
};

use super::header::{ATTEMPT, as_number, as_text, prefix};
use crate::job::envelope::EnvelopeError;

/// Kept on disk by the broker.
pub(super) const PERSISTENT: u8 = 2;

/// Bytes with AMQP properties, whether or not they are a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Message {
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
    /// Takes a message as it comes over the wire: properties, then the body.
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

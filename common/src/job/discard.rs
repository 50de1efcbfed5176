//! The reasons for discarding a job, which dead letters contain beside the error.
//!
//! Invariant: unknown reasons, from RabbitMQ or another version, round-trip unchanged.

use std::fmt;

use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error},
};

/// Why a worker, the coordinator or RabbitMQ discarded a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// The message is not a valid job.
    Rejected,
    /// A permanent error: retrying would not help.
    Failed,
    /// Its last attempt failed.
    Attempts,
    /// Several workers died while running it exclusively.
    Poison,
    /// Its deadline passed.
    Expired,
    /// Two workers computed different results, bit for bit.
    Conflict,
    /// It reached RabbitMQ's delivery limit.
    DeliveryLimit,
    /// A policy of RabbitMQ dropped it.
    Policy,
    /// A reason from RabbitMQ or another version.
    #[serde(untagged)]
    Other(String),
}

impl DiscardReason {
    /// The names of all reasons that this version knows, with those of RabbitMQ.
    pub const NAMES: [&str; 8] =
        ["attempts", "conflict", "delivery_limit", "expired", "failed", "maxlen", "poison", "rejected"];
}

impl From<&str> for DiscardReason {
    fn from(text: &str) -> Self {
        Self::deserialize(text.into_deserializer())
            .unwrap_or_else(|_: Error| unreachable!("any text is a reason"))
    }
}

impl fmt::Display for DiscardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_round_trip_through_their_names() {
        let check = |text: &str, reason: DiscardReason| {
            assert_eq!(reason.to_string(), text);
            assert_eq!(DiscardReason::from(text), reason);
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<DiscardReason>(&json).unwrap(), reason);
        };
        check("rejected", DiscardReason::Rejected);
        check("failed", DiscardReason::Failed);
        check("attempts", DiscardReason::Attempts);
        check("poison", DiscardReason::Poison);
        check("expired", DiscardReason::Expired);
        check("conflict", DiscardReason::Conflict);
        check("delivery_limit", DiscardReason::DeliveryLimit);
        check("policy", DiscardReason::Policy);
        check("maxlen", DiscardReason::Other("maxlen".to_owned()));
        check("", DiscardReason::Other(String::new()));
    }
}

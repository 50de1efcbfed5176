//! Why a job is discarded: the class of reason that dead letters carry beside the error.
//!
//! Invariant: a reason that this version does not know passes through unchanged.

use std::fmt;

use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error},
};

/// Why a job was discarded, by a worker, by the coordinator or by the broker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// The message is no job.
    Rejected,
    /// An error that another attempt would not mend.
    Failed,
    /// It was out of attempts.
    Attempts,
    /// Worker after worker died while it ran alone.
    Poison,
    /// Its deadline passed.
    Expired,
    /// Two workers computed different bits for it.
    Conflict,
    /// The broker delivered it too often.
    DeliveryLimit,
    /// A word of the broker, or of another version.
    #[serde(untagged)]
    Other(String),
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
    fn reasons_are_the_words_that_dead_letters_carry() {
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
        check("maxlen", DiscardReason::Other("maxlen".to_owned()));
        check("", DiscardReason::Other(String::new()));
    }
}

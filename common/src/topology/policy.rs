//! Policies of RabbitMQ that act on the queues of jobs beside their arguments.
//!
//! An operator may set them for queues of other programs with a pattern that matches these as well. AMQP does not tell
//! which policies there are, so they are known by what they do.

use std::{fmt, str::FromStr};

/// A key of a policy or an operator policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Policy {
    /// Drops jobs that no worker has received in time.
    MessageTtl,
    /// Refuses jobs, or drops the oldest.
    MaxLength,
    /// Deletes queues that have no consumer.
    Expires,
}

impl Policy {
    /// Returns the policy that drops messages for this reason in `x-death`. No other reason is one: the programs set no
    /// TTL on jobs and dead-letter none by a negative acknowledgement.
    #[must_use]
    pub fn of_death(reason: &str) -> Option<Self> {
        match reason {
            "expired" => Some(Self::MessageTtl),
            "maxlen" => Some(Self::MaxLength),
            _ => None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessageTtl => "message-ttl",
            Self::MaxLength => "max-length",
            Self::Expires => "expires",
        })
    }
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::MessageTtl, Self::MaxLength, Self::Expires]
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or(())
    }
}

//! What the holder of a token may do.

use std::{fmt, str::FromStr};

/// What the holder of a token may do; each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Submit work, upload images and cancel.
    Submit,
    /// Destroy what cannot be had back.
    Admin,
}

impl Scope {
    /// Every scope, the smallest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Submit, Self::Admin];

    /// Returns the name used on the command line and in the file of tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| format!("'{text}' is no scope: read, submit or admin"))
    }
}

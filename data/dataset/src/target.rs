//! What is predicted: the target, its label in a row of metadata, and the transform it is trained in.
//!
//! Owns the arithmetic between raw and transformed units. Missing is never zero: a row without the numbers
//! has no label, and says why.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::manifest::ManifestItem;

/// What a run predicts, in raw units.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Views divided by the channel's subscribers.
    ViewsPerSubscriber,
    /// Views.
    Views,
    /// The channel's subscribers.
    Subscribers,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::ViewsPerSubscriber, Self::Views, Self::Subscribers];

    /// Returns the name used in JSON and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ViewsPerSubscriber => "views-per-subscriber",
            Self::Views => "views",
            Self::Subscribers => "subscribers",
        }
    }

    /// Returns the label of an item, in raw units.
    ///
    /// # Errors
    /// When a number it needs is missing, or subscribers are zero where they divide.
    pub fn label(self, item: &ManifestItem) -> Result<f64, String> {
        let views = || item.views.map(|views| views as f64).ok_or_else(|| "views are missing".to_owned());
        let subscribers = || {
            let subscribers = item.subscribers.map(|subscribers| subscribers as f64);
            subscribers.ok_or_else(|| "subscribers are missing".to_owned())
        };
        match self {
            Self::Views => views(),
            Self::Subscribers => subscribers(),
            Self::ViewsPerSubscriber => match subscribers()? {
                0.0 => Err("subscribers are zero".to_owned()),
                subscribers => Ok(views()? / subscribers),
            },
        }
    }
}

/// How a target is transformed before training.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// `ln(1 + y)`: counts spread over orders of magnitude.
    Log1p,
    /// The raw value.
    None,
}

impl Transform {
    /// Every transform.
    pub const ALL: [Self; 2] = [Self::Log1p, Self::None];

    /// Returns the name used in JSON and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log1p => "log1p",
            Self::None => "none",
        }
    }

    /// From raw to transformed units.
    #[must_use]
    pub fn apply(self, raw: f64) -> f64 {
        match self {
            Self::Log1p => raw.ln_1p(),
            Self::None => raw,
        }
    }

    /// From transformed to raw units.
    #[must_use]
    pub fn invert(self, transformed: f64) -> f64 {
        match self {
            Self::Log1p => transformed.exp_m1(),
            Self::None => transformed,
        }
    }
}

macro_rules! named {
    ($type:ident, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
                    format!(
                        concat!("unknown ", $what, " '{}' (known: {})"),
                        text,
                        Self::ALL.map(Self::name).join(", ")
                    )
                })
            }
        }
    };
}

named!(Target, "target");
named!(Transform, "transform");

#[cfg(test)]
mod tests {
    use super::*;

    fn item(views: Option<u64>, subscribers: Option<u64>) -> ManifestItem {
        ManifestItem { views, subscribers, ..ManifestItem::named("x.jpg") }
    }

    #[test]
    fn labels_are_computed_or_explained() {
        let check = |target: Target, views, subscribers, want: Result<f64, &str>| {
            assert_eq!(target.label(&item(views, subscribers)), want.map_err(str::to_owned), "{target}");
        };
        check(Target::ViewsPerSubscriber, Some(300), Some(100), Ok(3.0));
        check(Target::ViewsPerSubscriber, Some(0), Some(100), Ok(0.0));
        check(Target::ViewsPerSubscriber, Some(300), Some(0), Err("subscribers are zero"));
        check(Target::ViewsPerSubscriber, Some(300), None, Err("subscribers are missing"));
        check(Target::ViewsPerSubscriber, None, Some(1), Err("views are missing"));
        check(Target::Views, Some(7), None, Ok(7.0));
        check(Target::Subscribers, None, Some(0), Ok(0.0));
    }

    #[test]
    fn transforms_invert() {
        for transform in Transform::ALL {
            for raw in [0.0, 0.3, 17.0, 1.7e8] {
                let there_and_back = transform.invert(transform.apply(raw));
                assert!(
                    (there_and_back - raw).abs() <= 1e-9 * raw.max(1.0),
                    "{transform}: {raw} {there_and_back}"
                );
            }
        }
    }

    #[test]
    fn names_are_parsed_or_listed() {
        assert_eq!("views".parse(), Ok(Target::Views));
        assert_eq!("log2".parse::<Transform>().unwrap_err(), "unknown transform 'log2' (known: log1p, none)");
    }
}

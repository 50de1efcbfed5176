//! Prediction targets, their labels, and the transform they are trained in.
//!
//! Owns the conversion between raw and transformed units. A missing number is never treated as zero: the item
//! has no label, and the error says why.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::manifest::ManifestItem;

/// The quantity that a run predicts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Views divided by the channel's subscribers.
    ViewsPerSubscriber,
    Views,
    Subscribers,
}

impl Target {
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
    /// When views or subscribers are missing, or subscribers are the divisor and zero.
    pub fn label(self, item: &ManifestItem) -> Result<f64, String> {
        let views = || item.views.map(|views| views as f64).ok_or_else(|| "missing views".to_owned());
        let subscribers = || {
            let subscribers = item.subscribers.map(|subscribers| subscribers as f64);
            subscribers.ok_or_else(|| "missing subscribers".to_owned())
        };
        match self {
            Self::Views => views(),
            Self::Subscribers => subscribers(),
            Self::ViewsPerSubscriber => match subscribers()? {
                0.0 => Err("zero subscribers".to_owned()),
                subscribers => Ok(views()? / subscribers),
            },
        }
    }
}

/// How a target is transformed before training.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// `ln(1 + y)`, for counts that span orders of magnitude.
    Log1p,
    None,
}

impl Transform {
    pub const ALL: [Self; 2] = [Self::Log1p, Self::None];

    /// Returns the name used in JSON and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log1p => "log1p",
            Self::None => "none",
        }
    }

    /// Converts raw to transformed units.
    #[must_use]
    pub fn apply(self, raw: f64) -> f64 {
        match self {
            Self::Log1p => raw.ln_1p(),
            Self::None => raw,
        }
    }

    /// Converts transformed to raw units. Every target is a count or a ratio of counts, so a negative value becomes
    /// zero. A value beyond the range of f64 becomes infinite.
    #[must_use]
    pub fn invert(self, transformed: f64) -> f64 {
        let raw = match self {
            Self::Log1p => transformed.exp_m1(),
            Self::None => transformed,
        };
        // Not `max`, which would turn NaN into zero.
        if raw <= 0.0 { 0.0 } else { raw }
    }
}

/// Implements `Display` and `FromStr` by `name`.
macro_rules! named {
    ($type:ident, $noun:literal) => {
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
                        concat!("unknown ", $noun, " '{}' (known: {})"),
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
    fn missing_label_has_a_reason() {
        let check = |target: Target, views, subscribers, want: Result<f64, &str>| {
            assert_eq!(target.label(&item(views, subscribers)), want.map_err(str::to_owned), "{target}");
        };
        check(Target::ViewsPerSubscriber, Some(300), Some(100), Ok(3.0));
        check(Target::ViewsPerSubscriber, Some(0), Some(100), Ok(0.0));
        check(Target::ViewsPerSubscriber, Some(300), Some(0), Err("zero subscribers"));
        check(Target::ViewsPerSubscriber, Some(300), None, Err("missing subscribers"));
        check(Target::ViewsPerSubscriber, None, Some(1), Err("missing views"));
        check(Target::Views, Some(7), None, Ok(7.0));
        check(Target::Subscribers, None, Some(0), Ok(0.0));
    }

    #[test]
    fn transforms_are_invertible() {
        for transform in Transform::ALL {
            for raw in [0.0, 0.3, 17.0, 1.7e8] {
                let round_trip = transform.invert(transform.apply(raw));
                assert!((round_trip - raw).abs() <= 1e-9 * raw.max(1.0), "{transform}: {raw} {round_trip}");
            }
        }
    }

    #[test]
    fn inverted_values_are_never_negative() {
        for transform in Transform::ALL {
            for below in [-0.0, -1e-9, -0.6, -40.0, f64::NEG_INFINITY] {
                let raw = transform.invert(below);
                assert!(raw == 0.0 && raw.is_sign_positive(), "{transform}: {below} {raw}");
            }
            assert!(transform.invert(f64::NAN).is_nan());
        }
        assert_eq!(Transform::Log1p.invert(1000.0), f64::INFINITY);
    }

    #[test]
    fn unknown_name_error_lists_the_known_ones() {
        assert_eq!("views".parse(), Ok(Target::Views));
        assert_eq!("log2".parse::<Transform>().unwrap_err(), "unknown transform 'log2' (known: log1p, none)");
    }
}

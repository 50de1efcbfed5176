//! What cannot be used.

use serde::Serialize;

/// Something that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ItemProblem {
    /// The row or the image.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
}

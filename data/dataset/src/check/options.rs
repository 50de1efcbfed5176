//! What an inspection looks at, and how much of what it finds is named.

use std::time::SystemTime;

use crate::target::Target;

/// Groups and examples of each kind that are named.
pub const LISTED: usize = 20;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Look {
    /// What a run would predict.
    pub target: Target,
    /// Whether to look into the images as well as at the rows.
    pub images: bool,
    /// Largest image file that is read.
    pub max_image_bytes: u64,
    /// Thumbnails to keep for a contact sheet, drawn at random.
    pub thumbnails: u32,
    /// The same seed draws the same thumbnails.
    pub seed: u64,
    /// What lies in the future.
    pub now: SystemTime,
}

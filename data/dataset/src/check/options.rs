//! Options of a dataset check.

use std::time::SystemTime;

use crate::target::Target;

/// Maximum examples of a warning in the report.
pub const MAX_LISTED: usize = 20;

#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Labels are reported for this target.
    pub target: Target,
    /// Whether to read the images in addition to the rows.
    pub read_images: bool,
    /// Larger image files are reported as problems.
    pub max_image_bytes: u64,
    /// Number of random thumbnails for a contact sheet.
    pub thumbnails: u32,
    /// Random seed of the selection of thumbnails.
    pub seed: u64,
    /// Reference time for warnings about dates in the future.
    pub now: SystemTime,
}

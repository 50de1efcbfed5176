//! Which images are taken in, by upload or from the web, and how much room they may have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, fail};

/// Images: where they may come from, and the limits on single files and on uploads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageSettings {
    /// Hosts that images may be fetched from though their addresses are not public, separated by commas.
    /// Default: none.
    pub fetch_allow: String,
    /// Largest image file, in bytes. Default 32 MiB.
    pub max_image_bytes: u64,
    /// How long an uploaded image is kept, in seconds. Default 1 day.
    pub upload_ttl_seconds: u64,
    /// Bytes that uploaded images may take up together; more are refused until some have expired. Default 4 GiB.
    pub max_upload_bytes: u64,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            fetch_allow: String::new(),
            max_image_bytes: 32 << 20,
            upload_ttl_seconds: 24 * 3600,
            max_upload_bytes: 4 << 30,
        }
    }
}

impl ImageSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_upload_bytes < self.max_image_bytes {
            return fail("max_upload_bytes", &self.max_upload_bytes, "at least SUBWATCH_MAX_IMAGE_BYTES");
        }
        Ok(())
    }

    /// How long an uploaded image is kept.
    #[must_use]
    pub fn upload_ttl(&self) -> Duration {
        Duration::from_secs(self.upload_ttl_seconds)
    }
}

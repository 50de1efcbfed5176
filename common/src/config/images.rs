//! Limits on uploaded and fetched images.

use std::time::Duration;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, fail};

/// Images: sources and limits.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct ImageSettings {
    /// Comma-separated hosts with private addresses that images may be fetched from. The base URLs of a crawl may name
    /// them too, and public hosts in this list; the host of `--api-base` then receives the Data API's key.
    pub fetch_allow: String,
    /// Largest image file, in bytes.
    pub max_image_bytes: u64,
    /// How long an uploaded image is kept, in seconds.
    pub upload_ttl_seconds: u64,
    /// Total size of the uploaded images in Redis, in bytes; at most half of Redis's `maxmemory`. Uploads beyond it are
    /// refused until others expire.
    pub max_upload_bytes: u64,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            fetch_allow: String::new(),
            max_image_bytes: 32 << 20,
            upload_ttl_seconds: 24 * 3600,
            max_upload_bytes: 1 << 30,
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

    #[must_use]
    pub fn upload_ttl(&self) -> Duration {
        Duration::from_secs(self.upload_ttl_seconds)
    }
}

//! The state from which responses are made.

use std::sync::Arc;

use super::{
    content::Content, faults::Faults, image_cache::ImageCache, journal::Journal, quota::Quota, world::World,
};

#[derive(Debug)]
pub(super) struct Site {
    pub(super) world: World,
    pub(super) content: Content,
    pub(super) faults: Faults,
    pub(super) journal: Arc<Journal>,
    pub(super) quota: Quota,
    pub(super) image_cache: ImageCache,
}

//! What answers are made from: a world with its content, what goes wrong, and what was asked so far.

use std::sync::Arc;

use super::{album::Album, content::Content, faults::Faults, journal::Journal, quota::Quota, world::World};

#[derive(Debug)]
pub(super) struct Site {
    pub(super) world: World,
    pub(super) content: Content,
    pub(super) faults: Faults,
    pub(super) journal: Arc<Journal>,
    pub(super) quota: Quota,
    pub(super) album: Album,
}

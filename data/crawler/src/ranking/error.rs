//! Why rankings are not read.

use common::config::ConfigError;

/// Why rankings are not read.
#[derive(Debug, thiserror::Error)]
pub enum RankingError {
    /// What was asked for is no ranking, or reading it was not consented to.
    #[error("{0}")]
    Usage(String),
    /// A setting is no selector.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// A page, its host or the browser is in the way.
    #[error("{0}")]
    Failed(String),
    /// The user interrupted it.
    #[error("interrupted while rankings were read; nothing was submitted")]
    Interrupted,
}

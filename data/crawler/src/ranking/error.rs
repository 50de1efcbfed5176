use common::config::ConfigError;

/// Why a ranking could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RankingError {
    /// Invalid arguments, or `--read-pages` is missing.
    #[error("{0}")]
    Usage(String),
    /// A setting is not a CSS selector.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The page, its host or the browser failed.
    #[error("{0}")]
    Failed(String),
    #[error("interrupted while reading rankings; nothing was submitted")]
    Interrupted,
}

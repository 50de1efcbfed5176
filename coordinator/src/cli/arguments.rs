//! Arguments that several commands share.

use clap::Args;

/// How a command waits for what it submitted.
#[derive(Args, Clone, Default)]
pub(super) struct Waiting {
    /// Print the id and return at once.
    #[arg(long)]
    pub(super) detach: bool,
    /// Give up waiting after this long; the work goes on.
    #[arg(long, value_name = "SECONDS")]
    pub(super) wait_timeout: Option<u64>,
}

/// How a command submits.
#[derive(Args, Clone)]
pub(super) struct Submitting {
    /// A word of one's own for this request: sent again under it, it is not carried out twice.
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
}

/// How long a command lets its jobs take.
#[derive(Args, Clone)]
pub(super) struct Deadline {
    /// Discard what is not done after this long.
    #[arg(long, value_name = "SECONDS")]
    pub(super) deadline: Option<u64>,
}

/// Makes a local folder's path absolute, since the coordinator may run elsewhere; a URL passes.
pub(super) fn dataset_argument(text: &str) -> String {
    let path = std::path::Path::new(text);
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(path));
    match absolute {
        Ok(path) if !text.contains("://") => path.display().to_string(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

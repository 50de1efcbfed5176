//! Arguments that several commands share.

use std::{fmt, str::FromStr};

use clap::{
    Args,
    builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser},
};
use url::Url;

use super::exit::{CliError, Exit};

/// Whether and how long a command waits for its submission.
#[derive(Args, Clone, Default)]
pub(super) struct WaitArguments {
    /// Print the submission ID and return without waiting.
    #[arg(long)]
    pub(super) detach: bool,
    /// Stop waiting after SECONDS; the jobs keep running.
    #[arg(long, value_name = "SECONDS")]
    pub(super) wait_timeout: Option<u64>,
}

#[derive(Args, Clone)]
pub(super) struct IdempotencyArguments {
    /// Key of your choice; repeating a request with it returns the first submission.
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
}

#[derive(Args, Clone)]
pub(super) struct DeadlineArguments {
    /// Discard jobs that are unfinished after SECONDS.
    #[arg(long, value_name = "SECONDS")]
    pub(super) deadline: Option<u64>,
}

/// Where embeddings are computed.
#[derive(Args, Clone)]
pub(super) struct SpaceArguments {
    /// Embedding space, of those that `subwatch spaces list` lists [default: that of most live workers].
    #[arg(long)]
    pub(super) space: Option<String>,
    #[command(flatten)]
    pub(super) hardware: HardwareArguments,
}

#[derive(Args, Clone)]
pub(super) struct HardwareArguments {
    /// Compute on devices of one class alone, that of most live workers; others may differ in the last bits.
    #[arg(long)]
    pub(super) uniform_hardware: bool,
}

/// The submission or run that a command is about.
#[derive(Args, Clone)]
pub(super) struct IdArguments {
    /// ID of a submission or run, the start of its ID, the name of a run, or `latest`, the newest of all
    /// users.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) id: String,
}

/// Parses one of these names, which the help and the shell's completions list.
pub(super) fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: fmt::Display> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).map(|name| match name.parse() {
        Ok(value) => value,
        Err(error) => panic!("{name} is one of the names: {error}"),
    })
}

/// Returns the URL of a folder of this machine, or of one in an object store.
pub(super) fn folder_url(text: &str) -> Result<Url, CliError> {
    let usage = |problem: &dyn fmt::Display| {
        CliError::new(Exit::Usage, format!("'{text}' is not a folder: {problem}"))
    };
    if !text.contains("://") {
        let path = std::path::absolute(text).map_err(|error| usage(&error))?;
        return Url::from_directory_path(path).map_err(|()| usage(&"the path cannot be written as a URL"));
    }
    let mut url = Url::parse(text).map_err(|error| usage(&error))?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Makes a path absolute, since the coordinator may run in another folder. URLs are left unchanged.
pub(super) fn dataset_argument(text: &str) -> String {
    let path = std::path::Path::new(text);
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(path));
    match absolute {
        Ok(path) if !text.contains("://") => path.display().to_string(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

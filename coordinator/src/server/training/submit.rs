//! Submits a run, or resumes one that failed or was cancelled.
//!
//! Owns the checks of a request. Writing the record notifies the leader, which continues in `drive`.

use std::collections::BTreeMap;

use common::{ids::SubmissionId, job::kind::Kind, store::SubmissionKind};

use crate::{
    api::{RunRequest, RunView},
    server::{
        context::Context,
        error::RequestError,
        lookup,
        runs::{self, RunSpec},
        spaces,
        submissions::{self, Caller, Checked},
    },
};

/// Submits a run. Repeating a request with its idempotency key returns the first run.
pub(crate) async fn submit(
    context: &Context,
    request: RunRequest,
    caller: &Caller,
) -> Result<RunView, RequestError> {
    let check = async {
        check(&request)?;
        let dataset = context.roots.resolve(&request.dataset)?;
        let requested = spaces::check(&context.store, request.space.as_deref()).await?;
        let uniform_hardware = request.uniform_hardware;
        let space =
            spaces::decide_if_possible(&context.store, Kind::Embed, requested, uniform_hardware).await?;
        let spec = RunSpec::new(dataset, space, request.clone());
        Checked::new(SubmissionKind::Train, &spec, None)
    };
    let id = submissions::submit_checked(context, &request, caller, check).await?;
    context.store.open_run(id).await?;
    runs::get(context, id).await
}

fn check(request: &RunRequest) -> Result<(), RequestError> {
    let RunRequest { epochs, batch_size, leaves, learning_rate, .. } = *request;
    let check = |valid: bool, field: &str, value: &dyn std::fmt::Display, range: &str| match valid {
        true => Ok(()),
        false => Err(RequestError::Invalid(format!("{field} is {value}: it must be {range}"))),
    };
    check((1..=10_000).contains(&epochs), "epochs", &epochs, "between 1 and 10000")?;
    check((1..=1_000_000).contains(&batch_size), "batch_size", &batch_size, "between 1 and 1000000")?;
    check((1..=4096).contains(&leaves), "leaves", &leaves, "between 1 and 4096")?;
    let is_positive = learning_rate.is_finite() && learning_rate > 0.0;
    check(is_positive, "learning_rate", &learning_rate, "a positive number")?;
    check_labels(request.name.as_deref(), &request.tags).map_err(RequestError::Invalid)
}

/// Largest size of a run's name and tags together, in bytes: they are in every list of runs.
const MAX_LABEL_BYTES: usize = 4096;

/// Checks a run's name and tags.
fn check_labels(name: Option<&str>, tags: &BTreeMap<String, String>) -> Result<(), String> {
    let length = |text: &str| text.chars().count();
    if name.is_some_and(|name| !(1..=RunRequest::MAX_NAME).contains(&length(name))) {
        return Err(format!("the name of a run must have 1 to {} characters", RunRequest::MAX_NAME));
    }
    if let Some(name) = name.filter(|name| ["latest", "best"].contains(name)) {
        return Err(format!("a run cannot be named '{name}', which stands for another"));
    }
    if tags.len() > RunRequest::MAX_TAGS {
        return Err(format!("a run has at most {} tags, not {}", RunRequest::MAX_TAGS, tags.len()));
    }
    let labels = || name.into_iter().chain(tags.iter().flat_map(|(key, value)| [key.as_str(), value]));
    if labels().map(str::len).sum::<usize>() > MAX_LABEL_BYTES {
        return Err(format!("the name and the tags of a run have at most {MAX_LABEL_BYTES} bytes together"));
    }
    if labels().any(|label| label.contains(char::is_control)) {
        return Err("the name and the tags of a run must not have control characters".to_owned());
    }
    for (key, value) in tags {
        let is_key = (1..=RunRequest::MAX_TAG_KEY).contains(&length(key)) && !key.contains('=');
        if !is_key || length(value) > RunRequest::MAX_TAG_VALUE {
            return Err(format!(
                "invalid tag '{key}': a key has 1 to {} characters and no '='; a value has at most {} characters",
                RunRequest::MAX_TAG_KEY,
                RunRequest::MAX_TAG_VALUE
            ));
        }
    }
    Ok(())
}

/// Reopens a failed or cancelled run, which continues from its last checkpoint.
///
/// # Errors
/// `NotFound` if the run does not exist; `Conflict` if it is in progress or has succeeded.
pub(crate) async fn resume(context: &Context, id: SubmissionId) -> Result<RunView, RequestError> {
    let run = lookup::run(context, id).await?;
    // Before it is reopened, so that the leader finds the run even if this process dies in between.
    context.store.set_active(id).await?;
    if !context.store.reopen_run(id).await? {
        return Err(RequestError::Conflict(format!(
            "only a failed or cancelled run can be resumed: the state of {id} is {}",
            run.state
        )));
    }
    // Again: a leader may have seen the ended run in between and set it inactive.
    context.store.set_active(id).await?;
    runs::get(context, id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_are_bounded() {
        let check = |name: Option<&str>, tags: &[(&str, &str)], valid: bool| {
            let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(check_labels(name, &tags).is_ok(), valid, "{name:?} {tags:?}");
        };
        check(None, &[], true);
        check(Some(&"é".repeat(100)), &[("k", ""), ("stage", "two words")], true);
        check(Some(""), &[], false);
        check(Some("best"), &[], false);
        check(Some(&"x".repeat(101)), &[], false);
        check(None, &[("", "v")], false);
        check(None, &[("a=b", "v")], false);
        check(None, &[(&"k".repeat(65), "v")], false);
        check(None, &[("k", &"v".repeat(257))], false);
        check(Some("bell\u{7}"), &[], false);
        check(None, &[("k", "two\nlines")], false);
        let long = "é".repeat(256);
        let keys: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let tags: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), long.as_str())).collect();
        check(None, &tags[..7], true);
        check(None, &tags, false);
        let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
        check(None, &many.iter().map(|key| (key.as_str(), "")).collect::<Vec<_>>(), false);
    }
}

//! Finds what a request names: IDs, records and list cursors.

use std::str::FromStr;

use common::{
    ids::SubmissionId,
    store::{Submission, SubmissionKind},
};

use super::{context::Context, error::RequestError};

/// Shortest prefix of an ID that may name a submission.
const MIN_PREFIX: usize = 4;

/// Resolves the name of a submission or run: its ID, the start of its ID if no other starts so, the name of a run (the
/// newest of several), or `latest` for the newest one that a user submitted.
///
/// # Errors
/// `NotFound` if the name has no match or is not a name; `Invalid` if several IDs start with it. A whole ID is not
/// looked up.
pub(crate) async fn id(context: &Context, name: &str) -> Result<SubmissionId, RequestError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    if name == "latest" {
        return latest(context).await;
    }
    let prefix = name.to_ascii_lowercase();
    let may_be_id =
        prefix.len() >= MIN_PREFIX && prefix.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let found = match may_be_id {
        true => context.store.submissions_starting_with(&prefix, 2).await?,
        false => Vec::new(),
    };
    match found.as_slice() {
        [id] => Ok(*id),
        [] => run_named(context, name).await,
        _ => Err(RequestError::Invalid(format!(
            "several submissions or runs have IDs that start with '{name}': give more characters"
        ))),
    }
}

/// Finds the newest run of this name.
async fn run_named(context: &Context, name: &str) -> Result<SubmissionId, RequestError> {
    const PAGE: usize = 100;
    let mut before = None;
    loop {
        let page = context.store.runs(before, PAGE).await?;
        if let Some(run) = page.iter().find(|run| run.spec["name"] == name) {
            return Ok(run.id);
        }
        let unknown = || {
            RequestError::NotFound(format!(
                "'{name}' is not the ID of a submission or run, the first {MIN_PREFIX} or more characters of one, or \
                 the name of a run; `subwatch status` and `subwatch runs` list them"
            ))
        };
        before = Some(page.last().ok_or_else(unknown)?.id);
    }
}

async fn latest(context: &Context) -> Result<SubmissionId, RequestError> {
    const PAGE: usize = 10;
    let mut before = None;
    loop {
        let page = context.store.submissions(before, PAGE).await?;
        if let Some(found) = page.iter().find(|submission| submission.parent.is_none()) {
            return Ok(found.id);
        }
        let none = || RequestError::NotFound("nothing has been submitted yet".to_owned());
        before = Some(page.last().ok_or_else(none)?.id);
    }
}

/// Finds the record of a submission or run.
pub(crate) async fn submission(context: &Context, id: SubmissionId) -> Result<Submission, RequestError> {
    let submission = context.store.submission(id).await?;
    submission.ok_or_else(|| {
        RequestError::NotFound(format!("submission or run {id} does not exist or has expired"))
    })
}

/// Finds the record of a run; any other kind of submission is `NotFound`.
pub(crate) async fn run(context: &Context, id: SubmissionId) -> Result<Submission, RequestError> {
    let submission = submission(context, id).await?;
    if submission.kind != SubmissionKind::Train {
        return Err(RequestError::NotFound(format!("{id} is a submission, not a run")));
    }
    Ok(submission)
}

/// Parses a cursor: an ID or a part number, as the caller's list has it.
pub(crate) fn cursor<T: FromStr>(text: Option<&str>) -> Result<Option<T>, RequestError> {
    text.map(|text| text.parse().map_err(|_| invalid_cursor(text))).transpose()
}

pub(crate) fn invalid_cursor(text: &str) -> RequestError {
    RequestError::Invalid(format!("invalid cursor '{text}': send `next` of the previous page"))
}

//! Bringing the arguments of `predict` to the coordinator, in as few submissions as their order allows.

use super::line::PredictionLine;
use crate::{
    api::{SubmissionRequest, SubmissionView, UploadedImage},
    cli::{
        client::Client,
        exit::CliError,
        images::{
            given::ImageSource,
            upload::{self, Upload},
        },
        progress::{Progress, ProgressDisplay},
    },
};

/// What became of some of the arguments: one submission at most.
pub(super) struct PredictPart {
    /// Nothing where no image reached the coordinator.
    pub(super) submission: Option<SubmissionView>,
    /// What stands before the names of its items.
    pub(super) prefix: String,
    /// Images that did not reach the coordinator, with their places among those named.
    pub(super) unsent: Vec<(usize, PredictionLine)>,
}

/// What all submissions of one command have in common.
pub(super) struct PredictRequest<'a> {
    pub(super) run: &'a str,
    pub(super) deadline_seconds: Option<u64>,
    pub(super) idempotency_key: Option<&'a str>,
}

/// Submits arguments in their order.
pub(super) struct Submitter<'a> {
    client: &'a Client,
    request: PredictRequest<'a>,
    pub(super) parts: Vec<PredictPart>,
}

impl<'a> Submitter<'a> {
    pub(super) fn new(client: &'a Client, request: PredictRequest<'a>) -> Self {
        Self { client, request, parts: Vec::new() }
    }

    /// Submits a dataset that the coordinator can read.
    pub(super) async fn dataset(&mut self, dataset: String, prefix: String) -> Result<(), CliError> {
        let submission = Some(self.submit(Some(dataset), Vec::new()).await?);
        self.parts.push(PredictPart { submission, prefix, unsent: Vec::new() });
        Ok(())
    }

    /// Brings images to the coordinator and submits them.
    pub(super) async fn send(&mut self, sources: &[ImageSource]) -> Result<(), CliError> {
        for sources in sources.chunks(SubmissionRequest::MAX_IMAGES) {
            let (mut images, mut unsent) = (Vec::new(), Vec::new());
            for (at, upload) in upload_all(self.client, sources).await?.into_iter().enumerate() {
                match upload {
                    Ok(image) => images.push(image),
                    Err((item, error)) => unsent.push((at, PredictionLine::failed(item, error))),
                }
            }
            let submission = if images.is_empty() { None } else { Some(self.submit(None, images).await?) };
            self.parts.push(PredictPart { submission, prefix: String::new(), unsent });
        }
        Ok(())
    }

    async fn submit(
        &self,
        dataset: Option<String>,
        images: Vec<UploadedImage>,
    ) -> Result<SubmissionView, CliError> {
        let request = SubmissionRequest::Predict {
            run: self.request.run.to_owned(),
            dataset,
            images,
            deadline_seconds: self.request.deadline_seconds,
        };
        // Each submission of one command needs a key of its own.
        let nth = self.parts.iter().filter(|part| part.submission.is_some()).count();
        let key = self.request.idempotency_key;
        let key = key.map(|key| if nth == 0 { key.to_owned() } else { format!("{key}/{nth}") });
        self.client.submit(&request, key.as_deref()).await
    }
}

/// Sends images, showing how far it is.
async fn upload_all(client: &Client, sources: &[ImageSource]) -> Result<Vec<Upload>, CliError> {
    let mut shown = ProgressDisplay::new();
    let sent = std::cell::RefCell::new(&mut shown);
    let uploads = upload::upload_all(client, sources, |count| {
        sent.borrow_mut().show(&Progress {
            fraction: count as f64 / sources.len() as f64,
            text: format!("{count} of {} images sent", sources.len()),
            ended: false,
        });
    })
    .await;
    shown.clear();
    uploads
}

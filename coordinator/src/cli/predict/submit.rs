//! Submits the arguments of `predict`, in as few submissions as their order allows.

use dataset::target::Target;

use super::line::PredictionLine;
use crate::{
    api::{OutputRequest, SubmissionRequest, SubmissionView, UploadedImage},
    cli::{
        client::Client,
        exit::CliError,
        images::{
            argument::ImageSource,
            upload::{self, Upload},
        },
        progress::{Progress, ProgressDisplay},
    },
};

/// Consecutive arguments that share at most one submission.
pub(super) struct PredictPart {
    /// `None` if no image was uploaded.
    pub(super) submission: Option<SubmissionView>,
    /// Prefix of the item names.
    pub(super) prefix: String,
    /// Images that could not be uploaded, with their positions among the images of this part.
    pub(super) unsent: Vec<(usize, PredictionLine)>,
}

/// What all submissions of one command share.
pub(super) struct PredictRequest<'a> {
    pub(super) run: &'a str,
    pub(super) target: Option<Target>,
    pub(super) uniform_hardware: bool,
    pub(super) deadline_seconds: Option<u64>,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) output: Option<OutputRequest>,
}

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

    /// Uploads and submits images.
    pub(super) async fn images(&mut self, sources: &[ImageSource]) -> Result<(), CliError> {
        for sources in sources.chunks(SubmissionRequest::MAX_IMAGES) {
            let (mut images, mut unsent) = (Vec::new(), Vec::new());
            for (position, upload) in upload_all(self.client, sources).await?.into_iter().enumerate() {
                match upload {
                    Ok(image) => images.push(image),
                    Err((item, error)) => unsent.push((position, PredictionLine::failed(item, error))),
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
        // All submissions of a command use the run that a name stood for at the first.
        let chosen = self.parts.iter().find_map(|part| part.submission.as_ref()?.run);
        let request = SubmissionRequest::Predict {
            run: chosen.map_or_else(|| self.request.run.to_owned(), |run| run.to_string()),
            target: self.request.target,
            dataset,
            images,
            uniform_hardware: self.request.uniform_hardware,
            output: self.request.output.clone(),
            deadline_seconds: self.request.deadline_seconds,
        };
        // Each submission of a command needs its own key.
        let nth = self.parts.iter().filter(|part| part.submission.is_some()).count();
        let key = self.request.idempotency_key;
        let key = key.map(|key| if nth == 0 { key.to_owned() } else { format!("{key}/{nth}") });
        self.client.submit(&request, key.as_deref()).await
    }
}

/// Uploads images with a progress display.
async fn upload_all(client: &Client, sources: &[ImageSource]) -> Result<Vec<Upload>, CliError> {
    let mut display = ProgressDisplay::new();
    let cell = std::cell::RefCell::new(&mut display);
    let uploads = upload::upload_all(client, sources, |count| {
        cell.borrow_mut().show(&Progress {
            fraction: Some(count as f64 / sources.len() as f64),
            text: format!("{count} of {} images uploaded", sources.len()),
            ended: false,
        });
    })
    .await;
    display.clear();
    uploads
}

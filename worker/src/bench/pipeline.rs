//! Measures the batcher and the model thread together, from pixels in memory and from files.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ::images::{decoder::Decoder, preprocess::Pixels};
use common::{config::Settings, priority::Priority};
use dataset::manifest::ManifestItem;
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use super::{images::BenchImages, options::BenchOptions, report::PipelineRow};
use crate::{
    inference::{Embedder, FilePipeline, Model},
    model::{self, ModelConfig},
};

/// Batches of decoded images in flight.
const BATCHES: usize = 4;
/// Most decoded images in memory.
const DECODED: usize = 1024;
/// Polling interval of the number of embedded images.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Most concurrent senders of decoded images.
const MAX_SENDERS: usize = 8;

/// Measures the pipeline from decoded images and from files.
pub(super) fn measure(
    settings: &Settings,
    config: &ModelConfig,
    options: &BenchOptions,
    images: &BenchImages,
) -> anyhow::Result<Vec<PipelineRow>> {
    let (config, without_network) = (config.clone(), options.without_network);
    let model = Model::start_with(move || {
        let mut backbone = model::load(&config)?;
        if without_network {
            backbone.leave_network_out();
        }
        Ok(backbone)
    })?;
    let runtime = tokio::runtime::Runtime::new()?;
    let embedder = model.embedder();
    let row = |input: &str, jobs, job_items, images_per_second| PipelineRow {
        device: model.device(),
        space: embedder.space().to_string(),
        input: input.to_owned(),
        jobs,
        job_items,
        images_per_second,
    };
    let pixels = images.pixels(DECODED)?;
    let decoded = runtime.block_on(rate_of_decoded(&embedder, pixels, options.duration()))?;
    let jobs = usize::from(settings.worker.prefetch);
    let job_items = settings.jobs.chunk_items as usize;
    let threads = settings.model.decode_threads.unwrap_or_else(cores);
    let decoder = Decoder::new(threads, settings.model.decode_memory_bytes);
    let pipeline =
        FilePipeline::new(images.dataset()?, embedder.clone(), decoder, settings.images.max_image_bytes);
    let files = runtime.block_on(rate_of_files(
        Arc::new(pipeline),
        images.items(),
        (jobs, job_items),
        options.duration(),
    ))?;
    Ok(vec![row("pixels", 1, BATCHES * embedder.batch(), decoded), row("files", jobs, job_items, files)])
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Images per second from decoded images.
async fn rate_of_decoded(
    embedder: &Embedder,
    pixels: Vec<Pixels>,
    duration: Duration,
) -> anyhow::Result<f64> {
    let (pixels, done) = (Arc::new(pixels), Arc::new(AtomicUsize::new(0)));
    let (count, in_flight) = (cores().min(MAX_SENDERS), BATCHES * embedder.batch());
    let _expected = embedder.expect_items(in_flight, Priority::Bulk);
    let mut senders = JoinSet::new();
    for sender in 0..count {
        let (embedder, pixels, done) = (embedder.clone(), pixels.clone(), done.clone());
        senders.spawn(async move {
            let images = (sender..).map(|index| embedder.embed(&pixels[index % pixels.len()]));
            let mut embedded = stream::iter(images).buffer_unordered(in_flight.div_ceil(count));
            while let Some(embedding) = embedded.next().await {
                embedding?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let ended = async { senders.join_next().await.expect("there is at least one sender")? };
    steady_rate(|| done.load(Ordering::Relaxed), embedder.batch(), duration, ended).await
}

/// Images per second of `jobs` concurrent jobs that read files.
async fn rate_of_files(
    pipeline: Arc<FilePipeline>,
    items: Vec<ManifestItem>,
    (jobs, job_items): (usize, usize),
    duration: Duration,
) -> anyhow::Result<f64> {
    let (first_job, batch) = (AtomicUsize::new(0), pipeline.batch());
    let mut running = JoinSet::new();
    let spawn = |running: &mut JoinSet<_>| {
        let first = first_job.fetch_add(1, Ordering::Relaxed) * job_items % items.len();
        let chunk = items.iter().cycle().skip(first).take(job_items).cloned().collect();
        let pipeline = pipeline.clone();
        running.spawn(async move { pipeline.embed(chunk).await.map(drop) });
    };
    let ended = async {
        for _ in 0..jobs {
            spawn(&mut running);
        }
        while let Some(job) = running.join_next().await {
            if let Err(error) = job? {
                anyhow::bail!(error);
            }
            spawn(&mut running);
        }
        Ok(())
    };
    let rate = steady_rate(|| pipeline.embedded(), batch, duration, ended).await;
    // A job that outlives the runtime panics, since its file operations are cancelled.
    running.shutdown().await;
    rate
}

/// Images per second, counted by `done` after the first batch, since stages are idle at the start. `ended` is the work,
/// which ends only with an error.
async fn steady_rate(
    done: impl Fn() -> usize,
    batch: usize,
    duration: Duration,
    ended: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let sample = async {
        let (begin, from) = when(&done, batch, Instant::now()).await;
        let (end, to) = when(&done, from + batch, begin + duration).await;
        (to - from) as f64 / (end - begin).as_secs_f64()
    };
    tokio::select! {
        rate = sample => Ok(rate),
        ended = ended => Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("the work ended early"))),
    }
}

/// Waits until at least `least` images are done and `at` has passed; returns that time and the number of images.
async fn when(done: impl Fn() -> usize, least: usize, at: Instant) -> (Instant, usize) {
    loop {
        let (now, images) = (Instant::now(), done());
        if now >= at && images >= least {
            return (now, images);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

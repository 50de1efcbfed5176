//! How fast the batcher, the model's thread and the reading of files are together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ::images::{pool::CpuPool, preprocess::Pixels};
use common::config::Settings;
use dataset::manifest::ManifestItem;
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use super::{images::BenchImages, options::BenchOptions, report::PipelineRow};
use crate::{
    inference::{Embedder, FilePipeline, Model},
    model::{self, ModelConfig},
};

/// Batches of decoded images under way at once.
const BATCHES: usize = 4;
/// Most images that are kept decoded.
const DECODED: usize = 1024;
/// How often it is looked how many are done.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Most tasks that bring decoded images.
const MOST_TASKS: usize = 8;

/// Measures from decoded images and from files.
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
    let decoder = CpuPool::new(settings.model.decode_threads.unwrap_or_else(cores));
    let pipeline = FilePipeline::new(
        images.dataset()?,
        embedder.clone(),
        Arc::new(decoder),
        settings.images.max_image_bytes,
    );
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

/// Images a second that several tasks bring decoded.
async fn rate_of_decoded(
    embedder: &Embedder,
    pixels: Vec<Pixels>,
    duration: Duration,
) -> anyhow::Result<f64> {
    let (pixels, done) = (Arc::new(pixels), Arc::new(AtomicUsize::new(0)));
    let (tasks, under_way) = (cores().min(MOST_TASKS), BATCHES * embedder.batch());
    let _announcement = embedder.announce(under_way);
    let mut bringing = JoinSet::new();
    for task in 0..tasks {
        let (embedder, pixels, done) = (embedder.clone(), pixels.clone(), done.clone());
        bringing.spawn(async move {
            let images = (task..).map(|at| embedder.embed(&pixels[at % pixels.len()]));
            let mut embedded = stream::iter(images).buffer_unordered(under_way.div_ceil(tasks));
            while let Some(embedding) = embedded.next().await {
                embedding?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let ended = async { bringing.join_next().await.expect("there is a task")? };
    steady_rate(|| done.load(Ordering::Relaxed), embedder.batch(), duration, ended).await
}

/// Images a second of jobs that read files, `jobs` at once.
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
    steady_rate(|| pipeline.embedded(), batch, duration, ended).await
}

/// Images a second by `done`, from the second batch on, since stages are idle at the start. Ends early with the error of
/// `ended`, which does not end otherwise.
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
        ended = ended => Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("the images ended"))),
    }
}

/// Waits until `least` images are done and it is `at` or later; says when that was, and how many were done then.
async fn when(done: impl Fn() -> usize, least: usize, at: Instant) -> (Instant, usize) {
    loop {
        let (now, images) = (Instant::now(), done());
        if now >= at && images >= least {
            return (now, images);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

//! How fast the batcher, the model's thread and the reading of files are together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::images::{pool::CpuPool, preprocess::Pixels};
use common::{config::Settings, embedding::Embedding};
use dataset::manifest::ManifestItem;
use futures::{StreamExt, stream};

use super::{images::BenchImages, options::BenchOptions, report::PipelineRow};
use crate::{
    inference::{Embedder, FilePipeline, Model},
    model::ModelConfig,
};

/// Batches of decoded images under way at once.
const BATCHES: usize = 4;
/// Most images that are kept decoded.
const DECODED: usize = 1024;
/// Most tasks that bring decoded images.
const MOST_TASKS: usize = 8;

/// Measures from decoded images and from files.
pub(super) fn measure(
    settings: &Settings,
    config: &ModelConfig,
    options: &BenchOptions,
    images: &BenchImages,
) -> anyhow::Result<Vec<PipelineRow>> {
    let model = Model::start(config.clone())?;
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
    let pixels = Arc::new(pixels);
    let (tasks, under_way) = (cores().min(MOST_TASKS), BATCHES * embedder.batch());
    let _announcement = embedder.announce(under_way);
    let began = Instant::now();
    let bring = |task: usize| {
        let (embedder, pixels) = (embedder.clone(), pixels.clone());
        tokio::spawn(async move {
            let images = (task..).map(|at| embedder.embed(pixels[at % pixels.len()].clone()));
            let mut embedded = stream::iter(images).buffer_unordered(under_way.div_ceil(tasks));
            let mut times = Vec::new();
            while began.elapsed() < duration {
                embedded.next().await.expect("the images are endless")?;
                times.push(Instant::now());
            }
            anyhow::Ok(times)
        })
    };
    let mut times = Vec::new();
    for task in (0..tasks).map(bring).collect::<Vec<_>>() {
        times.extend(task.await??);
    }
    Ok(steady_rate(times.into_iter().map(|at| (at, 1)).collect(), under_way))
}

/// Images a second of jobs that read files, `jobs` at once.
async fn rate_of_files(
    pipeline: Arc<FilePipeline>,
    items: Vec<ManifestItem>,
    (jobs, job_items): (usize, usize),
    duration: Duration,
) -> anyhow::Result<f64> {
    let embed = |job: usize| {
        let chunk =
            items.iter().cycle().skip(job * job_items % items.len()).take(job_items).cloned().collect();
        let pipeline = pipeline.clone();
        tokio::spawn(async move { pipeline.embed(chunk).await })
    };
    let mut done = stream::iter((0..).map(embed)).buffer_unordered(jobs);
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() <= jobs || began.elapsed() < duration {
        let embeddings: Result<Vec<Embedding>, String> = done.next().await.expect("the jobs are endless")?;
        times.push((Instant::now(), embeddings.map_err(anyhow::Error::msg)?.len()));
    }
    Ok(steady_rate(times, jobs))
}

/// Images a second, by when how many were done, without the `first` times, in which stages were still idle.
fn steady_rate(mut times: Vec<(Instant, usize)>, first: usize) -> f64 {
    times.sort();
    let from = first.min(times.len().saturating_sub(2));
    let Some(((begin, _), rest)) = times.get(from..).and_then(<[_]>::split_first) else { return 0.0 };
    let images: usize = rest.iter().map(|(_, images)| images).sum();
    let Some((end, _)) = rest.last() else { return 0.0 };
    images as f64 / (*end - *begin).as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_left_out_of_a_rate() {
        let epoch = Instant::now();
        let check = |millis: &[u64], first: usize, want: f64| {
            let times = millis.iter().map(|ms| (epoch + Duration::from_millis(*ms), 10)).collect();
            let rate = steady_rate(times, first);
            assert!((rate - want).abs() < 1e-6, "{millis:?}: {rate}");
        };
        check(&[], 1, 0.0);
        check(&[5], 1, 0.0);
        check(&[500, 600, 700], 1, 100.0);
        check(&[9000, 9100, 9200, 9300], 0, 100.0);
        check(&[1000, 1100], 7, 100.0);
    }
}

//! Disturbances aimed at jobs: duplicated, malformed and poisoned ones.

use std::time::{Duration, Instant};

use common::{
    broker::{BrokerConfig, Publisher},
    digest::Digest,
    embedding::Space,
    ids::{JobId, SubmissionId},
    job::{
        args::{Chunk, EmbedArgs, JobArgs, PredictArgs},
        envelope::{Envelope, MAX_BODY_BYTES},
    },
    store::{JobState, Submission, SubmissionKind},
    topology::{self, Route},
};
use dataset::files::parts;
use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    disturb::Scene,
    load::is_poisonable,
    schedule::{Garbage, Program, shuffle},
    system::Slot,
};

/// Time limit of one of the test's own connections or publishes.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for a job to poison or pause at, and for a poisoned job to finish.
const JOB_TIMEOUT: Duration = Duration::from_secs(15);
const POISON_TIMEOUT: Duration = Duration::from_secs(120);
/// Deaths within which a poisoned job must be recognised.
const DEATHS: u32 = 12;
/// How often job statuses are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(4);
/// Longest a worker is paused for another to finish one of its jobs.
const FINISH_TIMEOUT: Duration = Duration::from_secs(20);
/// Number of duplicates to publish.
const COPIES: usize = 24;

impl Scene<'_> {
    /// Publishes duplicates of running submissions' jobs in random order.
    pub(super) async fn duplicate(&self, random: &mut ChaCha12Rng) {
        let mut copies: Vec<(Envelope, Route)> = Vec::new();
        for submission in self.system.running().await.unwrap_or_default() {
            copies.extend(copies_of(&submission, usize::MAX).await);
        }
        copies.extend(copies.clone());
        shuffle(&mut copies, random);
        copies.truncate(COPIES);
        let config = BrokerConfig::new(self.system.vhost.amqp_url().into(), "chaos");
        let Ok(Ok(publisher)) = timeout(PUBLISH_TIMEOUT, Publisher::connect(&config)).await else { return };
        for (copy, route) in copies {
            // The broker may be disturbed as well, so a publish may fail.
            let _ = timeout(PUBLISH_TIMEOUT, publisher.publish(&copy, &route)).await;
        }
    }

    /// Pauses a worker with several jobs of one submission in flight until another worker has finished one of
    /// them. The first then finishes that job as well, while the submission is still open.
    pub(super) async fn finish_twice(&self, worker: usize) {
        let mut slot = self.system.slot(Program::Worker(worker)).await;
        let Some(id) = self.load.submit_spare().await else {
            return crate::print_line("    finish-twice: no coordinator accepted the submission");
        };
        let Some((submission, job)) = self.pause_with_several_jobs_in_flight(&mut slot, id).await else {
            return crate::print_line(
                "    finish-twice: the worker never had several jobs of the submission in flight",
            );
        };
        let config = BrokerConfig::new(self.system.vhost.amqp_url().into(), "chaos");
        if let (Some((copy, route)), Ok(Ok(publisher))) =
            (copy_of(&submission, job).await, timeout(PUBLISH_TIMEOUT, Publisher::connect(&config)).await)
        {
            // The paused worker's prefetch takes some of them.
            for _ in 0..COPIES {
                let _ = timeout(PUBLISH_TIMEOUT, publisher.publish(&copy, &route)).await;
            }
            let since = Instant::now();
            while since.elapsed() < FINISH_TIMEOUT {
                let statuses = self.system.query(self.system.store.job_statuses(submission.id)).await;
                if statuses
                    .and_then(|mut statuses| statuses.remove(&job.to_string()))
                    .is_some_and(|m| m.is_finished())
                {
                    self.system.tally().finished_twice += 1;
                    break;
                }
                sleep(POLL_INTERVAL).await;
            }
        }
        slot.process().resume();
    }

    /// Pauses a worker while at least two jobs of the submission are in flight on it, and returns one of
    /// them.
    async fn pause_with_several_jobs_in_flight(
        &self,
        slot: &mut Slot,
        id: SubmissionId,
    ) -> Option<(Submission, u32)> {
        let since = Instant::now();
        while since.elapsed() < JOB_TIMEOUT {
            let held = self.system.pause_with_jobs_in_flight(slot).await;
            let running = self.system.running().await.unwrap_or_default();
            if let Some(submission) = running.into_iter().find(|submission| submission.id == id) {
                let mut jobs = held.iter().filter(|(id, _)| *id == submission.id).map(|(_, job)| job);
                if let (true, Some(job), Some(_)) = (submission.manifest.is_some(), jobs.next(), jobs.next())
                    && let Ok(job) = job.parse()
                {
                    return Some((submission, job));
                }
            }
            slot.process().resume();
            sleep(POLL_INTERVAL).await;
        }
        None
    }

    /// Publishes duplicates of jobs as an older and a newer version of the program would encode them.
    pub(super) async fn mix_versions(&self) {
        for submission in self.system.running().await.unwrap_or_default() {
            for (index, (job, route)) in copies_of(&submission, 4).await.into_iter().enumerate() {
                let mut body: Value = serde_json::to_value(&job.args).expect("arguments are plain data");
                let mut headers = job_headers();
                if index % 2 == 0 {
                    headers["subwatch-of-the-future"] = json!("an unknown header");
                    headers["subwatch-fence"] = json!(1 << 40);
                    body["of_the_future"] = json!({"nested": [1, 2, 3]});
                    body["chunk"]["of_the_future"] = json!(true);
                }
                let properties = json!({
                    "type": job.message_type(), "message_id": job.job.to_string(),
                    "correlation_id": job.submission.to_string(), "delivery_mode": 2, "headers": headers,
                });
                let key = route.routing_key();
                let _ = self
                    .system
                    .vhost
                    .try_publish(topology::JOB_EXCHANGE, &key, properties, &body.to_string())
                    .await;
            }
        }
    }

    pub(super) async fn publish_garbage(&self, garbage: Garbage) {
        let id = Uuid::new_v4().to_string();
        let job = |message_type: &str| {
            json!({"type": message_type, "message_id": id, "correlation_id": Uuid::new_v4().to_string(),
                   "headers": job_headers()})
        };
        let (properties, body) = match garbage {
            Garbage::UnknownType => (job("dance.v7"), "{}".to_owned()),
            Garbage::BadJson => (job("embed.v1"), format!("{{\"chunk\": {id}")),
            Garbage::Oversized => (job("predict.v1"), format!("\"{}\"", "x".repeat(MAX_BODY_BYTES))),
            Garbage::NoHeaders => (json!({}), format!("unknown {id}")),
        };
        let name = match garbage {
            Garbage::NoHeaders => Digest::of(body.as_bytes()).prefix(32),
            _ => id.clone(),
        };
        let key = Route::Embed(None).routing_key();
        if self.system.vhost.try_publish(topology::JOB_EXCHANGE, &key, properties, &body).await == Ok(true) {
            self.explained().garbage.push(name);
        }
    }

    /// Kills each worker that starts one chosen job until the job is finished.
    pub(super) async fn poison(&self, random: &mut ChaCha12Rng) {
        let Some((submission, job)) = self.find_poisonable_job(random).await else {
            return crate::print_line("    poison: no job to poison");
        };
        self.explained().poisoned.push((submission, job));
        let (since, mut deaths) = (Instant::now(), 0);
        loop {
            let statuses =
                self.system.query(self.system.store.job_statuses(submission)).await.unwrap_or_default();
            match statuses.get(&job.to_string()) {
                Some(status) if status.is_finished() => {
                    return crate::print_line(&format!(
                        "    poison: job {job} of {submission} is {} after {deaths} deaths",
                        status.state
                    ));
                }
                Some(status) if status.state == JobState::Started => {
                    for worker in self.system.workers() {
                        let mut slot = self.system.slot(worker).await;
                        if slot.instance().is_none()
                            || slot.instance() != status.instance
                            || slot.process().has_ended()
                        {
                            continue;
                        }
                        slot.process().kill().await;
                        self.system.record_kill(1);
                        self.system.restart(&mut slot, None);
                        deaths += 1;
                    }
                }
                Some(_) => {}
                None => {
                    // A rolled-back store may have lost the submission.
                    let state = self.system.query(self.system.store.state(submission)).await;
                    if state == Some(None) && !self.explained().store_rollbacks.is_empty() {
                        return crate::print_line(&format!(
                            "    poison: job {job} of {submission} was lost with the store's rollback"
                        ));
                    }
                }
            }
            if deaths > DEATHS || since.elapsed() > POISON_TIMEOUT {
                return self.system.record_violation(format!(
                    "job {job} of {submission} is not recognised as poison after {deaths} deaths and {:?}",
                    since.elapsed()
                ));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Finds an unstarted job of a user's embed submission.
    async fn find_poisonable_job(&self, random: &mut ChaCha12Rng) -> Option<(SubmissionId, u32)> {
        let since = Instant::now();
        while since.elapsed() < JOB_TIMEOUT {
            for submission in self.system.running().await.unwrap_or_default() {
                if !is_poisonable(&submission) {
                    continue;
                }
                let Some(statuses) = self.system.query(self.system.store.job_statuses(submission.id)).await
                else {
                    continue;
                };
                let jobs: Vec<u32> =
                    (0..submission.jobs).filter(|job| !statuses.contains_key(&job.to_string())).collect();
                if !jobs.is_empty() {
                    return Some((submission.id, jobs[random.random_range(0..jobs.len())]));
                }
            }
            sleep(POLL_INTERVAL).await;
        }
        None
    }
}

fn job_headers() -> Value {
    json!({"subwatch-attempt": 1, "subwatch-max-attempts": 5, "subwatch-generation": 0})
}

/// Returns copies of the first jobs of a submission.
async fn copies_of(submission: &Submission, count: usize) -> Vec<(Envelope, Route)> {
    let mut copies = Vec::new();
    for job in (0..submission.jobs_published).take(count) {
        copies.extend(copy_of(submission, job).await);
    }
    copies
}

/// Returns the envelope of a submission's job as its coordinator published it, with its route.
async fn copy_of(submission: &Submission, job: u32) -> Option<(Envelope, Route)> {
    let manifest = submission.manifest.as_ref()?;
    let (items, part_items) = (manifest["items"].as_u64()?, manifest["part_items"].as_u64()?);
    let first_item = u64::from(job) * part_items;
    let folder = manifest["folder"].as_str()?.parse().ok()?;
    let (mut file, mut chunk) = (0, job);
    for parts in manifest["item_files"].as_array()? {
        let Some(rest) = chunk.checked_sub(u32::try_from(parts.as_u64()?).ok()?) else { break };
        (file, chunk) = (file + 1, rest);
    }
    let index = parts::read_index(&folder, file).await.ok()?;
    let chunk = Chunk {
        part: parts::part_url(&folder, file),
        range: Some(parts::range_of(&index, chunk as usize)?),
        dataset: manifest["dataset"].as_str().and_then(|url| url.parse().ok()),
        index: job,
        first_item,
        items: u32::try_from(items.checked_sub(first_item)?.min(part_items)).ok()?,
    };
    let space = manifest["space"].as_str().map(|space| Space(space.to_owned()));
    let (args, route) = match submission.kind {
        SubmissionKind::Embed => {
            (JobArgs::Embed(EmbedArgs { chunk, space: space.clone() }), Route::Embed(space))
        }
        SubmissionKind::Predict => {
            let run = submission.spec["run"].as_str()?.parse().ok()?;
            let output = serde_json::from_value(manifest["output"].clone()).ok();
            let args = PredictArgs { chunk, run, space: space.clone(), output };
            (JobArgs::Predict(args), Route::Predict(space))
        }
        SubmissionKind::Train | SubmissionKind::Crawl => return None,
    };
    let envelope = Envelope {
        job: JobId::derive(submission.id, args.kind(), &args.name()),
        submission: submission.id,
        attempt: 1,
        max_attempts: 5,
        generation: 0,
        deadline_ms: None,
        traceparent: None,
        args,
    };
    Some((envelope, route))
}

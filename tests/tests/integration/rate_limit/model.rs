//! Random requests, held against what the store should decide.

use std::time::Duration;

use common::store::{Admission, Lease, Limits, Verdict};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use tests::{environment::number, say};

use super::{Fleet, limits};

/// What the store should know of a host, in the test's own words.
#[derive(Default)]
struct Model {
    started_ms: Option<u64>,
    not_before_ms: u64,
    under_way: Vec<UnderWay>,
    snoozed_until_ms: u64,
}

struct UnderWay {
    lease: Lease,
    expires_ms: u64,
    /// Whether it tries if a pause can end.
    is_probe: bool,
}

/// Random requests, ends, deaths and refusals: whoever is let in is let in rightly, and somebody always is in
/// the end. Another seed: `SUBWATCH_TEST_SEED`.
#[tokio::test]
async fn whatever_happens_nobody_is_let_in_who_must_wait() {
    let seed = number("SUBWATCH_TEST_SEED").unwrap_or_else(rand::random);
    say(&format!("SUBWATCH_TEST_SEED={seed}"));
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let store = Fleet::hasty().store().await;
    for concurrency in [1, 2, 5] {
        let host = format!("host-{concurrency}");
        let limits = Limits { lease: Duration::from_millis(40), ..limits(3, concurrency) };
        let mut model = Model::default();
        let mut admitted = 0;
        while admitted < 150 {
            match store.admit(&host, limits, "here").await.unwrap() {
                Admission::Granted(lease) => {
                    admitted += 1;
                    let start_ms = lease.started_ms();
                    // The start is rounded up to a millisecond.
                    model.under_way.retain(|request| request.expires_ms > start_ms);
                    assert!(
                        model.under_way.len() < concurrency as usize,
                        "{} are under way",
                        model.under_way.len()
                    );
                    assert!(model.started_ms.is_none_or(|before| start_ms >= before + 3));
                    assert!(start_ms >= model.not_before_ms && start_ms >= model.snoozed_until_ms);
                    assert!(!model.under_way.iter().any(|request| request.is_probe), "two try at once");
                    model.started_ms = Some(start_ms);
                    let is_probe = model.snoozed_until_ms > 0;
                    model.under_way.push(UnderWay { lease, expires_ms: start_ms + 40, is_probe });
                }
                Admission::Wait(time) => {
                    assert!(time <= Duration::from_millis(60), "{time:?}");
                    if random.random_bool(0.5) {
                        tokio::time::sleep(time).await;
                    }
                }
                Admission::BackedOff { until_ms, .. } => assert_eq!(until_ms, model.snoozed_until_ms),
            }
            if model.under_way.is_empty() || random.random_bool(0.4) {
                continue;
            }
            let chosen = random.random_range(0..model.under_way.len());
            let verdict = match random.random_range(0..10) {
                // Killed: its lease must run out.
                0 => continue,
                1 => Verdict::RetryAfter(Duration::from_millis(20)),
                2 => Verdict::Blocked { reason: "enough".to_owned(), backoff: Duration::from_millis(20) },
                3 | 4 => Verdict::Failed,
                _ => Verdict::Ok,
            };
            let UnderWay { lease, is_probe, .. } = model.under_way.swap_remove(chosen);
            let before_ms = store.now_ms().await.unwrap();
            let until_ms = store.finish_request(&lease, &verdict).await.unwrap();
            match verdict {
                Verdict::RetryAfter(_) => model.not_before_ms = model.not_before_ms.max(before_ms + 20),
                Verdict::Blocked { .. } => {
                    assert!(until_ms.unwrap() >= before_ms + 20);
                    model.under_way.iter_mut().for_each(|request| request.is_probe = false);
                }
                // Unless its lease ran out before.
                Verdict::Ok if is_probe => {
                    assert!(until_ms.is_none() || store.now_ms().await.unwrap() >= lease.started_ms() + 40);
                }
                Verdict::Ok | Verdict::Failed => {
                    assert_eq!(until_ms.unwrap_or_default(), model.snoozed_until_ms);
                }
            }
            model.snoozed_until_ms = until_ms.unwrap_or_default();
        }
    }
}

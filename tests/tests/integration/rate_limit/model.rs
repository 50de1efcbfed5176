//! Random requests, checked against a model of the store's admission.

use std::time::Duration;

use common::store::{Admission, Lease, Limits, Verdict};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use tests::{environment::number, print_line};

use super::{Fleet, limits};

/// The expected state of a host.
#[derive(Default)]
struct Model {
    started_ms: Option<u64>,
    not_before_ms: u64,
    in_flight: Vec<InFlight>,
    backed_off_until_ms: u64,
}

struct InFlight {
    lease: Lease,
    expires_ms: u64,
    /// Whether it probes whether a back-off can end.
    is_probe: bool,
}

/// Random admissions, completions, crashes and blocks: every admission obeys the limits, and requests are
/// always admitted eventually. `SUBWATCH_TEST_SEED` sets the seed.
#[tokio::test]
async fn random_admissions_match_the_model() {
    let seed = number("SUBWATCH_TEST_SEED").unwrap_or_else(rand::random);
    print_line(&format!("SUBWATCH_TEST_SEED={seed}"));
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let store = Fleet::unlimited().store().await;
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
                    // The start time is rounded up to a millisecond.
                    model.in_flight.retain(|request| request.expires_ms > start_ms);
                    assert!(
                        model.in_flight.len() < concurrency as usize,
                        "{} are in flight",
                        model.in_flight.len()
                    );
                    assert!(model.started_ms.is_none_or(|before| start_ms >= before + 3));
                    assert!(start_ms >= model.not_before_ms && start_ms >= model.backed_off_until_ms);
                    assert!(!model.in_flight.iter().any(|request| request.is_probe), "two concurrent probes");
                    model.started_ms = Some(start_ms);
                    let is_probe = model.backed_off_until_ms > 0;
                    model.in_flight.push(InFlight { lease, expires_ms: start_ms + 40, is_probe });
                }
                Admission::Wait(time) => {
                    assert!(time <= Duration::from_millis(60), "{time:?}");
                    if random.random_bool(0.5) {
                        tokio::time::sleep(time).await;
                    }
                }
                Admission::BackedOff { until_ms, .. } => assert_eq!(until_ms, model.backed_off_until_ms),
            }
            if model.in_flight.is_empty() || random.random_bool(0.4) {
                continue;
            }
            let chosen = random.random_range(0..model.in_flight.len());
            let verdict = match random.random_range(0..10) {
                // Killed: its lease must expire.
                0 => continue,
                1 => Verdict::RetryAfter(Duration::from_millis(20)),
                2 => Verdict::Blocked { reason: "enough".to_owned(), backoff: Duration::from_millis(20) },
                3 | 4 => Verdict::Failed,
                _ => Verdict::Ok,
            };
            let InFlight { lease, is_probe, .. } = model.in_flight.swap_remove(chosen);
            let before_ms = store.now_ms().await.unwrap();
            let until_ms = store.finish_request(&lease, &verdict).await.unwrap();
            match verdict {
                Verdict::RetryAfter(_) => model.not_before_ms = model.not_before_ms.max(before_ms + 20),
                Verdict::Blocked { .. } => {
                    assert!(until_ms.unwrap() >= before_ms + 20);
                    model.in_flight.iter_mut().for_each(|request| request.is_probe = false);
                }
                // Unless its lease expired first.
                Verdict::Ok if is_probe => {
                    assert!(until_ms.is_none() || store.now_ms().await.unwrap() >= lease.started_ms() + 40);
                }
                Verdict::Ok | Verdict::Failed => {
                    assert_eq!(until_ms.unwrap_or_default(), model.backed_off_until_ms);
                }
            }
            model.backed_off_until_ms = until_ms.unwrap_or_default();
        }
    }
}

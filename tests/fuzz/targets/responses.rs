//! Responses of a coordinator, as the command line parses them: an error, or a value that survives the round trip. The
//! first byte selects the type.
#![no_main]

use std::fmt::Debug;

use coordinator::api::{
    DeadLetterOutcome, DeadLetterView, DoctorView, EmbeddingView, HeadView, ItemView, JobView, Page, Problem, RunView,
    SampleView, SimilarView, SpaceView, StatusView, StoredImage, SubmissionView, TestPredictionView, WorkersView,
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn check<T: Serialize + DeserializeOwned + Debug>(body: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(body) else { return };
    let text = serde_json::to_string(&value).expect("a response is plain data");
    let again: T = serde_json::from_str(&text).expect("a written response can be read");
    assert_eq!(serde_json::to_string(&again).expect("a response is plain data"), text, "{value:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else { return };
    match kind % 19 {
        0 => check::<SubmissionView>(body),
        1 => check::<Page<SubmissionView>>(body),
        2 => check::<Page<ItemView>>(body),
        3 => check::<Page<JobView>>(body),
        4 => check::<Page<EmbeddingView>>(body),
        5 => check::<RunView>(body),
        6 => check::<Page<RunView>>(body),
        7 => check::<Page<SampleView>>(body),
        8 => check::<Page<TestPredictionView>>(body),
        9 => check::<HeadView>(body),
        10 => check::<WorkersView>(body),
        11 => check::<StatusView>(body),
        12 => check::<Page<DeadLetterView>>(body),
        13 => check::<DeadLetterOutcome>(body),
        14 => check::<SimilarView>(body),
        15 => check::<Vec<SpaceView>>(body),
        16 => check::<DoctorView>(body),
        17 => check::<StoredImage>(body),
        _ => check::<Problem>(body),
    }
});

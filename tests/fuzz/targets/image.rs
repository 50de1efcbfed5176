//! Images: an error with a reason, or a picture that can be preprocessed and whose pixels fill its size.
#![no_main]

use images::{decode, preprocess};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match decode::decode(bytes) {
        Ok(picture) => {
            let pixels = u64::from(picture.width) * u64::from(picture.height);
            assert!(pixels <= decode::MAX_PIXELS);
            assert_eq!(picture.rgb.len() as u64, pixels * 3);
            let _ = preprocess::resize(&picture);
        }
        Err(failure) => assert!(!failure.detail.is_empty()),
    }
});

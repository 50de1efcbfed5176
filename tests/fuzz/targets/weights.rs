//! Weights files, `.pth` and `.safetensors`: an error or tensors whose values fill their shapes. The readers
//! are compiled from their sources, since the rest of the model would bring libtorch. A pickle alone, which
//! begins with its protocol, is read as that of an archive.
#![no_main]
#![allow(dead_code)]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

#[path = "../../../worker/src/model/pth/mod.rs"]
mod pth;
#[path = "../../../worker/src/model/safe.rs"]
mod safe;
#[path = "../../../worker/src/model/state.rs"]
mod state;

/// The one error that the readers and the state share.
#[derive(Debug)]
enum ModelError {
    Weights(String),
}

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Weights(what) = self;
        f.write_str(what)
    }
}

/// Puts a pickle into an archive beside one storage: a mutated archive's checksums would rarely let it through.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("w/data.pkl", pickle), ("w/data/0", &[0x3f; 64])] {
        zip.start_file(name, stored).and_then(|()| Ok(zip.write_all(bytes)?)).expect("memory can be written");
    }
    zip.finish().expect("memory can be written").into_inner()
}

fuzz_target!(|bytes: &[u8]| {
    let state = match bytes {
        [0x80, ..] if !pth::is_pth(bytes) => pth::read(&archive(bytes)).ok(),
        _ if pth::is_pth(bytes) => pth::read(bytes).ok(),
        _ => safe::read(bytes).ok(),
    };
    let Some(state) = state else { return };
    for (name, tensor) in &state.0 {
        assert_eq!(tensor.shape.iter().product::<i64>(), tensor.values.len() as i64, "{name}");
    }
    let _ = state.into_backbone();
});

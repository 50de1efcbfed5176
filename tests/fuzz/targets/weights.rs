//! Weights files, `.pth` and `.safetensors`: an error, or a backbone whose values fill their shapes. A bare
//! pickle, which begins with its protocol byte, is wrapped in an archive.
#![no_main]
#![allow(dead_code)]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

mod model;

/// Wraps a pickle in an archive with one storage; a mutated archive would rarely pass its checksums.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("w/data.pkl", pickle), ("w/data/0", &[0x3f; 64])] {
        zip.start_file(name, stored).and_then(|()| Ok(zip.write_all(bytes)?)).expect("memory is writable");
    }
    zip.finish().expect("memory is writable").into_inner()
}

fuzz_target!(|bytes: &[u8]| match bytes {
    [0x80, ..] if !model::is_pth(bytes) => model::read(&archive(bytes)),
    _ => model::read(bytes),
});

//! Weights files, `.pth` and `.safetensors`: an error or tensors whose values fill their shapes. A
//! pickle alone, which begins with its protocol, is read as that of an archive.
#![no_main]
#![allow(dead_code)]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

mod model;

/// Puts a pickle into an archive beside one storage: a mutated archive's checksums would rarely let it through.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("w/data.pkl", pickle), ("w/data/0", &[0x3f; 64])] {
        zip.start_file(name, stored).and_then(|()| Ok(zip.write_all(bytes)?)).expect("memory can be written");
    }
    zip.finish().expect("memory can be written").into_inner()
}

fuzz_target!(|bytes: &[u8]| match bytes {
    [0x80, ..] if !model::is_pth(bytes) => model::read(&archive(bytes)),
    _ => model::read(bytes),
});

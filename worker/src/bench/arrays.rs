//! Writes features and pixels as `.npy` files, for comparison with other implementations.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use ::images::preprocess::SIDE;
use anyhow::Context as _;
use common::embedding::DIMENSIONS;

use super::{images::BenchImages, options::BenchOptions};
use crate::model::{self, ModelConfig};

/// Length of a header; the largest shape fits.
const HEADER_BYTES: usize = 128;

/// Writes the requested arrays, sorted by the names of the images.
pub(super) fn write(
    config: &ModelConfig,
    options: &BenchOptions,
    images: &BenchImages,
) -> anyhow::Result<()> {
    let pixels = images.pixels(usize::MAX)?;
    if let Some(path) = &options.pixels {
        let bytes = pixels.iter().flat_map(|image| &image.0).copied().collect::<Vec<u8>>();
        write_array(path, "|u1", &[pixels.len(), SIDE, SIDE, 3], &bytes)?;
    }
    if let Some(path) = &options.embeddings {
        let mut backbone = model::load(config)?;
        if let Some(kernels) = options.kernels.first() {
            backbone.set_kernels(*kernels);
        }
        let mut bytes = Vec::new();
        for batch in pixels.chunks(backbone.batch()) {
            bytes.extend(backbone.features(batch)?.iter().flat_map(|value| value.to_le_bytes()));
        }
        write_array(path, "<f4", &[pixels.len(), DIMENSIONS], &bytes)?;
    }
    Ok(())
}

fn write_array(path: &Path, kind: &str, shape: &[usize], bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(context)?);
    file.write_all(&header(kind, shape))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.flush())
        .with_context(context)
}

/// The header of NumPy's format, version 1.0, for an array in row-major order.
fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let dictionary = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((HEADER_BYTES - 10) as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.resize(HEADER_BYTES - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_follow_the_format() {
        let header = header("<f4", &[100_000, 512]);
        assert_eq!(header.len(), HEADER_BYTES);
        assert!(header.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', "));
        assert!(header.ends_with(b" \n"));
        assert!(String::from_utf8_lossy(&header).contains("'shape': (100000, 512, ), }"));
    }
}

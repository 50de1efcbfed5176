//! Where decoding differs from Pillow on purpose.

/// Reasons, and the files that they explain.
const KNOWN: [(&str, &[&str]); 5] = [
    (
        "broken metadata does not fail an image",
        &[
            "animated-control-short.png",
            "animated-first-frame-outside.png",
            "animated-first-frame-smaller.png",
            "animated-sequence-wrong.png",
            "animated-short.png",
            "app0-short.jpg",
            "chunk-cHRM.png",
            "chunk-gAMA.png",
            "chunk-iCCP-method-1.png",
            "chunk-pHYs.png",
            "chunk-sRGB.png",
            "chunk-text-checksum-wrong.png",
            "chunk-zTXt-bomb.png",
            "chunk-zTXt-method-1.png",
            "colour-profile-no-number.jpg",
            "control-empty.gif",
            "tem-marker.jpg",
            "transparency-short.png",
        ],
    ),
    (
        "colours that no pixel can name are ignored",
        &["damaged-3.bmp", "palette-257.bmp", "palette-300.bmp", "palette-over-256.png"],
    ),
    (
        "Pillow takes a palette that begins with greys for the numbers of all greys, or for bits, and a grey local \
         table of a GIF for its global one",
        &["4-bit-grey.bmp", "grey-palette-1.bmp", "grey-palette-100.bmp", "grey-table-local.gif"],
    ),
    (
        "a JPEG without an end marker is cut off, even if other bytes follow its pixels, which Pillow then takes \
         for pixels",
        &["cut-in-comment.jpg", "cut-with-zeros.jpg", "marker-e0-in-scan.jpg"],
    ),
    (
        "libwebp notices damaged pixels that the decoder used here does not",
        &["alpha-damaged-5.webp", "lossy-damaged-9.webp"],
    ),
];

pub(super) fn known_reason(file: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(_, files)| files.contains(&file)).map(|(reason, _)| *reason)
}

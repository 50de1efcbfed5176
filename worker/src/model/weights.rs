//! Sources of the backbone's weights: the values of `SUBWATCH_MODEL_WEIGHTS`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use common::digest::Digest;
use url::Url;

use super::{
    error::ModelError,
    fetch, random,
    state_dict::StateDict,
    weights_file::{self, ADVICE},
};

/// torchvision's IMAGENET1K_V1 weights. The name has only 8 digits of the hash, for which another file
/// can be found in minutes.
const TORCHVISION: &str = "https://download.pytorch.org/models/resnet34-b627a593.pth\
                           #sha256=b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f";

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WeightsSource {
    /// A `.pth` or `.safetensors` file.
    File(PathBuf),
    /// A file that is downloaded once and cached.
    Url {
        /// https.
        url: Url,
        sha256: Digest,
    },
    /// He initialisation from this seed, calibrated.
    Random(u64),
}

impl Default for WeightsSource {
    fn default() -> Self {
        TORCHVISION.parse().expect("the literal is a valid source")
    }
}

impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url { url, .. } => url.fmt(f),
            Self::Random(seed) => write!(f, "random:{seed}"),
        }
    }
}

impl FromStr for WeightsSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(seed) = text.strip_prefix("random:") {
            return seed
                .parse()
                .map(Self::Random)
                .map_err(|_| "random:SEED with an integer seed, such as random:0".to_owned());
        }
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" => parse_url(url),
            Ok(url) if url.has_host() => Err(format!("an https URL, not {}", url.scheme())),
            _ if text.is_empty() => Err("a path, an https URL or random:SEED".to_owned()),
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

/// Takes the hash from the fragment `#sha256=…`, or from the end of the file's name.
fn parse_url(mut url: Url) -> Result<WeightsSource, String> {
    let in_fragment =
        url.fragment().and_then(|fragment| fragment.strip_prefix("sha256=")).map(str::to_lowercase);
    let file = url.path().rsplit('/').next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let in_name = stem.rsplit_once('-').map(|(_, hash)| hash.to_lowercase());
    let sha256 = in_fragment.or(in_name).and_then(|hash| hash.parse().ok()).ok_or_else(|| {
        "an https URL with the SHA-256 of the file, all 64 digits: append #sha256=…, or end the file's name with \
         -….pth"
            .to_owned()
    })?;
    url.set_fragment(None);
    Ok(WeightsSource::Url { url, sha256 })
}

impl WeightsSource {
    /// Loads the backbone's weights, downloading or generating them if necessary. Blocks.
    ///
    /// # Errors
    /// If they cannot be loaded or are not those of ResNet34. The error says what to do.
    pub fn load(&self, cache: &Path) -> Result<StateDict, ModelError> {
        match self {
            Self::Random(seed) => random::load(*seed, cache),
            Self::File(path) => weights_file::load(path),
            Self::Url { url, sha256 } => {
                let path = fetch::fetch(url, *sha256, cache)
                    .map_err(|error| ModelError::Weights(format!("{error}; {ADVICE}")))?;
                weights_file::load(&path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_parsed_or_rejected_with_a_hint() {
        let check = |text: &str, want: Result<&str, &str>| {
            let got = text.parse::<WeightsSource>().map(|source| format!("{source:?}"));
            match (got, want) {
                (Ok(got), Ok(want)) | (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
                (got, want) => panic!("{text}: {got:?}, want {want:?}"),
            }
        };
        check("random:7", Ok("Random(7)"));
        check("random:x", Err("random:0"));
        check("/models/resnet34.pth", Ok("File"));
        check("resnet34.safetensors", Ok("File"));
        let WeightsSource::Url { url, sha256 } = WeightsSource::default() else { panic!("not a URL") };
        assert_eq!(url.as_str(), "https://download.pytorch.org/models/resnet34-b627a593.pth");
        assert!(sha256.to_string().starts_with("b627a593bcbe"), "{sha256}");
        let hash = "0123456789ABCDEF".repeat(4);
        check(&format!("https://host/w.pth#sha256={hash}"), Ok("Url"));
        check(&format!("https://host/w-{hash}.pth"), Ok("Url"));
        for short in
            ["https://host/w.pth", "https://host/w-b627a593.pth", "https://host/w.pth#sha256=ABCDEF0123"]
        {
            check(short, Err("all 64 digits"));
        }
        check("http://host/w-12345678.pth", Err("an https URL, not http"));
        check("", Err("a path"));
    }
}

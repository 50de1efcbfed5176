//! The names of the Redis keys.
//!
//! All keys of one submission share the hash tag `{<submission id>}`, so that one script can change them. The
//! embeddings of a space are spread over 4,096 hashes (buckets) by the first three hexadecimal digits of the image's
//! digest.

use crate::{digest::Digest, embedding::Space, ids::SubmissionId};

/// Buckets per space.
pub const BUCKETS: usize = 4096;

#[must_use]
pub fn bucket_of(digest: &Digest) -> usize {
    usize::from(digest.0[0]) << 4 | usize::from(digest.0[1] >> 4)
}

#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn submission(&self, id: SubmissionId) -> String {
        format!("{}submission:{{{id}}}", self.prefix)
    }

    /// A further key of a submission, such as `results`.
    pub(super) fn of_submission(&self, id: SubmissionId, part: &str) -> String {
        format!("{}submission:{{{id}}}:{part}", self.prefix)
    }

    /// The progress of a crawl job.
    pub(super) fn crawled(&self, id: SubmissionId, job: &str) -> String {
        self.of_submission(id, &format!("crawled:{job}"))
    }

    pub(super) fn submissions(&self) -> String {
        format!("{}submissions", self.prefix)
    }

    pub(super) fn runs(&self) -> String {
        format!("{}runs", self.prefix)
    }

    pub(super) fn active(&self) -> String {
        format!("{}active", self.prefix)
    }

    pub(super) fn embeddings(&self, space: &Space, digest: &Digest) -> String {
        self.bucket(space, bucket_of(digest))
    }

    pub(super) fn bucket(&self, space: &Space, bucket: usize) -> String {
        format!("{}emb:{space}:{{{bucket:03x}}}", self.prefix)
    }

    pub(super) fn catalogue(&self, digest: &Digest) -> String {
        format!("{}image:{{{}}}", self.prefix, digest.prefix(3))
    }

    pub(super) fn catalogue_bucket(&self, bucket: usize) -> String {
        format!("{}image:{{{bucket:03x}}}", self.prefix)
    }

    pub(super) fn videos(&self, video: &str) -> String {
        format!("{}video:{{{}}}", self.prefix, Digest::of(video.as_bytes()).prefix(3))
    }

    pub(super) fn last_space(&self) -> String {
        format!("{}last_space", self.prefix)
    }

    pub(super) fn spaces(&self) -> String {
        format!("{}spaces", self.prefix)
    }

    pub(super) fn image(&self, digest: &Digest) -> String {
        format!("{}img:{digest}", self.prefix)
    }

    pub(super) fn uploads(&self) -> String {
        format!("{}{{uploads}}", self.prefix)
    }

    pub(super) fn upload_sizes(&self) -> String {
        format!("{}{{uploads}}:sizes", self.prefix)
    }

    pub(super) fn workers(&self) -> String {
        format!("{}workers", self.prefix)
    }

    pub(super) fn dead_letters(&self) -> String {
        format!("{}{{dead}}", self.prefix)
    }

    pub(super) fn dead_letter_order(&self) -> String {
        format!("{}{{dead}}:order", self.prefix)
    }

    pub(super) fn policies(&self) -> String {
        format!("{}policies", self.prefix)
    }

    pub(super) fn lease(&self) -> String {
        format!("{}{{lease}}", self.prefix)
    }

    pub(super) fn lease_token(&self) -> String {
        format!("{}{{lease}}:token", self.prefix)
    }

    pub(super) fn idempotency(&self, key: &Digest) -> String {
        format!("{}idempotency:{key}", self.prefix)
    }

    pub(super) fn hosts(&self) -> String {
        format!("{}hosts", self.prefix)
    }

    pub(super) fn quotas(&self) -> String {
        format!("{}quotas", self.prefix)
    }

    pub(super) fn robots(&self, origin: &str) -> String {
        format!("{}robots:{origin}", self.prefix)
    }

    pub(super) fn robots_claim(&self, origin: &str) -> String {
        format!("{}robots-claim:{origin}", self.prefix)
    }

    pub(super) fn notifications(&self) -> String {
        format!("{}notifications", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_the_first_three_digits() {
        for text in ["a", "b", "c"] {
            let digest = Digest::of(text.as_bytes());
            assert_eq!(bucket_of(&digest), usize::from_str_radix(&digest.prefix(3), 16).unwrap());
        }
    }
}

//! Pagination of lists.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// A page of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Send it as `cursor` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Query of a list whose pages have a fixed size.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageParams {
    /// `next` of the previous page; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl PageParams {
    /// Makes the query of the page at `cursor`.
    #[must_use]
    pub fn at(cursor: Option<&str>) -> Self {
        Self { cursor: cursor.map(str::to_owned) }
    }
}

/// Query of a list.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// `next` of the previous page; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Maximum number of entries, from 1 to 100. Default: 20.
    #[serde(default, deserialize_with = "Paging::read_limit", skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Paging {
    pub const MAX_LIMIT: usize = 100;
    const DEFAULT_LIMIT: usize = 20;

    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Returns the effective limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT)
    }

    pub(super) fn read_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
        read_limit(deserializer, Self::MAX_LIMIT)
    }
}

/// Reads a limit from 1 to `max`.
pub(super) fn read_limit<'de, D: Deserializer<'de>>(
    deserializer: D,
    max: usize,
) -> Result<Option<usize>, D::Error> {
    let limit = usize::deserialize(deserializer)?;
    match (1..=max).contains(&limit) {
        true => Ok(Some(limit)),
        false => Err(D::Error::custom(format!("limit is {limit}: it must be between 1 and {max}"))),
    }
}

//! Lists that are answered page by page.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Query of a list: which page of it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Paging {
    /// The `next` of the page before; absent for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries of the page: from 1 to 100. Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Paging {
    /// Most entries of a page.
    pub const MOST: usize = 100;
    const DEFAULT: usize = 20;

    /// Returns the query of the page at `cursor`, with as many entries as the server likes.
    #[must_use]
    pub fn at(cursor: Option<&str>) -> Self {
        Self { cursor: cursor.map(str::to_owned), limit: None }
    }

    /// Returns the cursor, if there is one.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Returns how many entries the page has at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::DEFAULT).clamp(1, Self::MOST)
    }
}

//! Lists that the API returns in pages.

use crate::{api::Page, cli::exit::CliError};

/// The pages of a list, requested one after another.
pub(in crate::cli) struct Pages<Fetch> {
    fetch: Fetch,
    cursor: Option<String>,
    ended: bool,
}

impl<Item, Fetch: AsyncFnMut(Option<String>) -> Result<Page<Item>, CliError>> Pages<Fetch> {
    /// `fetch` requests the page after a cursor.
    pub(in crate::cli) fn new(fetch: Fetch) -> Self {
        Self { fetch, cursor: None, ended: false }
    }

    /// Returns the items of the next page; `None` after the last one.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Vec<Item>>, CliError> {
        if self.ended {
            return Ok(None);
        }
        let page = (self.fetch)(self.cursor.take()).await?;
        self.ended = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.items))
    }

    pub(in crate::cli) async fn all(mut self) -> Result<Vec<Item>, CliError> {
        let mut all = Vec::new();
        while let Some(items) = self.next().await? {
            all.extend(items);
        }
        Ok(all)
    }
}

//! Bounds the pages of a listing, so that a site whose pages do not end spends neither quota nor time without limit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Pages in a row that bring nothing new. A few may, since uploads published in the meantime move others to the next
/// page.
const MAX_STALE_PAGES: u32 = 3;
/// Pages of a listing, also if each brings something new.
const MAX_PAGES: u32 = 200;

/// The pages of a listing so far.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Paging {
    used_tokens: BTreeSet<String>,
    pages: u32,
    /// Pages in a row that have brought nothing new.
    stale_pages: u32,
    /// Pages that are read again after a restart and need not bring anything new.
    repeated_pages: u32,
    restarted: bool,
}

impl Paging {
    /// Decides whether the page of `token` may be requested; `None` is the first page. An error says why not.
    pub(super) fn admit(&self, token: Option<&str>) -> Result<(), &'static str> {
        if token.is_some_and(|token| self.used_tokens.contains(token)) {
            Err("the site's pages repeat")
        } else if self.stale_pages >= MAX_STALE_PAGES + self.repeated_pages {
            Err("the site's pages bring nothing new")
        } else if self.pages >= MAX_PAGES {
            Err("the list does not end")
        } else {
            Ok(())
        }
    }

    /// Counts a page that has been read.
    pub(super) fn count(&mut self, token: Option<&str>, has_news: bool) {
        self.used_tokens.extend(token.map(str::to_owned));
        self.pages += 1;
        if has_news {
            (self.stale_pages, self.repeated_pages) = (0, 0);
        } else {
            self.stale_pages += 1;
        }
    }

    /// Begins again with the first page after the site has refused a token. Returns whether this is allowed, which it
    /// is once: another refusal ends the listing with what it has.
    pub(super) fn restart(&mut self) -> bool {
        if self.restarted {
            return false;
        }
        let repeated_pages = self.pages;
        *self = Self { restarted: true, pages: self.pages, repeated_pages, ..Self::default() };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_token_ends_a_listing() {
        let mut paging = Paging::default();
        assert_eq!(paging.admit(None), Ok(()));
        paging.count(None, true);
        paging.count(Some("a"), true);
        assert_eq!(paging.admit(Some("b")), Ok(()));
        assert_eq!(paging.admit(Some("a")), Err("the site's pages repeat"));
    }

    #[test]
    fn pages_without_news_end_a_listing() {
        let mut paging = Paging::default();
        for (token, has_news) in [("a", true), ("b", false), ("c", false), ("d", true), ("e", false)] {
            paging.count(Some(token), has_news);
            assert_eq!(paging.admit(Some("z")), Ok(()), "{token}");
        }
        paging.count(Some("f"), false);
        paging.count(Some("g"), false);
        assert_eq!(paging.admit(Some("z")), Err("the site's pages bring nothing new"));
    }

    #[test]
    fn number_of_pages_is_limited() {
        let mut paging = Paging::default();
        for page in 0..MAX_PAGES {
            assert_eq!(paging.admit(Some(&page.to_string())), Ok(()));
            paging.count(Some(&page.to_string()), true);
        }
        assert_eq!(paging.admit(Some("z")), Err("the list does not end"));
    }

    #[test]
    fn restarted_listing_may_read_its_pages_again_once() {
        let mut paging = Paging::default();
        for token in ["a", "b", "c", "d", "e"] {
            paging.count(Some(token), true);
        }
        assert!(paging.restart());
        for token in ["a", "b", "c", "d", "e", "f", "g"] {
            assert_eq!(paging.admit(Some(token)), Ok(()), "{token}");
            paging.count(Some(token), false);
        }
        paging.count(Some("h"), false);
        assert_eq!(paging.admit(Some("i")), Err("the site's pages bring nothing new"));
        assert!(!paging.restart());
    }
}

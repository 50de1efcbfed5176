//! Reads the channels of a category from a web page that ranks them. Scripts build such pages, so it uses a browser.
//!
//! [`Rankings`] are read one after the other: `browser` opens a browser through `session` (the WebDriver protocol)
//! and, unless one is running, `driver`; `page` decides when a page is complete and extracts the channels. Requests
//! obey the host's `robots.txt` and the rate limit for pages (`http::command_client`).
//!
//! Only the command line has this feature: rankings are a few pages before a crawl, and workers need no browser.

mod browser;
mod driver;
mod error;
mod page;
mod rankings;
mod session;
mod url_template;

pub use self::{
    error::RankingError,
    rankings::{RankedChannel, Rankings, TOP},
    url_template::UrlTemplate,
};

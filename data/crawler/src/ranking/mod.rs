//! The channels of a category, as a page ranks them: read with a browser, since scripts build such pages.
//!
//! [`Rankings`] are read one after the other: `browser` opens a browser over `session` (the WebDriver protocol), which
//! `driver` starts unless one runs already, and `page` decides when a page is complete and which channels its rows
//! name. Each request is made as the host's `robots.txt` allows, and no faster than any other page
//! (see `http::visit`).
//!
//! Does not own what is crawled of the channels. Only the command line is built with it: rankings are a few pages before a
//! crawl, and no worker needs a browser for them.

mod browser;
mod driver;
mod error;
mod page;
mod rankings;
mod session;
mod url_template;

pub use self::{
    error::RankingError,
    rankings::{Ranked, Rankings, TOP, csv_of},
    url_template::Address,
};

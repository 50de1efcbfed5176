//! Access tokens of the API: their format and the file that lists them.
//!
//! `http::auth` reads the token of a request and checks its scope.

mod file;
mod token;

#[cfg(fuzzing)]
pub use self::token::check_token_file;
pub(crate) use self::{
    file::TokenFile,
    token::{NewToken, TokenList},
};

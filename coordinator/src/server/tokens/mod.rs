//! Access tokens: who may use the API.
//!
//! Owns the form of a token and the file that lists them. Does not own how a request carries one or what it needs
//! (see `http::auth`).

mod file;
mod token;

pub(crate) use self::{
    file::TokenFile,
    token::{NewToken, TokenList},
};

//! Token files: every line grants a token, is a comment, or is a problem that does not quote it.
#![no_main]

use coordinator::server::tokens::check_token_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check_token_file(&String::from_utf8_lossy(bytes)));

//! The token file, which is reloaded when it changes.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use common::config::ConfigError;

use super::token::TokenList;

#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    stamp: Option<Stamp>,
    list: Arc<TokenList>,
}

/// Metadata that changes when a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    /// Time of the last change to the content or the metadata: seconds and nanoseconds.
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// If the file cannot be read or has no valid token.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let stamp = stamp(path);
        let invalid = |reason: &str| {
            ConfigError::invalid("tokens_file", &path.display(), &format!("a token file ({reason})"))
        };
        let list = read(path).map_err(|error| invalid(&error.to_string()))?;
        if list.len() == 0 {
            let reason =
                list.problems.first().map_or("it has no tokens; `subwatch token new` makes one", |p| p);
            return Err(invalid(reason));
        }
        log(path, &list);
        Ok(Self { path: path.to_owned(), current: RwLock::new(Current { stamp, list: Arc::new(list) }) })
    }

    /// Returns the current tokens: those of the file as it is now, even if it has none or is gone. A token that was
    /// removed must not work any longer, whatever else is wrong with the file. Only while the file exists and cannot be
    /// read do the previous tokens stay in force.
    pub(crate) fn list(&self) -> Arc<TokenList> {
        // Reading the metadata takes about a microsecond, so each request does it.
        let seen = stamp(&self.path);
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.stamp == seen {
                return current.list.clone();
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.stamp != seen {
            match read(&self.path) {
                Ok(list) => {
                    log(&self.path, &list);
                    *current = Current { stamp: seen, list: Arc::new(list) };
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    tracing::error!(path = %self.path.display(), "the token file is gone: no token is valid");
                    *current = Current { stamp: seen, list: Arc::default() };
                }
                Err(error) => {
                    let path = self.path.display();
                    tracing::error!(%path, %error, "cannot read the token file; the previous tokens stay in force");
                }
            }
        }
        current.list.clone()
    }
}

fn log(path: &Path, list: &TokenList) {
    let path = path.display();
    for problem in &list.problems {
        tracing::error!(%path, problem, "a line of the token file is invalid and grants nothing");
    }
    match list.len() {
        0 => tracing::error!(%path, "the token file has no valid token: every request is refused"),
        tokens => tracing::info!(%path, tokens, "requests require an access token"),
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Some(Stamp { changed, bytes: metadata.len(), inode: metadata.ino() })
}

fn read(path: &Path) -> io::Result<TokenList> {
    // A line that is not UTF-8 is invalid like any other.
    Ok(TokenList::parse(&String::from_utf8_lossy(&fs::read(path)?)))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{
        api::Scope,
        server::tokens::token::{NewToken, Token},
    };

    fn made(name: &str, scope: Scope) -> (String, Token) {
        let NewToken { secret, token } = NewToken::random(name, scope).unwrap();
        (secret.expose_secret().to_owned(), token)
    }

    #[test]
    fn a_removed_token_is_refused_whatever_else_is_wrong_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let ((ops, ops_token), (ci, ci_token)) = (made("ops", Scope::Admin), made("ci", Scope::Read));
        fs::write(&path, ops_token.to_string()).unwrap();
        let file = TokenFile::open(&path).unwrap();
        let are_valid = || (file.list().find(&ops).is_some(), file.list().find(&ci).is_some());
        assert_eq!(are_valid(), (true, false));
        fs::write(&path, format!("{ci_token}\n")).unwrap();
        assert_eq!(are_valid(), (false, true));
        for text in [format!("{ci_token}\nops admin"), format!("\u{fffd}\n{ci_token}\n")] {
            fs::write(&path, &text).unwrap();
            assert_eq!(are_valid(), (false, true), "{text}");
        }
        fs::write(&path, b"\xff\xfe admin\n").unwrap();
        assert_eq!(are_valid(), (false, false));
        for text in ["", "# none\n", "ops admin\n"] {
            fs::write(&path, ops_token.to_string()).unwrap();
            assert_eq!(are_valid(), (true, false));
            fs::write(&path, text).unwrap();
            assert_eq!(are_valid(), (false, false), "{text}");
        }
        fs::write(&path, ops_token.to_string()).unwrap();
        assert_eq!(are_valid(), (true, false));
        fs::remove_file(&path).unwrap();
        assert_eq!(are_valid(), (false, false));
        fs::write(&path, ops_token.to_string()).unwrap();
        assert_eq!(are_valid(), (true, false));
    }

    #[test]
    fn a_file_without_a_valid_token_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (text, want) in
            [(None, "No such file"), (Some(""), "it has no tokens"), (Some("x"), "line 1: expected")]
        {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let error = TokenFile::open(&path).unwrap_err().to_string();
            assert!(error.starts_with("SUBWATCH_TOKENS_FILE is") && error.contains(want), "{error}");
        }
    }
}

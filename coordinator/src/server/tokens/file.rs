//! The file of tokens, read again when it changes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use common::config::ConfigError;

use super::token::TokenList;

/// The file of tokens, read again when it changes.
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

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none of a token; the setting is named.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let stamp = stamp(path);
        let list = read(path).map_err(|what| {
            ConfigError::invalid("tokens_file", &path.display(), &format!("a file of tokens ({what})"))
        })?;
        tracing::info!(path = %path.display(), tokens = list.len(), "access tokens are asked for");
        Ok(Self { path: path.to_owned(), current: RwLock::new(Current { stamp, list: Arc::new(list) }) })
    }

    /// Returns the tokens that count now. A file that became unusable changes nothing, and is complained of:
    /// a slip of the editor must not lock everybody out.
    pub(crate) fn list(&self) -> Arc<TokenList> {
        // One look at the file's metadata a request costs about a microsecond.
        let seen = stamp(&self.path);
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.stamp == seen {
                return current.list.clone();
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.stamp != seen {
            current.stamp = seen;
            match read(&self.path) {
                Ok(list) => {
                    tracing::info!(path = %self.path.display(), tokens = list.len(), "access tokens are read again");
                    current.list = Arc::new(list);
                }
                Err(error) => {
                    tracing::error!(path = %self.path.display(), %error, "the changed file of tokens cannot be used: those of before still count");
                }
            }
        }
        current.list.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok()?, bytes: metadata.len(), inode: metadata.ino() })
}

fn read(path: &Path) -> Result<TokenList, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())?.parse()
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
    fn a_changed_file_counts_and_an_unusable_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let ((ops, ops_token), (ci, ci_token)) = (made("ops", Scope::Admin), made("ci", Scope::Read));
        fs::write(&path, ops_token.to_string()).unwrap();
        let file = TokenFile::open(&path).unwrap();
        assert!(file.list().find(&ops).is_some() && file.list().find(&ci).is_none());
        fs::write(&path, format!("{ci_token}\n")).unwrap();
        assert!(file.list().find(&ops).is_none() && file.list().find(&ci).is_some());
        fs::write(&path, "ci read").unwrap();
        assert!(file.list().find(&ci).is_some());
        fs::remove_file(&path).unwrap();
        assert!(file.list().find(&ci).is_some());
        let error = TokenFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("SUBWATCH_TOKENS_FILE is"), "{error}");
    }
}

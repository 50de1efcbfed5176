//! The token file, which is reloaded when it changes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
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
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// If the file cannot be read or has an invalid line.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let stamp = stamp(path);
        let list = read(path).map_err(|error| {
            ConfigError::invalid("tokens_file", &path.display(), &format!("a token file ({error})"))
        })?;
        tracing::info!(path = %path.display(), tokens = list.len(), "requests require an access token");
        Ok(Self { path: path.to_owned(), current: RwLock::new(Current { stamp, list: Arc::new(list) }) })
    }

    /// Returns the current tokens. If the file has become invalid, the last valid ones stay in force and the error is
    /// logged: a typing error must not lock all clients out.
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
            current.stamp = seen;
            match read(&self.path) {
                Ok(list) => {
                    tracing::info!(path = %self.path.display(), tokens = list.len(), "token file reloaded");
                    current.list = Arc::new(list);
                }
                Err(error) => {
                    tracing::error!(
                        path = %self.path.display(),
                        %error,
                        "the changed token file is invalid; the previous tokens stay in force"
                    );
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
    fn a_changed_file_is_reloaded_unless_it_is_invalid() {
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

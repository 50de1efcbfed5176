//! Access tokens: who may do what.
//!
//! Owns the form of a token, the file that lists them and the comparison. Does not own how a request carries
//! one or what it asks for (see `http::auth`).
//! Invariants: a token is 256 random bits, and what has not that form is no token, so nobody can weaken the
//! file by a word of his own; only its SHA-256 is stored; how long a look-up takes does not depend on what
//! was presented.
//!
//! SHA-256 is enough: a slow hash makes guessing dear where people choose secrets, and among 2^256 random
//! ones there is nothing to guess. It would only make every request slow.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use clap::ValueEnum;
use common::config::ConfigError;
use rand::{TryRng, rngs::SysRng};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "subwatch_";
/// Random bytes in a token.
const SECRET_BYTES: usize = 32;
/// Longest name of a token.
const LONGEST_NAME: usize = 64;

/// What the holder of a token may do; each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Submit work, upload images and cancel.
    Submit,
    /// Destroy what cannot be had back.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        })
    }
}

/// A token that was just made; its secret is nowhere else.
#[derive(Debug)]
pub(crate) struct NewToken {
    /// What its holder presents.
    pub(crate) secret: SecretString,
    /// What the file of tokens holds of it.
    pub(crate) token: Token,
}

impl NewToken {
    /// Makes a token.
    ///
    /// # Errors
    /// When the name is none, or the system has no random numbers.
    pub(crate) fn random(name: &str, scope: Scope) -> Result<Self, String> {
        check_name(name)?;
        let mut random = [0; SECRET_BYTES];
        SysRng.try_fill_bytes(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
        let secret = format!("{PREFIX}{}", hex::encode(random));
        let token = Token { name: name.to_owned(), scope, sha256: Sha256::digest(&secret).into() };
        Ok(Self { secret: secret.into(), token })
    }
}

/// A token, as the file knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    sha256: [u8; 32],
}

/// The line of the file.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.scope, hex::encode(self.sha256))
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, scope, sha256] = words[..] else {
            return Err(format!("it has {} words: it must be NAME SCOPE SHA256", words.len()));
        };
        // What is wrong is not repeated: it may be the secret itself, written where its hash belongs.
        check_name(name).map_err(|want| format!("its first word is no name: {want}"))?;
        let scope = Scope::from_str(scope, false)
            .map_err(|_| "its second word is no scope: read, submit or admin")?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(sha256, &mut bytes)
            .map_err(|_| "its third word is no SHA-256: 64 hexadecimal digits")?;
        Ok(Self { name: name.to_owned(), scope, sha256: bytes })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("a token's name is 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-'"))
}

/// The tokens of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TokenList(Vec<Token>);

impl FromStr for TokenList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut tokens: Vec<(usize, Token)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let token: Token = line.parse().map_err(|what| format!("line {number}: {what}"))?;
            let same =
                |(_, other): &&(usize, Token)| other.name == token.name || other.sha256 == token.sha256;
            if let Some((first, _)) = tokens.iter().find(same) {
                return Err(format!("lines {first} and {number} have the same name or hash"));
            }
            tokens.push((number, token));
        }
        if tokens.is_empty() {
            return Err("it lists no token; `subwatch token new` makes one".to_owned());
        }
        Ok(Self(tokens.into_iter().map(|(_, token)| token).collect()))
    }
}

impl TokenList {
    /// Finds the token that `presented` is.
    pub(crate) fn find(&self, presented: &str) -> Option<&Token> {
        let digits = presented.strip_prefix(PREFIX)?;
        if digits.len() != 2 * SECRET_BYTES || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let sha256: [u8; 32] = Sha256::digest(presented).into();
        // Every line is compared, and all of it, whichever it is.
        let is_it = |token: &Token| bool::from(token.sha256.ct_eq(&sha256));
        self.0.iter().fold(None, |found, token| if is_it(token) { Some(token) } else { found })
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The file of tokens, read again when it changes.
#[derive(Debug)]
pub struct TokenFile {
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
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
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

    fn made(name: &str, scope: Scope) -> (String, Token) {
        let NewToken { secret, token } = NewToken::random(name, scope).unwrap();
        (secret.expose_secret().to_owned(), token)
    }

    #[test]
    fn what_was_made_is_found_and_nothing_else_is() {
        let ((ops, ops_token), (ci, ci_token)) = (made("ops", Scope::Admin), made("ci", Scope::Read));
        let text = format!("# people\n{ops_token}\n\n  {ci_token}  # the build\n");
        let list: TokenList = text.parse().unwrap();
        assert!(!text.contains(&ops[PREFIX.len()..]));
        assert_eq!(list.find(&ops), Some(&ops_token));
        assert_eq!(list.find(&ci), Some(&ci_token));
        let other = made("ops", Scope::Admin).0;
        assert_ne!(other, ops);
        let hash = hex::encode(ops_token.sha256);
        for wrong in [&other, "", "ops", &ops[1..], &ops[..ops.len() - 1], &format!("{ops} "), &hash] {
            assert_eq!(list.find(wrong), None, "{wrong}");
        }
        let upper = format!("{PREFIX}{}", ops[PREFIX.len()..].to_uppercase());
        assert_eq!(list.find(&upper), None);
    }

    #[test]
    fn a_word_that_somebody_chose_is_no_token_even_where_its_hash_is_listed() {
        let list: TokenList = format!("me admin {}", hex::encode(Sha256::digest("hunter2"))).parse().unwrap();
        assert_eq!(list.find("hunter2"), None);
    }

    #[test]
    fn scopes_include_those_before_them() {
        assert!(Scope::Read < Scope::Submit && Scope::Submit < Scope::Admin);
    }

    #[test]
    fn bad_lines_are_named_and_not_repeated() {
        let hash = "a".repeat(64);
        let check = |text: &str, want: &str| {
            let error = text.parse::<TokenList>().unwrap_err();
            assert!(error.contains(want) && !error.contains("hunter2"), "{error}");
        };
        check("", "it lists no token");
        check("# none\n\n", "it lists no token");
        check(&format!("ops admin {hash}\nci read"), "line 2: it has 2 words");
        check(&format!("ops root {hash}"), "line 1: its second word is no scope");
        check(&format!("hunter2! admin {hash}"), "line 1: its first word");
        check(&format!("ops hunter2 {hash}"), "line 1: its second word");
        check("ops admin hunter2", "line 1: its third word is no SHA-256");
        check(&format!("ops admin {hash}a"), "line 1: its third word is no SHA-256");
        check(&format!("o/ps admin {hash}"), "line 1: its first word is no name: a token's name is");
        check(&format!("{} admin {hash}", "x".repeat(65)), "is no name");
        check(&format!("ops admin {hash}\n\nops read {}", "b".repeat(64)), "lines 1 and 3 have the same");
        check(&format!("ops admin {hash}\nci read {}", "A".repeat(64)), "lines 1 and 2 have the same");
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

//! The form of a token, the list of them and the comparison.
//!
//! Invariants: a token is 256 random bits, and what has not that form is no token, so a word that a person
//! chose cannot weaken the file; only its SHA-256 is stored; how long a look-up takes does not depend on what
//! was presented.
//!
//! SHA-256 is enough: a slow hash makes guessing dear where people choose secrets, and among 2^256 random
//! ones there is nothing to guess. It would only make every request slow.

use std::{fmt, str::FromStr};

use rand::{TryRng, rngs::SysRng};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::Scope;

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "subwatch_";
/// Random bytes in a token.
const SECRET_BYTES: usize = 32;
/// Longest name of a token.
const LONGEST_NAME: usize = 64;

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
        let scope =
            Scope::from_str(scope).map_err(|_| "its second word is no scope: read, submit or admin")?;
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

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
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
}

//! Token format, token list and constant-time look-up.
//!
//! Invariants: a token has 256 random bits, and text in any other format is rejected, so a chosen password cannot
//! weaken the file; only the SHA-256 of a token is stored; the duration of a look-up does not depend on the presented
//! token.
//!
//! SHA-256 suffices: a slow password hash protects secrets that can be guessed, and 256 random bits cannot. It would
//! only slow down every request.

use std::{fmt, str::FromStr};

use rand::{TryRng, rngs::SysRng};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::Scope;

/// Prefix of every token, so that secret scanners can find leaked ones.
const PREFIX: &str = "subwatch_";
/// Random bytes in a token.
const SECRET_BYTES: usize = 32;
const MAX_NAME_LENGTH: usize = 64;

/// A new token, with the only copy of its secret.
#[derive(Debug)]
pub(crate) struct NewToken {
    /// The token that the client sends.
    pub(crate) secret: SecretString,
    /// The entry of the token file.
    pub(crate) token: Token,
}

impl NewToken {
    /// Generates a token.
    ///
    /// # Errors
    /// If the name is invalid or the operating system's random number generator fails.
    pub(crate) fn random(name: &str, scope: Scope) -> Result<Self, String> {
        check_name(name)?;
        let mut random = [0; SECRET_BYTES];
        SysRng.try_fill_bytes(&mut random).map_err(|error| format!("cannot read random numbers: {error}"))?;
        let secret = format!("{PREFIX}{}", hex::encode(random));
        let token = Token { name: name.to_owned(), scope, sha256: Sha256::digest(&secret).into() };
        Ok(Self { secret: secret.into(), token })
    }
}

/// An entry of the token file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    sha256: [u8; 32],
}

/// Formats the line of the token file.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.scope, hex::encode(self.sha256))
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, scope, sha256] = fields[..] else {
            return Err(format!("expected 3 fields, NAME SCOPE SHA256, found {}", fields.len()));
        };
        // Errors do not quote the value: it may be the secret, in the place of its hash.
        check_name(name).map_err(|rule| format!("invalid NAME (field 1): {rule}"))?;
        let scope =
            Scope::from_str(scope).map_err(|_| "invalid SCOPE (field 2): use read, submit or admin")?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(sha256, &mut bytes)
            .map_err(|_| "invalid SHA256 (field 3): use 64 hexadecimal digits")?;
        Ok(Self { name: name.to_owned(), scope, sha256: bytes })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(format!("a token's name has 1 to {MAX_NAME_LENGTH} letters, digits, '.', '_' or '-'"))
}

/// The tokens of a token file, and the problems of its invalid lines.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct TokenList {
    tokens: Vec<Token>,
    /// One per invalid line, with its number.
    pub(crate) problems: Vec<String>,
}

impl TokenList {
    /// Parses a token file. An invalid line grants nothing and leaves the others in force.
    pub(crate) fn parse(text: &str) -> Self {
        let mut tokens: Vec<(usize, Token)> = Vec::new();
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let token: Token = match line.parse() {
                Ok(token) => token,
                Err(error) => {
                    problems.push(format!("line {number}: {error}"));
                    continue;
                }
            };
            let same =
                |(_, other): &&(usize, Token)| other.name == token.name || other.sha256 == token.sha256;
            match tokens.iter().find(same) {
                Some((first, _)) => {
                    problems.push(format!("line {number}: same name or hash as line {first}"));
                }
                None => tokens.push((number, token)),
            }
        }
        Self { tokens: tokens.into_iter().map(|(_, token)| token).collect(), problems }
    }

    /// Finds the entry of a presented token.
    pub(crate) fn find(&self, presented: &str) -> Option<&Token> {
        let digits = presented.strip_prefix(PREFIX)?;
        if digits.len() != 2 * SECRET_BYTES || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let sha256: [u8; 32] = Sha256::digest(presented).into();
        // No early exit: every entry is compared in full, for constant time.
        let matches = |token: &Token| bool::from(token.sha256.ct_eq(&sha256));
        self.tokens.iter().fold(None, |found, token| if matches(token) { Some(token) } else { found })
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }
}

/// Parses a token file, and checks that its tokens, written again, are the same, and that problems quote no secret.
#[cfg(fuzzing)]
pub fn check_token_file(text: &str) {
    let list = TokenList::parse(text);
    let written: Vec<String> = list.tokens.iter().map(ToString::to_string).collect();
    let again = TokenList::parse(&written.join("\n"));
    assert_eq!((again.tokens, again.problems), (list.tokens.clone(), Vec::new()));
    assert!(list.problems.iter().all(|problem| problem.len() < 200), "{:?}", list.problems);
    for line in text.lines() {
        assert!(list.find(line).is_none_or(|token| list.tokens.contains(token)));
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
    fn only_listed_tokens_are_found() {
        let ((ops, ops_token), (ci, ci_token)) = (made("ops", Scope::Admin), made("ci", Scope::Read));
        let text = format!("# people\n{ops_token}\n\n  {ci_token}  # the build\n");
        let list = TokenList::parse(&text);
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
    fn a_password_is_rejected_even_if_its_hash_is_listed() {
        let list = TokenList::parse(&format!("me admin {}", hex::encode(Sha256::digest("hunter2"))));
        assert_eq!(list.find("hunter2"), None);
    }

    #[test]
    fn scopes_are_ordered_from_read_to_admin() {
        assert!(Scope::Read < Scope::Submit && Scope::Submit < Scope::Admin);
    }

    #[test]
    fn an_invalid_line_costs_itself_alone_and_is_named_without_being_quoted() {
        let hash = "a".repeat(64);
        let check = |text: &str, valid: usize, want: &str| {
            let list = TokenList::parse(text);
            let problems = list.problems.join("\n");
            assert_eq!((list.len(), problems.contains(want)), (valid, true), "{text}: {problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        };
        check("", 0, "");
        check("# none\n\n", 0, "");
        let two = format!("ops admin {hash}\nci read");
        check(&two, 1, "line 2: expected 3 fields, NAME SCOPE SHA256, found 2");
        check(&format!("ops root {hash}\nci read {}", "b".repeat(64)), 1, "line 1: invalid SCOPE");
        check(&format!("hunter2! admin {hash}"), 0, "line 1: invalid NAME");
        check(&format!("ops hunter2 {hash}"), 0, "line 1: invalid SCOPE");
        check("ops admin hunter2", 0, "line 1: invalid SHA256");
        check(&format!("ops admin {hash}a"), 0, "line 1: invalid SHA256");
        check(&format!("o/ps admin {hash}"), 0, "line 1: invalid NAME (field 1): a token's name has");
        check(&format!("{} admin {hash}", "x".repeat(65)), 0, "invalid NAME");
        let same_name = format!("ops admin {hash}\n\nops read {}", "b".repeat(64));
        check(&same_name, 1, "line 3: same name or hash as line 1");
        check(
            &format!("ops admin {hash}\nci read {}", "A".repeat(64)),
            1,
            "line 2: same name or hash as line 1",
        );
    }
}

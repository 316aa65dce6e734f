//! The id of a saved plan: the beginning of its document's SHA-256, in groups of four.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// How many digits are shown, and how many are enough to name a plan.
const SHOWN: usize = 12;
const ENOUGH: usize = 8;

/// The id of a saved plan, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanId(String);

impl PlanId {
    /// Returns the id of a document's digest.
    pub(crate) fn of(digest: &Digest) -> Self {
        Self(digest.hex()[..SHOWN].to_owned())
    }

    /// Returns its digits.
    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }
}

impl FromStr for PlanId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace('-', "").to_ascii_lowercase();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex && (ENOUGH..=64).contains(&digits.len()) {
            Ok(Self(digits))
        } else {
            Err(format!("`{text}` is not the id of a saved plan, such as 7f3a-91c2-0b44"))
        }
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<&str> =
            (0..self.0.len()).step_by(4).map(|at| &self.0[at..self.0.len().min(at + 4)]).collect();
        f.write_str(&groups.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_the_beginning_of_a_digest_in_groups() {
        let digest = Digest::of("x");
        let id = PlanId::of(&digest);
        assert_eq!(id.to_string(), "2d71-1642-b726");
        for text in ["2d711642b726", "2D71-1642-B726"] {
            assert_eq!(text.parse::<PlanId>().unwrap(), id);
        }
        assert!(digest.hex().parse::<PlanId>().is_ok());
        for wrong in ["", "2d71", "2d71-164", "hello", "../../../etc", "2d71/1642"] {
            assert!(wrong.parse::<PlanId>().is_err(), "{wrong}");
        }
    }
}

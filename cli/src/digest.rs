//! The digest by which a module is known: the same text in the scheduler's report, its metrics and its log.

use std::fmt::Write as _;

/// How much of a digest people are shown.
const SHOWN: usize = 12;

const PREFIX: &str = "sha256:";

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut text = PREFIX.to_owned();
    for byte in ring::digest::digest(&ring::digest::SHA256, bytes).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As much of a digest as it takes to tell versions apart.
pub(crate) fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix(PREFIX).unwrap_or(digest);
    digits.get(..SHOWN).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_sha256sum() {
        let empty = digest(b"");
        assert_eq!(empty, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!([short(&empty), short("sha256:12"), short("x")], ["e3b0c44298fc", "12", "x"]);
    }
}

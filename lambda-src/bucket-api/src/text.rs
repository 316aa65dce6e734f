//! The rules for keys and prefixes.
//!
//! In: decoded text. Out: nothing, where an object's key may hold it. What can go wrong: it is longer than
//! [S3's limit](https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html), or has a character that no
//! request to S3 can carry.

/// The longest key, in bytes of UTF-8.
pub(crate) const LONGEST_KEY: usize = 1024;

/// Checks a key or a prefix; the error says what is wrong with it.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_KEY {
        return Err(format!("is longer than {LONGEST_KEY} bytes, the longest that an object's key can be"));
    }
    if text.contains('\0') {
        return Err("holds the character zero, which no object's key can".to_owned());
    }
    Ok(())
}

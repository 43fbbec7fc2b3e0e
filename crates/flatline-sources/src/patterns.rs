//! Sets of glob patterns, as the operator gives them.

use globset::{GlobBuilder, GlobSetBuilder};
use std::fmt;

pub use globset::GlobSet;

/// A pattern that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub detail: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.pattern, self.detail)
    }
}

impl std::error::Error for PatternError {}

/// Patterns of paths: `*` and `?` do not cross a `/`, `**` does.
///
/// # Errors
/// When a pattern is malformed.
pub fn of_paths<P: AsRef<str>>(patterns: &[P]) -> Result<GlobSet, PatternError> {
    compile(patterns, true)
}

/// Patterns of names, in which a `/` is a character as any other.
///
/// # Errors
/// When a pattern is malformed.
pub fn of_names<P: AsRef<str>>(patterns: &[P]) -> Result<GlobSet, PatternError> {
    compile(patterns, false)
}

fn compile<P: AsRef<str>>(patterns: &[P], slashes_part: bool) -> Result<GlobSet, PatternError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern.as_ref()).literal_separator(slashes_part).build();
        set.add(glob.map_err(|error| refused(pattern.as_ref(), &error))?);
    }
    set.build().map_err(|error| refused(error.glob().unwrap_or_default(), &error))
}

fn refused(pattern: &str, error: &globset::Error) -> PatternError {
    PatternError { pattern: pattern.to_owned(), detail: error.kind().to_string() }
}

#[cfg(test)]
mod tests {
    use super::{of_names, of_paths};

    #[test]
    fn a_slash_parts_paths_and_not_names() {
        assert!(!of_paths(&["/mnt/*"]).expect("patterns").is_match("/mnt/a/b"));
        assert!(of_paths(&["/mnt/**"]).expect("patterns").is_match("/mnt/a/b"));
        assert!(of_names(&["user@*"]).expect("patterns").is_match("user@a/b"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = of_names(&["a", "b["]).expect_err("malformed");
        assert_eq!(error.pattern, "b[");
        assert!(error.to_string().starts_with("`b[`: "), "{error}");
    }
}

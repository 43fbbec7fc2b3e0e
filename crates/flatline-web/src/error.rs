//! What is wrong with a configuration file, where, and what to do about it.

use std::path::{Path, PathBuf};

/// Why a web configuration file is refused. No variant ever holds a hash, a key or a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read, or is wrong as a whole.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The web configuration file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// One line of the file is wrong, or a file it names is.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Line {
        /// The web configuration file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong and how to mend it.
        reason: String,
    },
}

/// A fault found before it is known which file is being read.
#[derive(Debug)]
pub(crate) struct Problem {
    line: Option<u64>,
    reason: String,
}

impl Problem {
    /// A fault of the file as a whole.
    pub(crate) fn of_file(reason: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into() }
    }

    /// A fault in one line; line 0 is an unknown one.
    pub(crate) fn at(line: u64, reason: impl Into<String>) -> Self {
        Self { line: (line > 0).then_some(line), reason: reason.into() }
    }

    /// The error for the user.
    pub(crate) fn in_file(self, path: &Path) -> ConfigError {
        let (path, reason) = (path.to_owned(), self.reason);
        match self.line {
            Some(line) => ConfigError::Line { path, line, reason },
            None => ConfigError::File { path, reason },
        }
    }
}

/// `unknown WHAT NAME; did you mean NEAREST?`, or the valid ones where nothing is near.
pub(crate) fn unknown(what: &str, name: &str, valid: &[&str]) -> String {
    let name = shown(name);
    match nearest(&name, valid) {
        Some(near) => format!("unknown {what} {name:?}; did you mean {near:?}? Valid: {}", valid.join(", ")),
        None => format!("unknown {what} {name:?}; valid: {}", valid.join(", ")),
    }
}

fn nearest<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.8;
    let similarity = |candidate: &str| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    let scored = valid.iter().map(|candidate| (similarity(candidate), *candidate));
    scored.filter(|(score, _)| *score >= NEAR_ENOUGH).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Enough of a name to find it again; a misplaced secret is longer than that.
pub(crate) fn shown(name: &str) -> String {
    const ENOUGH: usize = 40;
    const START: usize = 8;
    if name.chars().count() <= ENOUGH { name.to_owned() } else { name.chars().take(START).chain(['…']).collect() }
}

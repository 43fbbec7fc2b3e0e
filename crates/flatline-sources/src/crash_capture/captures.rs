//! Incident captures of the operator's own: whatever a watchdog script, a timer or a person saves before the host dies.

use super::files::{Evidence, Listing};
use crate::{Roots, SourceError};
use globset::{GlobBuilder, GlobMatcher};
use rustix::fd::AsFd;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `NAME=/directory/pattern`: the files of one directory of the host whose names match. `*`, `?`, `[...]` and `{a,b}`
/// are understood in the file's name only, so that looking costs one directory.
#[derive(Debug, Clone)]
pub struct Capture {
    text: String,
    name: String,
    directory: PathBuf,
    matcher: GlobMatcher,
}

/// A pattern that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("capture `{pattern}`: {detail}")]
pub struct PatternError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub detail: String,
}

impl PartialEq for Capture {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Capture {}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Capture {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        parse(text).map_err(|detail| PatternError { pattern: text.into(), detail })
    }
}

fn parse(text: &str) -> Result<Capture, String> {
    let shape = || "expected NAME=/directory/pattern".to_owned();
    let (name, path) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(shape)?;
    let (directory, file) = path.rsplit_once('/').filter(|_| path.starts_with('/')).ok_or_else(shape)?;
    if file.is_empty() || text.contains('\0') {
        return Err(shape());
    }
    if directory.contains(['*', '?', '[', ']', '{', '}', '\\']) {
        return Err("only the name of the file may be a pattern, not its directory".into());
    }
    let glob = GlobBuilder::new(file).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
    Ok(Capture {
        text: text.into(),
        name: name.into(),
        directory: Path::new("/").join(directory),
        matcher: glob.compile_matcher(),
    })
}

impl Capture {
    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files that match now.
    ///
    /// # Errors
    /// When the directory can't be read: it was asked for, so it should be there.
    pub(super) fn read(&self, roots: &Roots) -> Result<Evidence, SourceError> {
        let path = roots.rootfs.join(&self.directory);
        let directory = path.open(OFlags::DIRECTORY).map_err(|errno| SourceError::os(&path, errno))?;
        let mut evidence = Evidence::default();
        Listing::new().each_file(directory.as_fd(), &path, |name, file| {
            if self.matcher.is_match(OsStr::from_bytes(name.to_bytes())) {
                evidence.add(&file);
            }
        })?;
        Ok(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        text.parse::<Capture>().expect_err("refused").to_string()
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in
            ["", "incident", "incident=", "=/root/logs/*", "incident=logs/*.log", "incident=/root/logs/", "a=/b\0"]
        {
            assert!(refused(text).contains("expected NAME=/directory/pattern"), "{text}");
        }
        assert!(refused("incident=/root/*/a.log").contains("only the name of the file"));
        assert!(refused("incident=/root/[a").contains("unclosed"));
    }

    #[test]
    fn counts_what_matches_and_what_is_empty() {
        let tree = tempfile::tempdir().expect("a directory");
        let logs = tree.path().join("root/logs");
        std::fs::create_dir_all(&logs).expect("a directory");
        for (name, content) in [("incident-1.log", "text"), ("incident-2.log", ""), ("notes.txt", "")] {
            std::fs::write(logs.join(name), content).expect("a file");
        }
        let capture: Capture = "incident=/root/logs/incident-*.log".parse().expect("a pattern");
        let found = capture.read(&Roots::under(tree.path())).expect("readable");
        assert_eq!((capture.name(), found.count, found.empty, found.bytes), ("incident", 2, 1, 4));
        let missing: Capture = "incident=/root/none/*".parse().expect("a pattern");
        let error = missing.read(&Roots::under(tree.path())).expect_err("missing");
        assert_eq!((error.fault, error.path.ends_with("root/none")), (crate::Fault::NotFound, true));
    }

    proptest! {
        #[test]
        fn survives_any_text(text in any::<String>()) {
            if let Ok(capture) = text.parse::<Capture>() {
                prop_assert_eq!(capture.to_string(), text);
            }
        }

        #[test]
        fn survives_any_glob(text in "n=/[a-c*?\\[\\]{},\\\\/]{0,20}") {
            let _ = text.parse::<Capture>();
        }
    }
}

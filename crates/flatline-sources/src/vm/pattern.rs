//! Which sockets the operator wants watched: one by name, one by path, or all that match a pattern.
//!
//! Patterns are expanded here, one component after the other, with globset for the names. The `glob` crate reads
//! whole directories into memory, descends for `**` without end and has no bound to give it.

use super::listing::{MAX_ENTRIES, in_root, list};
use crate::{Fault, Roots, SourceError};
use globset::{GlobBuilder, GlobMatcher};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// So many directories and sockets may match each component of a pattern ...
const MAX_MATCHES: usize = 65_536;
/// ... and so many directory entries are looked at for it, all directories together.
const MAX_LOOKED_AT: usize = 4 * MAX_ENTRIES;
/// No path has more components.
const MAX_COMPONENTS: usize = 64;

/// `NAME=/path/of/socket`, `/path/of/socket` or `/path/with/*.sock`.
///
/// `*`, `?`, `[...]` and `{a,b}` match within one component, hidden names too; `**` is refused.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    pub(super) kind: Kind,
}

/// What a pattern asks for.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// One socket, there or not.
    Socket {
        /// The machine's name.
        name: Option<String>,
        path: PathBuf,
    },
    /// Whatever matches.
    Glob(Vec<Component>),
}

/// One component of a path.
#[derive(Debug, Clone)]
pub(super) enum Component {
    Literal(String),
    Matching(GlobMatcher),
}

/// A pattern that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("socket pattern `{pattern}`: {detail}")]
pub struct PatternError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub detail: String,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let fail = |detail: String| PatternError { pattern: text.into(), detail };
        match parse(text) {
            Ok(kind) => Ok(Self { text: text.into(), kind }),
            Err(detail) => Err(fail(detail)),
        }
    }
}

fn parse(text: &str) -> Result<Kind, String> {
    if text.contains('\0') {
        return Err("a path holds no NUL".into());
    }
    if text.starts_with('/') {
        return parse_path(text);
    }
    match text.split_once('=') {
        Some((_, path)) if path.contains(is_special) => Err("a name is for one socket, not for a pattern".into()),
        Some((name, path)) if !name.is_empty() && !name.contains('/') && path.starts_with('/') => {
            Ok(Kind::Socket { name: Some(name.into()), path: path.into() })
        }
        _ => Err("expected NAME=/path/of/socket or an absolute path, which may hold * and ?".into()),
    }
}

fn parse_path(text: &str) -> Result<Kind, String> {
    if !text.contains(is_special) {
        return Ok(Kind::Socket { name: None, path: text.into() });
    }
    let components: Vec<_> = text.split('/').filter(|part| !part.is_empty()).collect();
    if components.len() > MAX_COMPONENTS {
        return Err(format!("more than {MAX_COMPONENTS} directories"));
    }
    components.into_iter().map(Component::parse).collect::<Result<_, _>>().map(Kind::Glob)
}

const fn is_special(c: char) -> bool {
    matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\')
}

impl Component {
    fn parse(part: &str) -> Result<Self, String> {
        if !part.contains(is_special) {
            return Ok(Self::Literal(part.into()));
        }
        if part.contains("**") {
            return Err("`**` is not supported; write one `*` for each level of directories".into());
        }
        let glob = GlobBuilder::new(part).literal_separator(true).build();
        glob.map(|glob| Self::Matching(glob.compile_matcher())).map_err(|error| error.kind().to_string())
    }
}

/// The paths on the host that match. Whether they are sockets is for the caller to see, except where the directory
/// told. What can't be listed goes to `faults`; what does not exist matches nothing.
pub(super) fn expand(components: &[Component], roots: &Roots, faults: &mut dyn FnMut(&SourceError)) -> Vec<PathBuf> {
    let mut search = Search { roots, faults, looked_at: 0 };
    let mut found = vec![PathBuf::from("/")];
    for (index, component) in components.iter().enumerate() {
        let last = index + 1 == components.len();
        match component {
            Component::Literal(name) => found.iter_mut().for_each(|path| path.push(name)),
            Component::Matching(matcher) => found = search.matching(&found, matcher, last),
        }
    }
    found
}

struct Search<'a> {
    roots: &'a Roots,
    faults: &'a mut dyn FnMut(&SourceError),
    looked_at: usize,
}

impl Search<'_> {
    fn matching(&mut self, directories: &[PathBuf], matcher: &GlobMatcher, last: bool) -> Vec<PathBuf> {
        let mut matches = Vec::new();
        for directory in directories {
            if let Err(error) = self.directory(directory, matcher, last, &mut matches) {
                (self.faults)(&error);
            }
            if matches.len() >= MAX_MATCHES || self.looked_at >= MAX_LOOKED_AT {
                let detail = "too many names match or have to be looked at; the rest is left out".into();
                (self.faults)(&SourceError { path: directory.as_path().into(), fault: Fault::TooLarge, detail });
                matches.truncate(MAX_MATCHES);
                break;
            }
        }
        matches
    }

    fn directory(
        &mut self,
        directory: &Path,
        matcher: &GlobMatcher,
        last: bool,
        matches: &mut Vec<PathBuf>,
    ) -> Result<(), SourceError> {
        let wanted = if last { FileType::Socket } else { FileType::Directory };
        list(&in_root(self.roots, directory), |name, kind| {
            self.looked_at += 1;
            let name = OsStr::from_bytes(name.to_bytes());
            if (kind == wanted || matches!(kind, FileType::Symlink | FileType::Unknown)) && matcher.is_match(name) {
                matches.push(directory.join(name));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        text.parse::<Pattern>().expect_err("refused").to_string()
    }

    #[test]
    fn tells_names_paths_and_patterns_apart() {
        let kind = |text: &str| text.parse::<Pattern>().expect("a pattern").kind;
        assert!(matches!(kind("web=/run/vm/a=b.sock"), Kind::Socket { name: Some(name), path }
            if name == "web" && path == Path::new("/run/vm/a=b.sock")));
        assert!(matches!(kind("/run/vm/a=b.sock"), Kind::Socket { name: None, .. }));
        assert!(matches!(kind("/run/*/{a,b}.sock"), Kind::Glob(components) if components.len() == 3));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in ["", "web", "run/*.sock", "=/run/a", "web=run/a", "a/b=/run/a", "/run/a\0", "web=/run/*.qmp"] {
            assert!(refused(text).starts_with(&format!("socket pattern `{text}`: ")), "{text}");
        }
        assert!(refused("/run/**/a.sock").contains("`**` is not supported"));
        assert!(refused("/run/[a").contains("unclosed"), "{}", refused("/run/[a"));
        assert!(refused("/run/{a/b,c}").contains("unclosed"), "{}", refused("/run/{a/b,c}"));
        assert!(refused(&"/*".repeat(65)).contains("64 directories"));
    }

    proptest! {
        #[test]
        fn survives_any_text(text in any::<String>()) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }

        #[test]
        fn survives_any_glob(text in "/[a-c*?\\[\\]{},\\\\/]{0,20}") {
            let _ = text.parse::<Pattern>();
        }
    }
}

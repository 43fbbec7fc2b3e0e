//! What the operator may choose.

use crate::patterns::{GlobSet, PatternError, of_paths};

/// Bounds and choices for the memcg reader.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many levels below the root are looked at; at most [`Options::DEPTH_BOUND`].
    pub max_depth: u32,
    /// Which cgroups are read.
    pub filter: Filter,
    /// Above so many series the deepest and idlest cgroups are left out.
    pub max_series: u64,
    /// How many descriptors of directories and files are held open between reads. A held cgroup file pins about
    /// 4 KiB of kernel memory (its `seq_file` buffer), hence the bound; files beyond it are opened for each read.
    pub max_held_files: usize,
}

impl Options {
    /// No hierarchy of a sane host is deeper; the depth also bounds recursion.
    pub const DEPTH_BOUND: u32 = 64;
}

impl Default for Options {
    fn default() -> Self {
        Self { max_depth: 8, filter: Filter::default(), max_series: 200_000, max_held_files: 16_384 }
    }
}

/// Include and exclude patterns over cgroup paths such as `/system.slice/cron.service`.
///
/// `*` and `?` do not cross a `/`, `**` does: `/user.slice/**` is everything below the user slice.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Filter {
    /// Compiles the patterns. No include pattern means everything; exclude wins over include.
    ///
    /// # Errors
    /// When a pattern is malformed.
    pub fn new<P: AsRef<str>>(include: &[P], exclude: &[P]) -> Result<Self, PatternError> {
        let include = if include.is_empty() { None } else { Some(of_paths(include)?) };
        Ok(Self { include, exclude: of_paths(exclude)? })
    }

    /// Whether the cgroup of that path is to be read.
    #[must_use]
    pub fn includes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(path)) && !self.exclude.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclude_wins_and_stars_stay_in_their_level() {
        let filter = Filter::new(&["/system.slice/*", "/user.slice/**"], &["/**/*.scope"]).unwrap();
        assert!(filter.includes("/system.slice/cron.service"));
        assert!(!filter.includes("/system.slice/a/b"));
        assert!(filter.includes("/user.slice/user-1000.slice/user@1000.service"));
        assert!(!filter.includes("/user.slice/user-1000.slice/session-1.scope"));
        assert!(!filter.includes("/"));
        assert!(Filter::default().includes("/"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Filter::new(&["/a", "/b["], &[]).unwrap_err();
        assert_eq!(error.pattern, "/b[");
    }
}

//! Where the host runs the memory controller.
//!
//! Judged by the files, not by the mount table, so that a recorded tree is read like a live one.

use crate::read::{SMALL_FILE, read_optional};
use crate::{HostPath, Probe, SourceError};

/// The way the host runs the memory controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On the cgroup-v2 hierarchy.
    V2,
    /// On cgroup v1, beside a v2 hierarchy without it (systemd's hybrid layout).
    Hybrid,
    /// On cgroup v1.
    V1,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::V2, Self::Hybrid, Self::V1];

    /// The value of the catalogue's label `mode`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
            Self::V1 => "v1",
        }
    }
}

/// Finds the memory controller below `root`: its mode and the directory of its root cgroup.
pub(super) fn detect(root: &HostPath) -> Probe<(Mode, HostPath)> {
    match try_detect(root) {
        Ok(Ok(found)) => Probe::Present(found),
        Ok(Err(reason)) => Probe::Absent(reason),
        Err(error) => Probe::Broken(error),
    }
}

fn try_detect(root: &HostPath) -> Result<Result<(Mode, HostPath), String>, SourceError> {
    let v2 = controllers(root)?;
    if v2 == Some(true) {
        return Ok(Ok((Mode::V2, root.clone())));
    }
    let unified = root.join("unified");
    let hybrid = if v2.is_none() { controllers(&unified)? } else { None };
    if hybrid == Some(true) {
        return Ok(Ok((Mode::V2, unified)));
    }
    for v1 in [root.join("memory"), root.clone()] {
        if exists(&v1.join("memory.usage_in_bytes"))? {
            let mode = if hybrid.is_some() { Mode::Hybrid } else { Mode::V1 };
            return Ok(Ok((mode, v1)));
        }
    }
    let root = root.display();
    Ok(Err(if v2.is_some() {
        format!("cgroup v2 is mounted at {root} but its memory controller is not enabled (cgroup_disable=memory?)")
    } else if hybrid.is_some() {
        format!("neither cgroup v2 nor v1 at {root} has the memory controller (cgroup_disable=memory?)")
    } else {
        format!("no cgroup hierarchy with a memory controller at {root}: not mounted, or wrong --path.cgroup")
    }))
}

/// Whether `cgroup.controllers` lists `memory`; `None` when there is no such file, so no cgroup v2.
fn controllers(dir: &HostPath) -> Result<Option<bool>, SourceError> {
    let mut content = Vec::new();
    if !read_optional(&dir.join("cgroup.controllers"), SMALL_FILE, &mut content)? {
        return Ok(None);
    }
    Ok(Some(content.split(u8::is_ascii_whitespace).any(|word| word == b"memory")))
}

fn exists(path: &HostPath) -> Result<bool, SourceError> {
    read_optional(path, SMALL_FILE, &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn mode(files: &[(&str, &str)]) -> Result<(Mode, PathBuf), String> {
        let dir = tree(files);
        match detect(&dir.path().into()) {
            Probe::Present((mode, path)) => Ok((mode, path.strip_prefix(dir.path()).unwrap().into())),
            Probe::Absent(reason) => Err(reason),
            Probe::Broken(error) => panic!("{error}"),
        }
    }

    const V1: (&str, &str) = ("memory/memory.usage_in_bytes", "1\n");

    #[test]
    fn every_layout_is_told_apart() {
        assert_eq!(mode(&[("cgroup.controllers", "cpu io memory pids\n")]), Ok((Mode::V2, "".into())));
        assert_eq!(mode(&[("unified/cgroup.controllers", "\n"), V1]), Ok((Mode::Hybrid, "memory".into())));
        assert_eq!(mode(&[V1]), Ok((Mode::V1, "memory".into())));
        assert_eq!(mode(&[("unified/cgroup.controllers", "memory\n")]), Ok((Mode::V2, "unified".into())));
    }

    #[test]
    fn absence_comes_with_the_reason() {
        assert!(mode(&[("cgroup.controllers", "cpu memoryx\n")]).unwrap_err().contains("not enabled"));
        assert!(mode(&[("unified/cgroup.controllers", "\n")]).unwrap_err().contains("neither"));
        assert!(mode(&[]).unwrap_err().contains("no cgroup hierarchy"));
    }
}

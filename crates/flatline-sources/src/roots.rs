//! Where the host's file systems are.

use std::path::{Path, PathBuf};

/// The directories every reader starts from, so that a container can read its host and a test a recorded tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The proc file system, normally `/proc`.
    pub procfs: PathBuf,
    /// The sys file system, normally `/sys`.
    pub sysfs: PathBuf,
    /// The cgroup hierarchy, normally `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// The root file system, normally `/`.
    pub rootfs: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { procfs: "/proc".into(), sysfs: "/sys".into(), cgroup: "/sys/fs/cgroup".into(), rootfs: "/".into() }
    }
}

impl Roots {
    /// The roots inside one recorded tree: `proc`, `sys`, `sys/fs/cgroup` and the tree itself.
    #[must_use]
    pub fn under(tree: &Path) -> Self {
        Self {
            procfs: tree.join("proc"),
            sysfs: tree.join("sys"),
            cgroup: tree.join("sys/fs/cgroup"),
            rootfs: tree.to_path_buf(),
        }
    }
}

//! Where the host's file systems are.

use crate::HostPath;
use std::path::Path;

/// The directories every reader starts from, so that a container can read its host and a test a recorded tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The proc file system, normally `/proc`.
    pub procfs: HostPath,
    /// The sys file system, normally `/sys`.
    pub sysfs: HostPath,
    /// The cgroup hierarchy, normally `/sys/fs/cgroup`.
    pub cgroup: HostPath,
    /// The root file system, normally `/`.
    pub rootfs: HostPath,
}

impl Default for Roots {
    fn default() -> Self {
        Self::from_three("/proc".into(), "/sys".into(), "/".into())
    }
}

impl Roots {
    fn from_three(procfs: HostPath, sysfs: HostPath, rootfs: HostPath) -> Self {
        Self { cgroup: sysfs.join("fs/cgroup"), procfs, sysfs, rootfs }
    }

    /// The roots inside one recorded tree: `proc`, `sys`, `sys/fs/cgroup` and the tree itself.
    #[must_use]
    pub fn under(tree: &Path) -> Self {
        Self::from_three(tree.join("proc").into(), tree.join("sys").into(), tree.into())
    }

    /// The tree of another host, or of this one as a container sees it; none where it is this process's own.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&Path> {
        Some(&*self.rootfs).filter(|root| *root != Path::new("/"))
    }
}

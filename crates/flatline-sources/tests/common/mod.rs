//! Trees for the integration tests.

#![allow(dead_code, reason = "each test binary uses its own part")]

use flatline_sources::memcg::{Cgroup, Options, Reader, Reading};
use flatline_sources::{Fault, Roots};
use std::fs;
use std::path::{Path, PathBuf};

/// The recorded tree of that name.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// A hierarchy in a temporary directory that other users may look into.
pub(crate) struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    /// An empty cgroup-v2 hierarchy with a host of 1 GiB without swap.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory");
        let tree = Self { directory };
        tree.write("cgroup.controllers", "cpu io memory pids\n");
        let meminfo = "MemTotal: 1048576 kB\nSwapTotal: 0 kB\n";
        fs::create_dir_all(tree.path().join("proc")).expect("a writable directory");
        fs::write(tree.path().join("proc/meminfo"), meminfo).expect("a writable directory");
        tree
    }

    /// A copy of a recorded tree, to be changed.
    pub(crate) fn copy_of(name: &str) -> Self {
        let tree = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        tree.overlay(name);
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::under(self.path())
    }

    pub(crate) fn cgroup(&self, path: &str) -> PathBuf {
        self.roots().cgroup.join(path).to_path_buf()
    }

    /// Writes one file below the cgroup root, making directories as needed.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.cgroup(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a writable directory");
        fs::write(path, content).expect("a writable file");
    }

    /// Replaces files by those of a recorded tree, the way an editor does: a new file over the old one.
    pub(crate) fn overlay(&self, name: &str) {
        copy_over(&fixture(name), self.path());
    }

    pub(crate) fn reader(&self, options: &Options) -> Reader {
        Reader::probe(&self.roots(), options).present().expect("a hierarchy")
    }
}

fn copy_over(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable directory");
    for entry in fs::read_dir(from).expect("a recorded tree") {
        let entry = entry.expect("a recorded tree");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a recorded tree").is_dir() {
            copy_over(&entry.path(), &target);
        } else {
            let fresh = to.join(".fresh");
            fs::copy(entry.path(), &fresh).expect("a writable directory");
            fs::rename(fresh, target).expect("a writable directory");
        }
    }
}

/// Reads, and no file may be faulty.
pub(crate) fn read(reader: &mut Reader) -> Reading {
    let mut reading = Reading::default();
    reader.read(&mut reading, &mut |fault| panic!("{fault}")).expect("a readable hierarchy");
    reading
}

/// Reads, and returns what was faulty: kind and file name.
pub(crate) fn read_with_faults(reader: &mut Reader) -> (Reading, Vec<(Fault, String)>) {
    let (mut reading, mut faults) = (Reading::default(), Vec::new());
    let mut note = |fault: &flatline_sources::SourceError| {
        let name = fault.path.file_name().map(|name| name.to_string_lossy().into_owned());
        faults.push((fault.fault, name.unwrap_or_default()));
    };
    reader.read(&mut reading, &mut note).expect("something readable");
    (reading, faults)
}

pub(crate) fn find<'a>(reading: &'a Reading, path: &str) -> Option<&'a Cgroup> {
    reading.cgroups.iter().find(|cgroup| &*cgroup.path == path)
}

pub(crate) fn get<'a>(reading: &'a Reading, path: &str) -> &'a Cgroup {
    find(reading, path).unwrap_or_else(|| panic!("{path} is missing from {:?}", paths(reading)))
}

pub(crate) fn paths(reading: &Reading) -> Vec<&str> {
    reading.cgroups.iter().map(|cgroup| &*cgroup.path).collect()
}

/// Runs the test's body as a user without rights, which root can do and anybody else already is.
pub(crate) fn without_rights(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if rustix::process::getuid().is_root() {
                // Changes this thread only.
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).expect("root may");
            }
            body();
        });
    });
}

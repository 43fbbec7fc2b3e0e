//! The kernel's own counters of its faults: `<sysfs>/kernel/{oops,warn,rcu_stall,softlockup,hardlockup}_count`
//! (kernel documentation: `Documentation/ABI/testing/sysfs-kernel-*_count`),
//! `<procfs>/sys/kernel/hung_task_detect_count` (`Documentation/admin-guide/sysctl/kernel.rst`) and `oom_kill`
//! of `<procfs>/vmstat`. All count since boot.

use crate::error::PartFaults;
use crate::read::{Content, HeldFile, SMALL_FILE, STATISTICS_FILE, parsed};
use crate::{Probe, Roots, SourceError, flat_keyed, value};

/// A fault the kernel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Oopses (Linux 6.2).
    Oops,
    /// Warnings (Linux 6.2).
    Warn,
    /// RCU stalls (Linux 6.17).
    RcuStall,
    /// CPUs that did not schedule for too long (Linux 6.17).
    Softlockup,
    /// CPUs that took no interrupts for too long (Linux 6.17).
    Hardlockup,
    /// Tasks in uninterruptible sleep for too long (Linux 6.13).
    HungTask,
    /// Processes killed by the OOM killer, in cgroups too (Linux 4.13).
    OomKill,
}

impl Kind {
    /// Every kind, in the order of [`Reading::counts`].
    pub const ALL: [Self; 7] =
        [Self::Oops, Self::Warn, Self::RcuStall, Self::Softlockup, Self::Hardlockup, Self::HungTask, Self::OomKill];

    /// The value of the catalogue's label `kind`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Oops => "oops",
            Self::Warn => "warn",
            Self::RcuStall => "rcu_stall",
            Self::Softlockup => "softlockup",
            Self::Hardlockup => "hardlockup",
            Self::HungTask => "hung_task",
            Self::OomKill => "oom_kill",
        }
    }

    fn file(self, roots: &Roots) -> HeldFile {
        match self {
            Self::HungTask => HeldFile::new(roots.procfs.join("sys/kernel/hung_task_detect_count"), SMALL_FILE),
            Self::OomKill => HeldFile::new(roots.procfs.join("vmstat"), STATISTICS_FILE),
            _ => HeldFile::new(roots.sysfs.join(format!("kernel/{}_count", self.label())), SMALL_FILE),
        }
    }

    fn parse(self, file: &HeldFile, content: &[u8]) -> Result<Option<u64>, SourceError> {
        if self != Self::OomKill {
            return parsed(value::number_file(content), file.path(), content, "a decimal count").map(Some);
        }
        let mut lines = flat_keyed::entries(content);
        let found = lines.find(|(key, _)| *key == b"oom_kill").map(|(_, count)| count);
        let readable = found.is_some() || (!lines.malformed() && !content.is_empty());
        parsed(readable.then_some(found), file.path(), content, "lines of a name and a number")
    }
}

/// One count per kind since boot; `None` when this kernel has no such counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    counts: [Option<u64>; 7],
}

impl Reading {
    /// The counts in the order of [`Kind::ALL`].
    pub fn counts(&self) -> impl Iterator<Item = (Kind, Option<u64>)> {
        Kind::ALL.into_iter().zip(self.counts)
    }

    /// One count.
    #[must_use]
    pub fn get(&self, kind: Kind) -> Option<u64> {
        self.counts().find(|(found, _)| *found == kind).and_then(|(_, count)| count)
    }
}

/// Reads the counters through held descriptors.
#[derive(Debug)]
pub struct Reader {
    files: [HeldFile; 7],
    buffer: Vec<u8>,
}

impl Reader {
    /// Looks for any of the counters.
    #[must_use]
    pub fn probe(roots: &Roots) -> Probe<Self> {
        let files = Kind::ALL.map(|kind| kind.file(roots));
        let mut reader = Self { files, buffer: Vec::with_capacity(SMALL_FILE) };
        let mut reading = Reading::default();
        match reader.read(&mut reading, &mut |_| ()) {
            Ok(()) if reading.counts.iter().any(Option::is_some) => Probe::Present(reader),
            Ok(()) => Probe::Absent(format!(
                "no fault counters in {} and none in {}: the kernel is older than 4.13",
                roots.sysfs.join("kernel").display(),
                roots.procfs.join("vmstat").display()
            )),
            Err(error) => Probe::Broken(error),
        }
    }

    /// Reads every counter. One that can't be read goes to `faults` and is `None`; one this kernel does not have
    /// is `None` without a fault.
    ///
    /// # Errors
    /// When nothing at all could be read although there is something.
    pub fn read(&mut self, into: &mut Reading, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        *into = Reading::default();
        let mut failed = PartFaults::default();
        for ((file, kind), count) in self.files.iter_mut().zip(Kind::ALL).zip(&mut into.counts) {
            match read_one(file, kind, &mut self.buffer) {
                Ok(found) => *count = found,
                Err(error) => failed.add(error, faults),
            }
        }
        failed.settle(into.counts.iter().all(Option::is_none), faults)
    }
}

fn read_one(file: &mut HeldFile, kind: Kind, buffer: &mut Vec<u8>) -> Result<Option<u64>, SourceError> {
    match file.read(buffer)? {
        Content::Read => kind.parse(file, buffer),
        Content::Absent => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use std::fs;
    use std::path::Path;

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn zero_absent_and_unreadable_differ() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "sys/kernel/oops_count", b"0\n");
        write(dir.path(), "sys/kernel/warn_count", b"3\n");
        write(dir.path(), "proc/sys/kernel/hung_task_detect_count", b"?\n");
        write(dir.path(), "proc/vmstat", b"nr_free_pages 1\noom_kill 7\nlast 0\n");
        let mut reader = Reader::probe(&Roots::under(dir.path())).present().unwrap();
        let (mut reading, mut seen) = (Reading::default(), Vec::new());
        reader.read(&mut reading, &mut |fault| seen.push(fault.fault)).unwrap();
        assert_eq!(reading.get(Kind::Oops), Some(0));
        assert_eq!(reading.get(Kind::Warn), Some(3));
        assert_eq!(reading.get(Kind::OomKill), Some(7));
        assert_eq!(reading.get(Kind::RcuStall), None);
        assert_eq!(reading.get(Kind::HungTask), None);
        assert_eq!(seen, [Fault::InvalidContent]);
    }

    #[test]
    fn counts_move_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "sys/kernel/warn_count", b"3\n");
        let mut reader = Reader::probe(&Roots::under(dir.path())).present().unwrap();
        let mut reading = Reading::default();
        for expected in [4, 5] {
            write(dir.path(), "next", format!("{expected}\n").as_bytes());
            fs::rename(dir.path().join("next"), dir.path().join("sys/kernel/warn_count")).unwrap();
            reader.read(&mut reading, &mut |fault| panic!("{fault}")).unwrap();
            assert_eq!(reading.get(Kind::Warn), Some(expected));
        }
        fs::remove_file(dir.path().join("sys/kernel/warn_count")).unwrap();
        reader.read(&mut reading, &mut |fault| panic!("{fault}")).unwrap();
        assert_eq!(reading.get(Kind::Warn), None);
    }

    #[test]
    fn a_vmstat_of_an_old_kernel_has_no_count() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "proc/vmstat", b"nr_free_pages 1\n");
        assert!(matches!(Reader::probe(&Roots::under(dir.path())), Probe::Absent(_)));
        write(dir.path(), "proc/vmstat", b"\xff\xff\xff");
        assert!(matches!(Reader::probe(&Roots::under(dir.path())), Probe::Broken(_)));
    }
}

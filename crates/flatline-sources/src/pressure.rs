//! Pressure of the whole host, `<procfs>/pressure/{cpu,io,irq,memory}`
//! (kernel documentation: `Documentation/accounting/psi.rst`), and its swapping, `pswpin` and `pswpout` of
//! `<procfs>/vmstat`, which count pages (`mm/page_io.c`).

use crate::error::PartFaults;
use crate::psi::{self, Psi};
use crate::read::{Content, HeldFile, SMALL_FILE, STATISTICS_FILE, parsed};
use crate::{Probe, Roots, SourceError, flat_keyed};
use rustix::io::Errno;

/// A resource tasks wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Block I/O.
    Io,
    /// Interrupt handling; the kernel has `full` only, and only with `CONFIG_IRQ_TIME_ACCOUNTING`.
    Irq,
    /// Memory.
    Memory,
}

impl Resource {
    /// Every resource, in the order of [`Reading::resources`].
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Io, Self::Irq, Self::Memory];

    /// The file's name, which is also the value of the label `resource`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Irq => "irq",
            Self::Memory => "memory",
        }
    }
}

/// What came back from swap and went to it since boot, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swapped {
    /// Read back (`pswpin`).
    pub in_pages: u64,
    /// Written (`pswpout`).
    pub out_pages: u64,
}

/// The totals since boot of every resource the kernel has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    resources: [Option<Psi>; 4],
    swapped: Option<Swapped>,
}

impl Reading {
    /// The resources in the order of [`Resource::ALL`]; `None` where this kernel has no such file.
    pub fn resources(&self) -> impl Iterator<Item = (Resource, Option<Psi>)> {
        Resource::ALL.into_iter().zip(self.resources)
    }

    /// One resource.
    #[must_use]
    pub fn get(&self, resource: Resource) -> Option<Psi> {
        self.resources().find(|(found, _)| *found == resource).and_then(|(_, psi)| psi)
    }

    /// `None` where this kernel does not swap, or it could not be read.
    #[must_use]
    pub const fn swapped(&self) -> Option<Swapped> {
        self.swapped
    }
}

/// Reads the files through held descriptors.
#[derive(Debug)]
pub struct Reader {
    files: [HeldFile; 4],
    vmstat: HeldFile,
    buffer: Vec<u8>,
}

impl Reader {
    /// Looks for pressure files that can be read.
    #[must_use]
    pub fn probe(roots: &Roots) -> Probe<Self> {
        let dir = roots.procfs.join("pressure");
        let files = Resource::ALL.map(|resource| HeldFile::new(dir.join(resource.label()), SMALL_FILE));
        let vmstat = HeldFile::new(roots.procfs.join("vmstat"), STATISTICS_FILE);
        let mut reader = Self { files, vmstat, buffer: Vec::with_capacity(STATISTICS_FILE) };
        let mut reading = Reading::default();
        match reader.read(&mut reading, &mut |_| ()) {
            Ok(()) if reading.resources.iter().any(Option::is_some) => Probe::Present(reader),
            Ok(()) => Probe::Absent(format!(
                "no pressure files in {}: the kernel is built without PSI (CONFIG_PSI) or booted with psi=0",
                dir.display()
            )),
            Err(error) => Probe::Broken(error),
        }
    }

    /// Reads everything. A file that can't be read goes to `faults` and what it tells is `None`.
    ///
    /// # Errors
    /// When no pressure at all could be read although there is something.
    pub fn read(&mut self, into: &mut Reading, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        *into = Reading::default();
        let mut failed = PartFaults::default();
        for (file, psi) in self.files.iter_mut().zip(&mut into.resources) {
            match read_one(file, &mut self.buffer) {
                Ok(found) => *psi = found,
                Err(error) => failed.add(error, faults),
            }
        }
        into.swapped = read_swapped(&mut self.vmstat, &mut self.buffer).unwrap_or_else(|error| {
            faults(&error);
            None
        });
        failed.settle(into.resources.iter().all(Option::is_none), faults)
    }
}

fn read_swapped(vmstat: &mut HeldFile, buffer: &mut Vec<u8>) -> Result<Option<Swapped>, SourceError> {
    match vmstat.read(buffer)? {
        Content::Read => parsed(parse_swapped(buffer), vmstat.path(), buffer, "lines of a name and a number"),
        Content::Absent => Ok(None),
    }
}

/// What vmstat says of swapping: none where the kernel is built without it, nothing where this is no vmstat.
fn parse_swapped(content: &[u8]) -> Option<Option<Swapped>> {
    let (mut in_pages, mut out_pages) = (None, None);
    let mut lines = flat_keyed::entries(content);
    for (key, count) in &mut lines {
        match key {
            b"pswpin" => in_pages = Some(count),
            b"pswpout" => out_pages = Some(count),
            _ => {}
        }
    }
    let swapped = in_pages.zip(out_pages).map(|(in_pages, out_pages)| Swapped { in_pages, out_pages });
    (!lines.malformed() && !content.is_empty()).then_some(swapped)
}

fn read_one(file: &mut HeldFile, buffer: &mut Vec<u8>) -> Result<Option<Psi>, SourceError> {
    match file.read_unless(buffer, Errno::OPNOTSUPP)? {
        Content::Read => parsed(psi::parse(buffer), file.path(), buffer, "pressure lines").map(Some),
        Content::Absent => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use std::fs;

    const SOME: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
    const FULL: &str = "full avg10=0.00 avg60=0.00 avg300=0.00 total=3\n";

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/pressure")).unwrap();
        for (name, content) in files {
            fs::write(dir.path().join("proc/pressure").join(name), content).unwrap();
        }
        let roots = Roots::under(dir.path());
        (dir, roots)
    }

    #[test]
    fn a_kernel_without_irq_pressure_is_not_faulty() {
        let (_dir, roots) = tree(&[("cpu", SOME), ("io", FULL), ("memory", &format!("{SOME}{FULL}"))]);
        let mut reader = Reader::probe(&roots).present().unwrap();
        let mut reading = Reading::default();
        reader.read(&mut reading, &mut |fault| panic!("{fault}")).unwrap();
        assert_eq!(reading.get(Resource::Cpu), Some(Psi { waiting_us: Some(5), stalled_us: None }));
        assert_eq!(reading.get(Resource::Io), Some(Psi { waiting_us: None, stalled_us: Some(3) }));
        assert_eq!(reading.get(Resource::Memory), Some(Psi { waiting_us: Some(5), stalled_us: Some(3) }));
        assert_eq!(reading.get(Resource::Irq), None);
    }

    #[test]
    fn swapping_is_what_vmstat_says() {
        let said = |content: &[u8]| parse_swapped(content);
        let swapped = Swapped { in_pages: 7, out_pages: 9 };
        assert_eq!(said(b"nr_free_pages 5\npswpin 7\npswpout 9\noom_kill 0\n"), Some(Some(swapped)));
        assert_eq!(said(b"nr_free_pages 5\noom_kill 0\n"), Some(None), "a kernel without swap");
        assert_eq!((said(b""), said(b"pswpin x\n")), (None, None));
    }

    #[test]
    fn without_vmstat_there_is_pressure_all_the_same() {
        let (dir, roots) = tree(&[("memory", SOME)]);
        let mut reader = Reader::probe(&roots).present().unwrap();
        let mut reading = Reading::default();
        reader.read(&mut reading, &mut |fault| panic!("{fault}")).unwrap();
        assert_eq!(reading.swapped(), None);
        fs::write(dir.path().join("proc/vmstat"), "pswpin 1\npswpout 2\n").unwrap();
        reader.read(&mut reading, &mut |fault| panic!("{fault}")).unwrap();
        assert_eq!(reading.swapped(), Some(Swapped { in_pages: 1, out_pages: 2 }));
        assert!(reading.get(Resource::Memory).is_some());
    }

    #[test]
    fn no_files_is_absent_with_the_reason() {
        let (_dir, roots) = tree(&[]);
        assert!(matches!(Reader::probe(&roots), Probe::Absent(reason) if reason.contains("psi=0")));
    }

    #[test]
    fn one_bad_file_costs_one_resource() {
        let (dir, roots) = tree(&[("cpu", SOME), ("memory", SOME)]);
        let mut reader = Reader::probe(&roots).present().unwrap();
        fs::write(dir.path().join("proc/pressure/memory"), b"\0\x01garbage").unwrap();
        let (mut reading, mut seen) = (Reading::default(), Vec::new());
        reader.read(&mut reading, &mut |fault| seen.push((fault.fault, fault.path.to_path_buf()))).unwrap();
        assert_eq!(seen, [(Fault::InvalidContent, dir.path().join("proc/pressure/memory"))]);
        assert!(reading.get(Resource::Memory).is_none() && reading.get(Resource::Cpu).is_some());
    }

    #[test]
    fn garbage_everywhere_is_an_error() {
        let (_dir, roots) = tree(&[("cpu", "x"), ("memory", "")]);
        assert!(matches!(Reader::probe(&roots), Probe::Broken(error) if error.fault == Fault::InvalidContent));
    }
}

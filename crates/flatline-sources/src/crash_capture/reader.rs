//! Reading everything at once.

use super::verdict::{self, Found};
use super::{Channel, Options, Reading, Setting, Taint, arguments, files, netconsole, pstore};
use crate::read::{Content, HeldFile, SMALL_FILE, STATISTICS_FILE, parsed};
use crate::{Probe, Roots, SourceError, value};

/// Reads the state of every channel and what is left of earlier crashes.
#[derive(Debug)]
pub struct Reader {
    roots: Roots,
    options: Options,
    backend: HeldFile,
    loaded: HeldFile,
    reserved: HeldFile,
    tainted: HeldFile,
    command_line: HeldFile,
    release: HeldFile,
    settings: [HeldFile; Setting::ALL.len()],
    buffer: Vec<u8>,
}

type Faults<'a> = &'a mut dyn FnMut(&SourceError);

impl Reader {
    /// Looks for a kernel that shows its settings.
    #[must_use]
    pub fn probe(roots: &Roots, options: &Options) -> Probe<Self> {
        let (kernel, sysctl) = (roots.sysfs.join("kernel"), roots.procfs.join("sys/kernel"));
        if !kernel.is_dir() && !sysctl.is_dir() {
            return Probe::Absent(format!("neither {} nor {}", kernel.display(), sysctl.display()));
        }
        let small = |path| HeldFile::new(path, SMALL_FILE);
        Probe::Present(Self {
            backend: small(roots.sysfs.join("module/pstore/parameters/backend")),
            loaded: small(kernel.join("kexec_crash_loaded")),
            reserved: small(kernel.join("kexec_crash_size")),
            tainted: small(sysctl.join("tainted")),
            command_line: HeldFile::new(roots.procfs.join("cmdline"), STATISTICS_FILE),
            release: small(sysctl.join("osrelease")),
            settings: Setting::ALL.map(|setting| small(setting.path(roots))),
            roots: roots.clone(),
            options: options.clone(),
            buffer: Vec::with_capacity(SMALL_FILE),
        })
    }

    /// Reads everything now. What can't be read goes to `faults` and is absent; each part stands for itself.
    pub fn read(&mut self, into: &mut Reading, faults: &mut dyn FnMut(&SourceError)) {
        let verdicts = [self.pstore(into, faults), self.kdump(into, faults), self.netconsole(into, faults)];
        into.verdicts.clear();
        into.verdicts.extend(Channel::ALL.into_iter().zip(verdicts));
        for (file, value) in self.settings.iter_mut().zip(&mut into.settings) {
            *value = find(file, &mut self.buffer, "a number, Y or N", Setting::parse, faults).value();
        }
        into.taint = find(&mut self.tainted, &mut self.buffer, "a decimal number", Taint::parse, faults).value();
        self.arguments(into, faults);
        self.leavings(into, faults);
    }

    fn pstore(&mut self, into: &mut Reading, faults: Faults<'_>) -> verdict::Verdict {
        let backend = find(&mut self.backend, &mut self.buffer, "a backend or (null)", pstore::parse_backend, faults);
        let store = pstore::read_store(&self.roots.sysfs.join("fs/pstore"), &mut files::Listing::new());
        let store = store.unwrap_or_else(|error| {
            faults(&error);
            pstore::Store::default()
        });
        (into.pstore.mounted, into.pstore.records) = (store.mounted, store.records);
        let verdict = verdict::pstore(&backend);
        into.pstore.backend = backend.value().flatten();
        verdict
    }

    fn kdump(&mut self, into: &mut Reading, faults: Faults<'_>) -> verdict::Verdict {
        let flag = |content: &[u8]| value::number_file(content).map(|loaded| loaded != 0);
        let loaded = find(&mut self.loaded, &mut self.buffer, "0 or 1", flag, faults);
        let reserved = find(&mut self.reserved, &mut self.buffer, "a number of bytes", value::number_file, faults);
        into.kdump.reserved_bytes = reserved.value();
        let verdict = verdict::kdump(&loaded, &into.kdump);
        into.kdump.loaded = loaded.value();
        verdict
    }

    fn netconsole(&mut self, into: &mut Reading, faults: Faults<'_>) -> verdict::Verdict {
        let release = find(&mut self.release, &mut self.buffer, "a kernel's release", netconsole::release, faults);
        let state = netconsole::read(&self.roots, release.value(), &mut into.targets, faults);
        netconsole::verdict(state, &into.targets)
    }

    fn arguments(&mut self, into: &mut Reading, faults: Faults<'_>) {
        into.arguments.clear();
        if self.options.required_arguments.is_empty() {
            return;
        }
        match self.command_line.read(&mut self.buffer) {
            Ok(Content::Read) => {
                let present = |wanted: &String| arguments::is_present(&self.buffer, wanted);
                into.arguments.extend(self.options.required_arguments.iter().map(present));
            }
            Ok(Content::Absent) => {}
            Err(error) => faults(&error),
        }
    }

    /// What earlier crashes left.
    fn leavings(&self, into: &mut Reading, faults: Faults<'_>) {
        let mut told = |found| {
            let found: Result<_, SourceError> = found;
            found.unwrap_or_else(|error| {
                faults(&error);
                None
            })
        };
        let Options { dump_directories, captures, .. } = &self.options;
        into.dumps.clear();
        into.dumps.extend(dump_directories.iter().map(|path| told(files::dumps(&self.roots.rootfs.join(path)))));
        into.captures.clear();
        into.captures.extend(captures.iter().map(|capture| told(capture.read(&self.roots).map(Some))));
    }
}

fn find<T>(
    file: &mut HeldFile,
    buffer: &mut Vec<u8>,
    expected: &str,
    parse: impl FnOnce(&[u8]) -> Option<T>,
    faults: Faults<'_>,
) -> Found<T> {
    let found = file.read(buffer).and_then(|content| match content {
        Content::Read => parsed(parse(buffer), file.path(), buffer, expected).map(Found::Value),
        Content::Absent => Ok(Found::Absent),
    });
    found.unwrap_or_else(|error| {
        faults(&error);
        Found::Unreadable
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

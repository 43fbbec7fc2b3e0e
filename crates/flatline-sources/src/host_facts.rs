//! What the host runs on: the kernel (`<procfs>/sys/kernel/{osrelease,version}`), drivers that have a version of their
//! own (`<sysfs>/module/*/version`, `Documentation/ABI/stable/sysfs-module`), the firmware (`<sysfs>/class/dmi/id`) and
//! the microcode (`<sysfs>/devices/system/cpu/cpu0/microcode/version`).
//!
//! `/proc/cpuinfo` has the microcode, too, and is not read: older kernels ask every processor for its frequency first,
//! and one that is stuck does not answer.

use crate::read::{SMALL_FILE, read_optional};
use crate::{Fault, HostPath, Roots, SourceError};
use std::collections::BTreeMap;

const MAX_DRIVERS: usize = 128;
/// Modules that are looked at for them; no kernel has more.
const MAX_MODULES: usize = 16_384;
/// Characters; longer values are cut.
const LONGEST: usize = 128;

/// A kind of fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The kernel.
    Kernel,
    /// A kernel module.
    Driver,
    /// BIOS or UEFI.
    Firmware,
    /// A processor's.
    Microcode,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Kernel, Self::Driver, Self::Firmware, Self::Microcode];

    /// The value of the label `fact`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Driver => "driver",
            Self::Firmware => "firmware",
            Self::Microcode => "microcode",
        }
    }
}

/// What is known of the host; what is not there or empty is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    values: BTreeMap<(Kind, String), String>,
}

impl Facts {
    /// All of them, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str, &str)> {
        self.values.iter().map(|((kind, name), value)| (*kind, name.as_str(), value.as_str()))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&str> {
        self.iter().find(|fact| (fact.0, fact.1) == (kind, name)).map(|(_, _, value)| value)
    }

    fn put(&mut self, kind: Kind, name: &str, value: Option<String>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.values.insert((kind, name.to_owned()), value);
        }
    }
}

/// The files of `class/dmi/id` and the names of what they hold.
const FIRMWARE: [(&str, &str); 5] = [
    ("bios_vendor", "vendor"),
    ("bios_version", "version"),
    ("bios_date", "date"),
    ("product_name", "product"),
    ("board_name", "board"),
];

/// Reads all facts. What can't be read goes to `faults` and is absent.
pub fn read(roots: &Roots, faults: &mut dyn FnMut(&SourceError)) -> Facts {
    let (mut facts, mut buffer) = (Facts::default(), Vec::new());
    let mut value = |path: HostPath| {
        let read = text(&path, &mut buffer);
        read.map_err(|error| faults(&error)).ok().flatten()
    };
    let kernel = roots.procfs.join("sys/kernel");
    facts.put(Kind::Kernel, "release", value(kernel.join("osrelease")));
    facts.put(Kind::Kernel, "build", value(kernel.join("version")));
    for (file, name) in FIRMWARE {
        facts.put(Kind::Firmware, name, value(roots.sysfs.join("class/dmi/id").join(file)));
    }
    let microcode = roots.sysfs.join("devices/system/cpu/cpu0/microcode/version");
    facts.put(Kind::Microcode, "revision", value(microcode));
    let mut drivers = 0;
    for module in modules(&roots.sysfs.join("module")) {
        let version = value(module.join("version")).filter(|version| !version.is_empty());
        if let (Some(version), Some(name)) = (version, module.file_name().and_then(|name| name.to_str())) {
            facts.put(Kind::Driver, name, Some(version));
            drivers += 1;
        }
        if drivers == MAX_DRIVERS {
            break;
        }
    }
    facts
}

/// By name, so that the same ones are left out each time.
fn modules(directory: &HostPath) -> Vec<HostPath> {
    let mut names = directory.names(MAX_MODULES).unwrap_or_default();
    names.sort_unstable();
    names.into_iter().map(|name| directory.join(name)).collect()
}

/// A file's text without the white space around it; `None` when it is not there, or not for us.
fn text(path: &HostPath, buffer: &mut Vec<u8>) -> Result<Option<String>, SourceError> {
    match read_optional(path, SMALL_FILE, buffer) {
        Ok(true) => Ok(Some(clean(buffer))),
        Ok(false) => Ok(None),
        // The microcode was root's alone before Linux 5.19, and nobody is worse off without it.
        Err(error) if error.fault == Fault::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// What firmware calls itself may hold anything.
fn clean(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let words: Vec<_> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// Whatever firmware calls itself.
#[cfg(fuzzing)]
pub fn fuzz(content: &[u8]) {
    let text = clean(content);
    assert!(
        text.chars().count() <= LONGEST && !text.contains(char::is_control) && clean(text.as_bytes()) == text.trim()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, content).expect("written");
    }

    #[test]
    fn facts_are_those_with_a_value() {
        let tree = tempfile::tempdir().expect("directory");
        write(tree.path(), "proc/sys/kernel/osrelease", b"6.8.0-90-generic\n");
        write(tree.path(), "proc/sys/kernel/version", b"#91-Ubuntu SMP PREEMPT_DYNAMIC\n");
        write(tree.path(), "sys/class/dmi/id/bios_version", b"F36\n");
        write(tree.path(), "sys/class/dmi/id/bios_vendor", b"  \n");
        write(tree.path(), "sys/devices/system/cpu/cpu0/microcode/version", b"0xb404023\n");
        write(tree.path(), "sys/module/nvidia/version", b"570.86.15\n");
        write(tree.path(), "sys/module/amdgpu/srcversion", b"5BE\n");
        let facts = read(&Roots::under(tree.path()), &mut |error| panic!("{error}"));
        let expected = [
            (Kind::Kernel, "build", "#91-Ubuntu SMP PREEMPT_DYNAMIC"),
            (Kind::Kernel, "release", "6.8.0-90-generic"),
            (Kind::Driver, "nvidia", "570.86.15"),
            (Kind::Firmware, "version", "F36"),
            (Kind::Microcode, "revision", "0xb404023"),
        ];
        assert_eq!(facts.iter().collect::<Vec<_>>(), expected);
        assert_eq!((facts.get(Kind::Driver, "nvidia"), facts.get(Kind::Driver, "amdgpu")), (Some("570.86.15"), None));
    }

    #[test]
    fn what_can_not_be_read_is_a_fault_of_its_own() {
        let tree = tempfile::tempdir().expect("directory");
        write(tree.path(), "proc/sys/kernel/osrelease", b"6.1\n");
        fs::create_dir_all(tree.path().join("sys/class/dmi/id/bios_version")).expect("directory");
        let mut faults = Vec::new();
        let facts = read(&Roots::under(tree.path()), &mut |error| faults.push(error.fault));
        assert_eq!((facts.iter().count(), faults), (1, vec![Fault::IsADirectory]));
    }

    #[test]
    fn too_many_drivers_are_left_out() {
        let tree = tempfile::tempdir().expect("directory");
        for number in 0..2 * MAX_DRIVERS {
            write(tree.path(), &format!("sys/module/m{number}/version"), b"1\n");
        }
        assert_eq!(read(&Roots::under(tree.path()), &mut |_| ()).iter().count(), MAX_DRIVERS);
    }

    proptest::proptest! {
        #[test]
        fn whatever_firmware_calls_itself_is_one_bounded_line(content: Vec<u8>) {
            let text = clean(&content);
            proptest::prop_assert!(text.chars().count() <= LONGEST && !text.contains(char::is_control) && text.trim_start() == text);
        }
    }
}

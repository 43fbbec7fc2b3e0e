//! Which QEMU runs a guest: the host's, or that of a newer Debian suite, unpacked into the cache and never installed.

use std::path::{Path, PathBuf};

use crate::assets::{cached, fetch_newest};
use crate::{Error, Program, Result};

/// The program and the package that has it.
const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// A QEMU that emulates a PC.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: PathBuf,
    firmware: Vec<PathBuf>,
    version: String,
}

impl Qemu {
    /// The host's own.
    pub fn installed() -> Result<Self> {
        Self::of(Program::find(PROGRAM, PACKAGE)?.path().to_owned(), Vec::new())
    }

    /// The newest that Debian has: of its suite `sid`; `FLATLINE_LAB_QEMU_SUITE` names another.
    pub fn newest() -> Result<Self> {
        let suite = std::env::var("FLATLINE_LAB_QEMU_SUITE").ok().filter(|suite| !suite.is_empty());
        Self::of_suite(suite.as_deref().unwrap_or("sid"))
    }

    /// That of a suite of Debian, with the shared libraries and the firmware of that suite, downloaded at first use; an
    /// error where that is not possible within some minutes. A cached one is kept for ever; delete its directory to have
    /// a newer one.
    pub fn of_suite(suite: &str) -> Result<Self> {
        let directory = cached(&format!("{PACKAGE}-{suite}"), |_, unpacked, target| fetch(suite, unpacked, target))?;
        // Debian's QEMU looks for its firmware where it would be installed, so it would find the host's.
        let firmware = ["usr/share/qemu", "usr/share/seabios"].map(|part| directory.join(part));
        Self::of(directory.join("usr/bin").join(PROGRAM), firmware.into())
    }

    fn of(program: PathBuf, firmware: Vec<PathBuf>) -> Result<Self> {
        let said = Program::at(&program).args(["--version"]).run()?;
        let version = parse_version(&said).ok_or_else(|| Error::peer(program.display().to_string())(&said))?;
        Ok(Self { version: version.to_owned(), program, firmware })
    }

    /// Its version, e.g. `7.2.22`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The number before the first dot of [`Qemu::version`].
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// The program, told where its firmware is.
    pub(crate) fn program(&self) -> Program {
        let firmware = self.firmware.iter().flat_map(|directory| [Path::new("-L"), directory]);
        Program::at(&self.program).args(firmware)
    }
}

/// Unpacks QEMU and all it depends on, and makes the program use the C library and the others it came with: the host's
/// are too old. They are written into the program because one that is run by `ld.so` goes by the name of `ld.so`.
fn fetch(suite: &str, unpacked: &Path, target: &Path) -> Result<()> {
    fetch_newest(&["--with-dependencies", PACKAGE], unpacked, suite)?;
    let libraries = target.join("usr/lib/x86_64-linux-gnu");
    Program::find("patchelf", "patchelf")?
        .args([Path::new("--force-rpath"), Path::new("--set-rpath"), &libraries])
        .args([Path::new("--set-interpreter"), &libraries.join("ld-linux-x86-64.so.2")])
        .args([unpacked.join("usr/bin").join(PROGRAM)])
        .run()
        .map(drop)
}

/// The version in `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`.
fn parse_version(said: &str) -> Option<&str> {
    let version = said.strip_prefix("QEMU emulator version ")?.split_whitespace().next()?;
    version.split('.').all(|number| number.parse::<u32>().is_ok()).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_qemu_says() {
        let said = "QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)\nCopyright (c) 2003-2026 Fabrice Bellard\n";
        assert_eq!(parse_version(said), Some("11.1.3"));
        for nonsense in ["", "QEMU emulator version", "QEMU emulator version x.1", "qemu-img version 7.2.22"] {
            assert_eq!(parse_version(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_installed_one_says_its_version() {
        let qemu = Qemu::installed().unwrap();
        assert!(qemu.major() >= 7, "{}", qemu.version());
    }
}

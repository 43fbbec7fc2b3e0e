//! The guest's whole file system: a newc cpio archive with busybox, the given files, and what they need to run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, ModeFileType, trailer};

use crate::{Error, Program, Result};

/// Where `/init` and the rest of the lab's own files lie in the guest.
const BUSYBOX: &str = "bin/busybox";

/// An archive in the making: path in the guest, without the leading `/`, to what is there.
#[derive(Debug, Default)]
pub struct Initramfs {
    nodes: BTreeMap<PathBuf, Node>,
}

#[derive(Debug)]
enum Node {
    Directory,
    File { content: Vec<u8>, mode: u32 },
    Link(String),
    Console,
}

impl Initramfs {
    /// An archive with busybox, its applets, and the directories that are mounted on.
    pub fn with_busybox() -> Result<Self> {
        let mut archive = Self::default();
        for directory in ["dev", "proc", "sys", "tmp", "run", "root", "sbin", "usr/bin", "var/tmp"] {
            archive.add(directory, Node::Directory);
        }
        archive.add("dev/console", Node::Console);
        let busybox = Program::find("busybox", "busybox-static")?;
        archive.program_as(busybox.path(), BUSYBOX)?;
        for applet in busybox.args(["--list"]).run()?.lines().filter(|applet| *applet != "busybox") {
            archive.link(format!("bin/{applet}"), format!("/{BUSYBOX}"));
        }
        archive.link("init", format!("/{BUSYBOX}"));
        Ok(archive)
    }

    /// Adds a file.
    pub fn file(&mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) {
        self.add(path, Node::File { content: content.into(), mode: 0o644 });
    }

    /// Adds an executable file, e.g. a script.
    pub fn executable(&mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) {
        self.add(path, Node::File { content: content.into(), mode: 0o755 });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: impl AsRef<Path>, target: impl Into<String>) {
        self.add(path, Node::Link(target.into()));
    }

    /// Adds a program of the host as `/usr/bin/<its name>`, with its dynamic linker and every shared library.
    pub fn program(&mut self, source: &Path) -> Result<()> {
        self.program_as(source, Path::new("usr/bin").join(source.file_name().unwrap_or_default()))
    }

    fn program_as(&mut self, source: &Path, target: impl AsRef<Path>) -> Result<()> {
        self.copy(source, target)?;
        for library in libraries(source)? {
            self.copy(&library, &library)?;
        }
        Ok(())
    }

    fn copy(&mut self, source: &Path, target: impl AsRef<Path>) -> Result<()> {
        let content = fs::read(source).map_err(Error::file(source))?;
        let mode = fs::metadata(source).map_err(Error::file(source))?.permissions().mode() & 0o7777;
        self.add(target, Node::File { content, mode });
        Ok(())
    }

    fn add(&mut self, path: impl AsRef<Path>, node: Node) {
        let path = path.as_ref();
        let path = path.strip_prefix("/").unwrap_or(path);
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            self.nodes.entry(parent.to_owned()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Writes the archive. It is not compressed: unpacking would cost more under emulation than reading.
    pub fn write(&self, mut output: impl Write) -> std::io::Result<()> {
        for (number, (path, node)) in (1..).zip(&self.nodes) {
            let name = path.to_string_lossy();
            let entry = Builder::new(&name).ino(number);
            let (entry, content) = match node {
                Node::Directory => (entry.mode(0o755).set_mode_file_type(ModeFileType::Directory), &[][..]),
                Node::File { content, mode } => {
                    (entry.mode(*mode).set_mode_file_type(ModeFileType::Regular), &content[..])
                }
                Node::Link(target) => (entry.mode(0o777).set_mode_file_type(ModeFileType::Symlink), target.as_bytes()),
                Node::Console => {
                    (entry.mode(0o600).set_mode_file_type(ModeFileType::Char).rdev_major(5).rdev_minor(1), &[][..])
                }
            };
            let size = u32::try_from(content.len()).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
            let mut writer = entry.write(&mut output, size);
            writer.write_all(content)?;
            writer.finish()?;
        }
        trailer(&mut output)?;
        output.flush()
    }
}

/// The absolute paths of a program's dynamic linker and libraries; none when it is statically linked.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let content = fs::read(program).map_err(Error::file(program))?;
    let name = program.display().to_string();
    let elf = object::File::parse(&*content).map_err(Error::peer(&name))?;
    if object::Object::section_by_name_bytes(&elf, b".interp").is_none() {
        return Ok(Vec::new());
    }
    let listing = Program::find("ldd", "libc-bin")?.args([program]).run()?;
    parse_ldd(&listing).map_err(|library| Error::Peer { peer: name, message: format!("needs {library}, not found") })
}

/// Reads `ldd`'s lines: `libc.so.6 => /lib/libc.so.6 (0x7f..)`, `/lib64/ld-linux-x86-64.so.2 (0x7f..)`, the vdso.
fn parse_ldd(listing: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in listing.lines() {
        if let Some(missing) = line.strip_suffix("=> not found") {
            return Err(missing.trim().to_owned());
        }
        let words = line.split_whitespace();
        found.extend(words.filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_lines() {
        let listing =
            "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x7f)\n";
        assert_eq!(parse_ldd(listing), Ok(vec!["/lib/x/libc.so.6".into(), "/lib64/ld.so.2".into()]));
        assert_eq!(parse_ldd("\tlibnone.so.1 => not found\n"), Err("libnone.so.1".to_owned()));
    }

    #[test]
    fn a_dynamic_program_brings_its_linker() {
        let found = libraries(&std::env::current_exe().unwrap()).unwrap();
        let named = |part: &str| found.iter().any(|path| path.to_string_lossy().contains(part));
        assert!(named("libc.so") && named("ld-linux"), "{found:?}");
    }

    #[test]
    fn the_archive_is_complete_and_parents_come_first() {
        let mut archive = Initramfs::default();
        archive.file("/etc/deep/down", "content");
        archive.link("/link", "/etc");
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        let mut names = Vec::new();
        let mut rest = &bytes[..];
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(names, ["etc", "etc/deep", "etc/deep/down", "link"]);
    }
}

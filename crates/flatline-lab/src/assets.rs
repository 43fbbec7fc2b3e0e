//! What a guest is made of: Debian's kernel, unpacked into a cache and never installed, and its modules.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use crate::{Error, Program, Result};

/// Debian's package that depends on the newest kernel of the release.
const KERNEL_PACKAGE: &str = "linux-image-amd64";

/// Fetches a package of another suite, with all it depends on if that is asked for.
const FETCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/debian-newest.sh");
/// How long fetching may take, in seconds: some 100 MB at most.
const FETCH_SECONDS: &str = "150";

/// A kernel package, unpacked.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says, e.g. `6.1.0-56-amd64`.
    pub release: String,
    /// The Debian package and its version, where known.
    pub package: Option<String>,
    /// The bootable image.
    pub image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The kernel guests boot unless told otherwise: that of the host's Debian release, downloaded by `apt-get` at first
    /// use. With `FLATLINE_LAB_KERNEL=newest` it is [`Kernel::newest`], and any other value is a directory with an
    /// unpacked package. A cached kernel is kept for ever; delete its directory to have a newer one.
    pub fn debian() -> Result<Self> {
        match std::env::var_os("FLATLINE_LAB_KERNEL").filter(|value| !value.is_empty()) {
            None => Self::unpacked(cached(KERNEL_PACKAGE, fetch)?),
            Some(newest) if newest == "newest" => Self::newest(),
            Some(unpacked) => Self::unpacked(unpacked),
        }
    }

    /// The newest that Debian has, of its suite `sid`, downloaded at first use; an error where that is not possible
    /// within some minutes.
    pub fn newest() -> Result<Self> {
        Self::unpacked(cached(&format!("{KERNEL_PACKAGE}-sid"), |_, unpacked, _| {
            fetch_newest(&["--with-dependencies", KERNEL_PACKAGE], unpacked, "sid")
        })?)
    }

    /// A kernel package unpacked in this directory (`dpkg -x`, or `scripts/debian-newest.sh`).
    pub fn unpacked(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        let libraries = ["lib/modules", "usr/lib/modules"].map(|path| directory.join(path));
        let all_modules = libraries.iter().find(|path| path.is_dir()).unwrap_or(&libraries[0]);
        let modules = entries(all_modules)?.into_iter().next().ok_or_else(|| absent(all_modules))?;
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Since 2026 Debian's kernel lies beside its modules.
        let images = [modules.join("vmlinuz"), directory.join(format!("boot/vmlinuz-{release}"))];
        let image = images.into_iter().find(|image| image.is_file()).ok_or_else(|| absent(&directory.join("boot")))?;
        let package = fs::read_to_string(directory.join("package")).ok().map(|text| text.trim().to_owned());
        Ok(Self { release, package, image, modules })
    }

    /// The named modules and all they depend on, in the order in which they can be loaded: name and ELF image.
    /// What is built into the kernel is left out.
    ///
    /// The package has no `modules.dep` (its installation makes it), but every module names its dependencies.
    pub fn modules(&self, names: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        let found = self.all_modules()?;
        let mut loaded = Vec::new();
        for name in names {
            self.load(name, &found, &mut loaded)?;
        }
        Ok(loaded)
    }

    /// Whether it has this module, built in or not.
    pub fn has_module(&self, name: &str) -> Result<bool> {
        Ok(self.all_modules()?.contains_key(name))
    }

    fn all_modules(&self) -> Result<FoundModules> {
        let mut found = HashMap::new();
        find_modules(&self.modules.join("kernel"), &mut found)?;
        let list = self.modules.join("modules.builtin");
        for line in fs::read_to_string(&list).map_err(Error::file(&list))?.lines() {
            found.extend(module_name(Path::new(line)).map(|name| (name, None)));
        }
        Ok(found)
    }

    fn load(&self, name: &str, found: &FoundModules, loaded: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        let name = name.replace('-', "_");
        if loaded.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        let unknown = || Error::peer(format!("kernel {}", self.release))(format!("has no module `{name}`"));
        let Some(path) = found.get(&name).ok_or_else(unknown)? else { return Ok(()) };
        let image = module_image(path)?;
        for dependency in dependencies(path, &image)? {
            self.load(&dependency, found, loaded)?;
        }
        loaded.push((name, image));
        Ok(())
    }
}

/// Where each module is; `None` for what is built in.
type FoundModules = HashMap<String, Option<PathBuf>>;

/// Where downloaded kernels and QEMUs are kept: `$FLATLINE_LAB_CACHE`, else `$XDG_CACHE_HOME/flatline-lab`, else
/// `~/.cache/flatline-lab`.
pub fn cache_directory() -> Result<PathBuf> {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FLATLINE_LAB_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("flatline-lab")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/flatline-lab")))
        .ok_or_else(|| Error::Peer {
            peer: "cache directory".to_owned(),
            message: "none of FLATLINE_LAB_CACHE, XDG_CACHE_HOME and HOME is set".to_owned(),
        })
}

/// The directory of this name in the cache. Where there is none, `fetch` makes it, once on this machine at a time: it is
/// given an empty directory, the one to make in it, and where that will be moved; it appears complete or not at all.
pub(crate) fn cached(name: &str, fetch: impl FnOnce(&Path, &Path, &Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_directory()?;
    let target = cache.join(name);
    if target.is_dir() {
        return Ok(target);
    }
    fs::create_dir_all(&cache).map_err(Error::file(&cache))?;
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(Error::file(&lock_path))?;
    lock.lock().map_err(Error::file(&lock_path))?;
    if !target.is_dir() {
        let work = tempfile::tempdir_in(&cache).map_err(Error::file(&cache))?;
        let unpacked = work.path().join("unpacked");
        fetch(work.path(), &unpacked, &target)?;
        fs::rename(&unpacked, &target).map_err(Error::file(&target))?;
    }
    Ok(target)
}

/// Unpacks a package of another suite, which [`FETCH`] downloads.
pub(crate) fn fetch_newest(package: &[&str], unpacked: &Path, suite: &str) -> Result<()> {
    let timeout = Program::find("timeout", "coreutils")?.args(["--kill-after=5", FETCH_SECONDS, FETCH]);
    timeout.args(package).args([unpacked, Path::new(suite)]).run().map(drop)
}

/// Downloads the kernel and unpacks it.
fn fetch(work: &Path, unpacked: &Path, _target: &Path) -> Result<()> {
    let metapackage = download(work, KERNEL_PACKAGE)?;
    let depends = package_field(&metapackage, "Depends")?;
    let package = depends.split([' ', ',']).find(|word| word.starts_with("linux-image-"));
    let package = package.ok_or_else(|| Error::peer(KERNEL_PACKAGE)(format!("depends on no kernel: {depends}")))?;
    let archive = download(work, package)?;
    Program::find("dpkg", "dpkg")?.args([Path::new("-x"), &archive, unpacked]).run()?;
    let version = package_field(&archive, "Version")?;
    let note = unpacked.join("package");
    fs::write(&note, format!("{package} {}\n", version.trim())).map_err(Error::file(&note))
}

/// Downloads a package by the host's own apt sources; stale package lists are renewed once.
fn download(directory: &Path, package: &str) -> Result<PathBuf> {
    let apt = Program::find("apt-get", "apt")?;
    let get = apt.clone().args(["-qq", "download", package]).directory(directory);
    if get.run().is_err() {
        apt.args(["-qq", "update"]).run()?;
        get.run()?;
    }
    let is_it = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{package}_")))
    };
    entries(directory)?.into_iter().find(is_it).ok_or_else(|| absent(&directory.join(package)))
}

fn package_field(archive: &Path, field: &str) -> Result<String> {
    Program::find("dpkg-deb", "dpkg")?.args([Path::new("-f"), archive, Path::new(field)]).run()
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(directory).and_then(|listing| listing.map(|entry| Ok(entry?.path())).collect());
    listing.map_err(Error::file(directory))
}

fn absent(path: &Path) -> Error {
    Error::file(path)(std::io::ErrorKind::NotFound.into())
}

fn find_modules(directory: &Path, found: &mut FoundModules) -> Result<()> {
    for path in entries(directory)? {
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if let Some(name) = module_name(&path) {
            found.insert(name, Some(path));
        }
    }
    Ok(())
}

fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.strip_suffix(".ko").or_else(|| name.strip_suffix(".ko.xz"))?.replace('-', "_"))
}

fn module_image(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(path).map_err(Error::file(path));
    }
    let unpacked = tempfile::NamedTempFile::new().map_err(Error::file("temporary file"))?;
    let script = [path, unpacked.path()].map(|path| format!("'{}'", path.display()));
    let script = format!("xz --decompress --stdout {} >{}", script[0], script[1]);
    Program::find("xz", "xz-utils")?;
    Program::at("/bin/sh").args(["-c", &script]).run()?;
    fs::read(unpacked.path()).map_err(Error::file(path))
}

/// The `depends=` line of a module's `.modinfo` section.
fn dependencies(path: &Path, image: &[u8]) -> Result<Vec<String>> {
    let name = path.display().to_string();
    let elf = object::File::parse(image).map_err(Error::peer(&name))?;
    let section = elf.section_by_name_bytes(b".modinfo").ok_or_else(|| Error::Peer {
        peer: name.clone(),
        message: "has no .modinfo section, so it is no kernel module".to_owned(),
    })?;
    let information = section.data().map_err(Error::peer(&name))?;
    Ok(information
        .split(|&byte| byte == 0)
        .filter_map(|line| std::str::from_utf8(line).ok()?.strip_prefix("depends="))
        .flat_map(|list| list.split(','))
        .filter(|dependency| !dependency.is_empty())
        .map(str::to_owned)
        .collect())
}

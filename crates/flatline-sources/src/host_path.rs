//! Paths of the host, and the one way by which its files are opened.
//!
//! A tree below `--path.procfs`, `--path.sysfs`, `--path.cgroup` or `--path.rootfs` may hold any link: a host's own
//! absolute ones, which mean something else in a container, and such that were planted. So every link is resolved as if
//! the top of its tree were `/` (`openat2(2)`, `RESOLVE_IN_ROOT`): it leads to a file of that tree or nowhere. The links
//! of `/proc/<pid>/{root,cwd,exe,fd}` lead anywhere by nature and are refused (`ELOOP`).
//!
//! Not confined, because somebody else opens them, is what only a path can be given for: sockets (`connect(2)`), and what
//! `journalctl` and `smartctl` are told to look at. And a root itself is the operator's to choose: it may be a link, as
//! `/proc/1/root` is, below which mounts are asked.
//!
//! Linux before 5.6, and a filter of system calls that does not know `openat2`, leave links to be followed as ever:
//! [`confines_links`].

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;
use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// So often is `openat2` asked again when a mount or a renaming somewhere on the host made it unsure of a `..`.
const ATTEMPTS: usize = 32;

/// Whether this kernel keeps links inside their tree. Where it does not, they are followed wherever they lead.
#[must_use]
pub fn confines_links() -> bool {
    static ANSWER: LazyLock<bool> = LazyLock::new(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // A filter of system calls may say EPERM instead of ENOSYS.
        !matches!(openat2(CWD, c"/", flags, Mode::empty(), CONFINED), Err(Errno::NOSYS | Errno::PERM))
    });
    *ANSWER
}

const CONFINED: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Opens what is at `name` in an open directory that no link leads out of: for reading, blocking, closed on exec;
/// `extra` adds `NOFOLLOW`, `DIRECTORY` or `PATH`.
pub(crate) fn open_below(directory: BorrowedFd<'_>, name: impl Arg + Copy, extra: OFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | extra;
    if !confines_links() {
        return retry_on_intr(|| openat(directory, name, flags, Mode::empty()));
    }
    let open = || retry_on_intr(|| openat2(directory, name, flags, Mode::empty(), CONFINED));
    let mut opened = open();
    for _ in 1..ATTEMPTS {
        if !matches!(opened, Err(Errno::AGAIN)) {
            break;
        }
        opened = open();
    }
    opened
}

/// A path of the host and the root it does not lead out of. Made from a path it is a root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPath {
    path: PathBuf,
    root: Arc<Path>,
}

impl HostPath {
    /// What is below this path, in the same root; an absolute path is one as the host has it.
    #[must_use]
    pub fn join(&self, below: impl AsRef<Path>) -> Self {
        let below = below.as_ref();
        Self { path: self.path.join(below.strip_prefix("/").unwrap_or(below)), root: Arc::clone(&self.root) }
    }

    /// Whether there is something, at the end of all links.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.stat().is_ok()
    }

    /// Whether there is a directory, at the end of all links.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.stat().is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Where the link at this path points to; the link is not followed.
    ///
    /// # Errors
    /// When there is no link.
    pub fn read_link(&self) -> Result<PathBuf, Errno> {
        let link = self.open(OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = readlinkat(&link, c"", Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// The names in this directory, in no order, of its first `most` entries; such that are no UTF-8 are left out.
    ///
    /// # Errors
    /// When it can't be opened or listed.
    pub fn names(&self, most: usize) -> Result<Vec<String>, Errno> {
        let entries = self.open(OFlags::DIRECTORY).and_then(Dir::new)?;
        let entries = entries.filter(|entry| !entry.as_ref().is_ok_and(|entry| is_dots(entry.file_name().to_bytes())));
        let name = |entry: rustix::fs::DirEntry| entry.file_name().to_str().map(str::to_owned).ok();
        entries.take(most).filter_map(|entry| entry.map(name).transpose()).collect()
    }

    /// Opens it as [`open_below`] does.
    pub(crate) fn open(&self, extra: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Opened anew each time: what is mounted there may change while the exporter runs.
        let root = retry_on_intr(|| openat(CWD, &*self.root, flags, Mode::empty()))?;
        let below = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        open_below(root.as_fd(), below, extra)
    }

    /// What is there, at the end of all links.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        self.open(OFlags::PATH).and_then(fstat)
    }

    /// What is there, if it is a link the link.
    pub(crate) fn stat_itself(&self) -> Result<Stat, Errno> {
        self.open(OFlags::PATH | OFlags::NOFOLLOW).and_then(fstat)
    }
}

fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

impl<P: Into<PathBuf>> From<P> for HostPath {
    fn from(root: P) -> Self {
        let path = root.into();
        Self { root: path.as_path().into(), path }
    }
}

impl Deref for HostPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for HostPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl PartialEq<Path> for HostPath {
    fn eq(&self, other: &Path) -> bool {
        self.path == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A root with `inside`, and `outside` beside it; both hold their own name.
    fn tree() -> (tempfile::TempDir, HostPath) {
        let tree = tempfile::tempdir().expect("directory");
        let root = tree.path().join("root");
        fs::create_dir_all(root.join("devices/pci")).expect("directory");
        for file in ["root/inside", "root/devices/pci/inside", "outside"] {
            fs::write(tree.path().join(file), file.rsplit('/').next().expect("a name")).expect("file");
        }
        (tree, root.into())
    }

    fn content(path: &HostPath) -> Result<String, Errno> {
        use std::io::Read as _;
        let mut text = String::new();
        fs::File::from(path.open(OFlags::empty())?).read_to_string(&mut text).expect("readable");
        Ok(text)
    }

    #[test]
    fn no_link_leads_out_of_a_root() {
        if !confines_links() {
            return flatline_lab::skipped("links that lead out of a root", "no openat2");
        }
        let (tree, root) = tree();
        let outside = tree.path().join("outside");
        let planted = [
            ("absolute", outside.clone()),
            ("upwards", "../outside".into()),
            ("far_up", format!("{}{}", "../".repeat(20), outside.display()).into()),
            ("way", tree.path().into()),
        ];
        for (name, target) in &planted {
            symlink(target, root.join(name)).expect("link");
        }
        for name in ["absolute", "upwards", "far_up", "way/outside", "../outside", "devices/../../outside"] {
            assert_eq!(content(&root.join(name)), Err(Errno::NOENT), "{name}");
            assert!(!root.join(name).exists(), "{name}");
        }
        let directory = root.open(OFlags::DIRECTORY).expect("the root");
        for (name, _) in &planted {
            assert_eq!(open_below(directory.as_fd(), *name, OFlags::empty()).map(drop), Err(Errno::NOENT), "{name}");
        }
    }

    /// What a reader would understand if it came by it.
    const BAIT: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nmemory\n";

    #[test]
    fn no_reader_is_led_out_of_any_root() {
        if !confines_links() {
            return flatline_lab::skipped("readers that are led out of a root", "no openat2");
        }
        let (tree, root) = tree();
        fs::write(tree.path().join("outside"), BAIT).expect("file");
        let planted =
            ["proc/pressure/cpu", "sys/class/dmi/id/bios_vendor", "sys/fs/cgroup/cgroup.controllers", "run/nologin"];
        let plant = |target: &Path| {
            for path in planted.map(|path| root.join(path)) {
                fs::create_dir_all(path.parent().expect("a directory")).expect("directory");
                let _ = fs::remove_file(&path);
                symlink(target, &path).expect("link");
            }
        };
        let roots = crate::Roots::under(&root);
        let seen = || {
            let facts = crate::host_facts::read(&roots, &mut |fault| panic!("{fault}")).iter().count();
            let memcg = crate::memcg::Reader::probe(&roots, &crate::memcg::Options::default()).present();
            let pressure = crate::pressure::Reader::probe(&roots).present();
            let stopping = roots.rootfs.join("run/nologin").exists();
            (pressure.is_some(), facts, memcg.is_some(), stopping)
        };
        for target in [tree.path().join("outside"), "../../../../../../outside".into()] {
            plant(&target);
            assert_eq!(seen(), (false, 0, false, false), "{}", target.display());
        }
        for top in [&roots.procfs, &roots.sysfs, &roots.rootfs] {
            fs::write(top.join("bait"), BAIT).expect("file");
        }
        plant(Path::new("/bait"));
        assert_eq!(seen(), (true, 1, true, true), "each in its own root");
    }

    #[test]
    fn a_link_of_the_host_means_what_it_means_there() {
        if !confines_links() {
            return flatline_lab::skipped("a host's absolute links", "no openat2");
        }
        let (_tree, root) = tree();
        symlink("/inside", root.join("absolute")).expect("link");
        symlink("/../../inside", root.join("above_the_top")).expect("link");
        assert_eq!(content(&root.join("absolute")).as_deref(), Ok("inside"));
        assert_eq!(content(&root.join("above_the_top")).as_deref(), Ok("inside"));
    }

    #[test]
    fn the_links_of_sysfs_lead_where_they_lead() {
        let (_tree, root) = tree();
        fs::create_dir_all(root.join("class/x")).expect("directory");
        symlink("../../devices/pci", root.join("class/x/pci")).expect("link");
        let device = root.join("class/x/pci");
        assert_eq!(content(&device.join("inside")).as_deref(), Ok("inside"));
        assert_eq!(device.names(8), Ok(vec!["inside".to_owned()]));
        assert_eq!(device.join("..").names(8), Ok(vec!["pci".to_owned()]), "up from where the link leads");
        assert_eq!(device.read_link(), Ok("../../devices/pci".into()));
        assert!(device.is_dir() && root.is_dir() && !root.join("inside").is_dir());
        let is_link = |stat: Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        assert_eq!((device.stat().map(is_link), device.stat_itself().map(is_link)), (Ok(false), Ok(true)));
        assert_eq!(root.join("inside").read_link(), Err(Errno::NOENT));
    }

    #[test]
    fn below_the_real_roots_everything_is_as_ever() {
        let comm = fs::read_to_string("/proc/self/comm").expect("a name");
        let own = format!("{}/comm", std::process::id());
        assert_eq!(content(&HostPath::from("/proc").join(own)).as_deref(), Ok(&*comm));
        assert!(HostPath::from("/").join("/proc/self/comm").exists(), "a link that procfs makes up");
        assert!(HostPath::from("/proc/self/root").join("proc").is_dir(), "a root may be such a link");
        if confines_links() {
            let refused = HostPath::from("/proc").join("self/root/proc");
            assert_eq!(refused.open(OFlags::PATH).map(drop), Err(Errno::LOOP));
        }
    }
}

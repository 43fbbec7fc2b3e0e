//! Network file systems: which are mounted where, whether each answers, and what the kernel's clients for them count.
//!
//! The mounts are those of process 1, so that the exporter sees the host's also from a mount namespace of its own
//! (`ProtectSystem=`, `PrivateTmp=`, a container with the host's procfs). They are asked below `/proc/1/root`, which
//! takes `CAP_SYS_PTRACE`, else below the root file system.

mod ask;
mod cifs;
mod mountinfo;
mod nfs;

pub use ask::{Answer, ask};
pub use cifs::{Cifs, Share};
pub use mountinfo::{Device, Entry, Tree, parse as parse_mountinfo, unescape};
pub use nfs::{NfsClient, NfsMount, parse_client, parse_mountstats};

use crate::patterns::{GlobSet, of_paths};
use crate::read::{STATISTICS_FILE, read_bounded, read_optional};
use crate::{HostPath, Probe, Roots, SourceError};
use rustix::fs::OFlags;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Mounts beyond a hundred thousand are no host's.
const MOUNTINFO_BYTES: usize = 16 << 20;
/// Names longer than a path may be are cut.
const LONGEST_TEXT: usize = 1024;

/// Types that ask a server, or a process that acts as one.
pub const FSTYPES: &[&str] = &[
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "fuse.*", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "smb3", "smbfs", "virtiofs", "vboxsf",
];

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct Options {
    fstypes: GlobSet,
    exclude: GlobSet,
    max_mounts: usize,
    automounted: bool,
}

impl Options {
    /// Mounts of these types (patterns), less those at these places (patterns; `*` does not cross a `/`, `**` does);
    /// `automounted` says whether those are asked, too, that autofs mounts on demand.
    ///
    /// # Errors
    /// When a pattern is malformed, in words.
    pub fn new<P: AsRef<str>>(
        fstypes: &[P],
        exclude: &[P],
        max_mounts: usize,
        automounted: bool,
    ) -> Result<Self, String> {
        let compiled = |patterns| of_paths(patterns).map_err(|error| error.to_string());
        Ok(Self { fstypes: compiled(fstypes)?, exclude: compiled(exclude)?, max_mounts, automounted })
    }
}

/// One file system to ask, however often it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its superblock.
    pub device: Device,
    /// The first place where it can be reached.
    pub mountpoint: PathBuf,
    /// How it is shown; no two mounts are shown the same.
    pub labels: Arc<Labels>,
    /// Why it is not to be asked, if so.
    pub unasked: Option<Unasked>,
}

impl Mount {
    /// Who answers for it, as far as its source tells: `nas` of `nas:/films`, `//nas/films` and `me@nas:`. What names no
    /// server (`gvfsd-fuse`) is taken for one.
    #[must_use]
    pub fn server(&self) -> &str {
        let source = self.labels.source.as_str();
        let url = source.split_once("//").filter(|(scheme, _)| scheme.is_empty() || scheme.ends_with(':'));
        let server = match url {
            Some((_, place)) => place.split('/').next(),
            // An address of IPv6 has colons of its own, in brackets.
            None => source.split(":/").next().map(|server| server.trim_end_matches(':')),
        };
        let server = server.unwrap_or(source);
        server.rsplit_once('@').map_or(server, |(_, server)| server)
    }
}

/// Why a mount is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// Other mounts lie over each place where it is mounted.
    Hidden,
    /// Asking would keep autofs from unmounting it, and the operator does not want that.
    Automounted,
}

/// A mount in words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Its type.
    pub fstype: String,
    /// What is mounted.
    pub source: String,
}

/// The network mounts of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Each once.
    pub mounts: Vec<Mount>,
    /// How many there were no room for.
    pub beyond_bound: usize,
    /// How many look just like one that is shown.
    pub alike: usize,
}

/// Bytes as text: what is no UTF-8 is replaced, what is too long is cut.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..LONGEST_TEXT).unwrap_or(bytes)).into_owned()
}

/// Picks the network mounts out of all.
#[must_use]
pub fn select(entries: &[Entry], options: &Options) -> Mounts {
    let tree = Tree::new(entries);
    let wanted = entries.iter().filter(|entry| {
        options.fstypes.is_match(OsStr::from_bytes(&entry.fstype))
            && !options.exclude.is_match(OsStr::from_bytes(&entry.mountpoint))
    });
    // One server is asked once: where it can be seen, or else where it is hidden.
    let (visible, hidden): (Vec<&Entry>, Vec<&Entry>) = wanted.partition(|entry| !tree.is_hidden(entry));
    let shown = visible.len();
    let (mut devices, mut shapes, mut found) = (HashSet::new(), HashSet::new(), Mounts::default());
    for (index, entry) in visible.into_iter().chain(hidden).enumerate() {
        if !devices.insert(entry.device) {
            continue;
        }
        let labels =
            Labels { mountpoint: text(&entry.mountpoint), fstype: text(&entry.fstype), source: text(&entry.source) };
        let unasked = if index >= shown {
            Some(Unasked::Hidden)
        } else if tree.is_automounted(entry) && !options.automounted {
            Some(Unasked::Automounted)
        } else {
            None
        };
        if found.mounts.len() >= options.max_mounts {
            found.beyond_bound += 1;
        } else if !shapes.insert(labels.clone()) {
            found.alike += 1;
        } else {
            let mountpoint = PathBuf::from(OsStr::from_bytes(&entry.mountpoint));
            found.mounts.push(Mount { device: entry.device, mountpoint, labels: Arc::new(labels), unasked });
        }
    }
    found
}

/// Reads which network file systems are mounted.
#[derive(Debug)]
pub struct Reader {
    path: HostPath,
    base: HostPath,
    options: Options,
    content: Vec<u8>,
    before: Vec<u8>,
    found: Mounts,
    broken: usize,
}

impl Reader {
    /// Looks for network mounts; absent when there is none.
    #[must_use]
    pub fn probe(roots: &Roots, options: Options) -> Probe<Self> {
        let Some((path, base)) = namespace(roots) else {
            return Probe::Absent(format!("no {}/1/mountinfo and no self/mountinfo", roots.procfs.display()));
        };
        let mut reader =
            Self { path, base, options, content: Vec::new(), before: Vec::new(), found: Mounts::default(), broken: 0 };
        let has_none = match reader.read(&mut |_| ()) {
            Ok(found) => found.mounts.is_empty(),
            Err(error) => return Probe::Broken(error),
        };
        if has_none { Probe::Absent("no network file system is mounted".to_owned()) } else { Probe::Present(reader) }
    }

    /// Below which directory the mounts are found.
    #[must_use]
    pub const fn base(&self) -> &HostPath {
        &self.base
    }

    /// The mounts as they are now. Nothing is allocated while nothing is mounted or unmounted.
    ///
    /// # Errors
    /// When the file can't be read. Lines that can't be understood go to `faults`.
    pub fn read(&mut self, faults: &mut dyn FnMut(&SourceError)) -> Result<&Mounts, SourceError> {
        read_bounded(&self.path, MOUNTINFO_BYTES, &mut self.content)?;
        if self.content != self.before {
            let (entries, broken) = parse_mountinfo(&self.content);
            (self.found, self.broken) = (select(&entries, &self.options), broken);
            std::mem::swap(&mut self.content, &mut self.before);
        }
        if self.broken > 0 {
            let detail = format!("{} lines describe no mount", self.broken);
            faults(&SourceError::invalid(&self.path, detail));
        }
        Ok(&self.found)
    }
}

/// Whose mounts are read, and below which directory they are found: a link to a root that is named here, and by nobody
/// else.
fn namespace(roots: &Roots) -> Option<(HostPath, HostPath)> {
    let (first, own) = (roots.procfs.join("1"), roots.procfs.join("self"));
    let mountinfo = [&first, &own].map(|process| process.join("mountinfo"));
    let path = mountinfo.into_iter().find(|path| path.open(OFlags::empty()).is_ok())?;
    let inside = first.join("root");
    let is_firsts = path.starts_with(&first) && roots.elsewhere().is_none() && inside.read_link().is_ok();
    Some((path, if is_firsts { inside.to_path_buf().into() } else { roots.rootfs.clone() }))
}

/// What the clients in the kernel count. None of these files asks a server, but each may wait for the client's locks:
/// read them from a thread that nobody waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients {
    /// The SMB client, if its module is loaded.
    pub cifs: Option<Cifs>,
    /// The NFS client, if its module is loaded.
    pub nfs: Option<NfsClient>,
    /// The NFS mounts.
    pub nfs_mounts: Vec<NfsMount>,
}

/// Reads them; the errors are about files that exist and can't be read or understood.
#[must_use]
pub fn read_clients(roots: &Roots) -> (Clients, Vec<SourceError>) {
    let (mut clients, mut errors, mut content) = (Clients::default(), Vec::new(), Vec::new());
    let cifs = roots.procfs.join("fs/cifs/Stats");
    if told(read_optional(&cifs, STATISTICS_FILE * 4, &mut content), &mut errors) {
        clients.cifs = Cifs::parse(&content);
        if clients.cifs.is_none() {
            errors.push(SourceError::invalid(&cifs, "holds none of the figures known"));
        }
    }
    let nfs = roots.procfs.join("net/rpc/nfs");
    if told(read_optional(&nfs, STATISTICS_FILE, &mut content), &mut errors) {
        clients.nfs = parse_client(&content);
        if clients.nfs.is_none() {
            errors.push(SourceError::invalid(&nfs, "has no line `rpc CALLS RETRANSMISSIONS`"));
        }
        // Process 1's are root's to read; ours are as good while we see the same mounts.
        let mut read = |process: &str| {
            read_optional(&roots.procfs.join(process).join("mountstats"), MOUNTINFO_BYTES, &mut content)
        };
        let found = match read("1") {
            Ok(true) => Ok(true),
            _ => read("self"),
        };
        if told(found, &mut errors) {
            clients.nfs_mounts = parse_mountstats(&content);
        }
    }
    (clients, errors)
}

fn told(found: Result<bool, SourceError>, errors: &mut Vec<SourceError>) -> bool {
    found.unwrap_or_else(|error| {
        errors.push(error);
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(exclude: &[&str], max: usize, automounted: bool) -> Options {
        Options::new(FSTYPES, exclude, max, automounted).expect("patterns")
    }

    const HOST: &str = "\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:21 / /proc rw - proc proc rw
3 1 0:30 / /mnt/media rw - cifs //nas/media rw
4 1 0:30 /films /srv/films rw - cifs //nas/media/films rw
5 1 0:31 / /mnt/auto rw - autofs systemd-1 rw
6 5 0:32 / /mnt/auto rw - nfs4 nas:/auto rw
7 1 0:33 / /mnt/waiting rw - autofs systemd-1 rw
8 1 0:34 / /mnt/hidden rw - fuse.sshfs host:/ rw
9 8 0:35 / /mnt/hidden rw - tmpfs t rw
10 1 0:36 / /home/me/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
";

    fn found(options: &Options) -> (Vec<(String, Option<Unasked>)>, usize, usize) {
        let found = select(&parse_mountinfo(HOST.as_bytes()).0, options);
        let mounts = found.mounts.iter().map(|mount| (mount.labels.mountpoint.clone(), mount.unasked));
        (mounts.collect(), found.beyond_bound, found.alike)
    }

    #[test]
    fn a_source_names_its_server() {
        for (source, server) in [
            ("nas:/films", "nas"),
            ("//nas/films/new", "nas"),
            ("[fd00::5]:/films", "[fd00::5]"),
            ("me@nas:", "nas"),
            ("me@nas:/home/me", "nas"),
            ("https://me:secret@nas:8443/dav", "nas:8443"),
            ("mon1,mon2:/", "mon1,mon2"),
            ("gvfsd-fuse", "gvfsd-fuse"),
            ("", ""),
        ] {
            let labels = Labels { mountpoint: String::new(), fstype: String::new(), source: source.to_owned() };
            let device = parse_mountinfo(HOST.as_bytes()).0[0].device;
            let mount = Mount { device, mountpoint: PathBuf::new(), labels: Arc::new(labels), unasked: None };
            assert_eq!(mount.server(), server, "{source}");
        }
    }

    #[test]
    fn each_server_once_and_no_trigger() {
        let expected = [
            ("/mnt/media", None),
            ("/mnt/auto", None),
            ("/home/me/gvfs", None),
            ("/mnt/hidden", Some(Unasked::Hidden)),
        ];
        let (mounts, beyond, alike) = found(&options(&[], 100, true));
        assert!(mounts.iter().map(|(path, unasked)| (path.as_str(), *unasked)).eq(expected), "{mounts:?}");
        assert_eq!((beyond, alike), (0, 0));
    }

    #[test]
    fn the_operator_chooses() {
        let (mounts, ..) = found(&options(&["/home/**", "/mnt/media"], 100, false));
        let expected =
            [("/srv/films", None), ("/mnt/auto", Some(Unasked::Automounted)), ("/mnt/hidden", Some(Unasked::Hidden))];
        assert!(mounts.iter().map(|(path, unasked)| (path.as_str(), *unasked)).eq(expected), "{mounts:?}");
        let (mounts, beyond, _) = found(&options(&[], 2, true));
        assert_eq!((mounts.len(), beyond), (2, 2));
        assert!(Options::new(&["nfs{"], &[], 1, true).expect_err("malformed").contains("nfs{"));
    }

    #[test]
    fn two_that_would_be_shown_alike_are_one() {
        let twice = "1 0 0:30 / /m\u{00e9} rw - nfs s:/ rw\n2 0 0:31 / /m\u{00e9} rw - nfs s:/ rw\n";
        let found = select(&parse_mountinfo(twice.as_bytes()).0, &options(&[], 10, true));
        assert_eq!((found.mounts.len(), found.alike), (1, 1));
    }

    #[test]
    fn a_recorded_tree_is_read_below_its_root() {
        let tree = tempfile::tempdir().expect("directory");
        let roots = Roots::under(tree.path());
        assert!(matches!(Reader::probe(&roots, options(&[], 10, true)), Probe::Absent(_)));
        std::fs::create_dir_all(roots.procfs.join("self")).expect("directory");
        let mountinfo = roots.procfs.join("self/mountinfo");
        std::fs::write(&mountinfo, "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n").expect("write");
        let absent = Reader::probe(&roots, options(&[], 10, true));
        assert!(matches!(absent, Probe::Absent(reason) if reason.contains("no network file system")));
        std::fs::write(&mountinfo, HOST).expect("write");
        let mut reader = Reader::probe(&roots, options(&[], 10, true)).present().expect("mounts");
        assert_eq!(reader.base(), tree.path());
        assert_eq!(reader.read(&mut |fault| panic!("{fault}")).expect("read").mounts.len(), 4);
        std::fs::write(&mountinfo, "broken\n").expect("write");
        let mut faults = 0;
        assert!(reader.read(&mut |_| faults += 1).expect("read").mounts.is_empty());
        reader.read(&mut |_| faults += 1).expect("read");
        assert_eq!(faults, 2);
    }

    proptest! {
        #[test]
        fn what_is_selected_is_unique_and_bounded(
            lines in proptest::collection::vec((0_u64..9, 0_u64..9, 0_u32..9, "(/[ab]){1,3}", "nfs|cifs|ext4|autofs|fuse\\.x"), 0..30),
            max in 0_usize..6,
        ) {
            let lines = lines.iter().map(|(id, parent, minor, path, kind)| format!("{id} {parent} 0:{minor} / {path} rw - {kind} s rw\n"));
            let found = select(&parse_mountinfo(lines.collect::<String>().as_bytes()).0, &options(&[], max, true));
            prop_assert!(found.mounts.len() <= max);
            let labels: HashSet<_> = found.mounts.iter().map(|mount| &mount.labels).collect();
            let devices: HashSet<_> = found.mounts.iter().map(|mount| mount.device).collect();
            prop_assert_eq!((labels.len(), devices.len()), (found.mounts.len(), found.mounts.len()));
            prop_assert!(found.mounts.iter().all(|mount| mount.labels.fstype != "ext4" && mount.labels.fstype != "autofs"));
        }
    }
}

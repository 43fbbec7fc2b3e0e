//! Finds the QMP sockets of the host's virtual machines.

use super::listing::{in_root, is_missing, list, plain_number, same_path};
use super::pattern::{Kind, Pattern, expand};
use super::process::read_process;
use crate::read::{parsed, read_optional};
use crate::{HostPath, Roots, SourceError};
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Proxmox VE's run-time directory, with `<vmid>.qmp` and `<vmid>.pid`.
const PROXMOX: &str = "/run/qemu-server";
/// A process id and a line break.
const PID_FILE: usize = 64;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether to look for Proxmox VE's machines.
    pub proxmox: bool,
    /// Sockets named by the operator.
    pub sockets: Vec<Pattern>,
    /// So many machines are watched; further ones are only counted.
    pub max_vms: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { proxmox: true, sockets: Vec::new(), max_vms: 256 }
    }
}

/// How a machine was found. A socket found in several ways has the first of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The operator named its socket.
    Config,
    /// Proxmox VE runs it.
    Proxmox,
    /// Its socket matches a pattern.
    Glob,
}

impl Source {
    /// Every source, in the order of the catalogue.
    pub const ALL: [Self; 3] = [Self::Proxmox, Self::Config, Self::Glob];

    /// The value of the catalogue's label `source`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Proxmox => "proxmox",
            Self::Config => "config",
            Self::Glob => "glob",
        }
    }
}

/// A virtual machine, or the place where one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The path of its QMP socket on the host; nothing need be there. See [`Vm::address`].
    pub socket: PathBuf,
    /// How it was found.
    pub source: Source,
    /// The name the operator gave it.
    pub configured_name: Option<String>,
    /// The socket's file name without its last extension.
    pub stem: String,
    /// Proxmox VE's number.
    pub vmid: Option<u32>,
    /// QEMU's process by Proxmox VE's `<vmid>.pid`, if it lives.
    pub pid: Option<u32>,
}

impl Vm {
    /// Where this process finds the socket. Who connects there has the kernel follow symbolic links, which
    /// [`HostPath`] does not confine: an absolute one below another root than `/` leads astray.
    #[must_use]
    pub fn address(&self, roots: &Roots) -> PathBuf {
        in_root(roots, &self.socket).to_path_buf()
    }

    fn new(socket: PathBuf, source: Source) -> Self {
        let stem = socket.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { socket, source, configured_name: None, stem, vmid: None, pid: None }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The machines, by source and path.
    pub vms: Vec<Vm>,
    /// How many more there are than [`Options::max_vms`].
    pub left_out: usize,
}

type Faults<'a> = &'a mut dyn FnMut(&SourceError);

/// Looks for machines. Reads directories, pid files and `stat` of processes, follows links, and opens no socket;
/// `/etc/pve` is not touched. What can't be looked at goes to `faults` and the rest is found all the same.
pub fn discover(roots: &Roots, options: &Options, faults: Faults<'_>) -> Discovery {
    let mut candidates = Vec::new();
    for pattern in &options.sockets {
        match &pattern.kind {
            Kind::Socket { name, path } => candidates.push(configured(roots, name.as_ref(), path, faults)),
            Kind::Glob(components) => {
                let paths = expand(components, roots, faults);
                candidates.extend(paths.into_iter().filter_map(|path| matched(roots, path, faults)));
            }
        }
    }
    if options.proxmox {
        candidates.extend(proxmox(roots, faults));
    }
    let mut vms = merge(candidates);
    let left_out = vms.len().saturating_sub(options.max_vms);
    vms.truncate(options.max_vms);
    Discovery { vms, left_out }
}

/// A machine with what is needed to see that it was found twice.
struct Candidate {
    vm: Vm,
    identity: Option<Identity>,
}

/// Which file a socket is.
#[derive(Debug, Clone, Copy)]
struct Identity {
    device: u64,
    inode: u64,
    /// Reached by a link: its own name is the better one.
    link: bool,
}

fn configured(roots: &Roots, name: Option<&String>, path: &Path, faults: Faults<'_>) -> Candidate {
    let identity = identify(&in_root(roots, path), faults);
    Candidate { vm: Vm { configured_name: name.cloned(), ..Vm::new(path.into(), Source::Config) }, identity }
}

fn matched(roots: &Roots, path: PathBuf, faults: Faults<'_>) -> Option<Candidate> {
    let identity = Some(identify(&in_root(roots, &path), faults)?);
    Some(Candidate { vm: Vm::new(path, Source::Glob), identity })
}

/// Which socket is at that path; `None` when there is none, or it can't be told.
fn identify(path: &HostPath, faults: Faults<'_>) -> Option<Identity> {
    let found = path.stat().and_then(|target| Ok((target, path.stat_itself()?)));
    match found {
        Ok((target, itself)) => (file_type(&target) == FileType::Socket).then(|| Identity {
            device: target.st_dev,
            inode: target.st_ino,
            link: file_type(&itself) == FileType::Symlink,
        }),
        Err(errno) => {
            if !is_missing(errno) {
                faults(&SourceError::os(path, errno));
            }
            None
        }
    }
}

fn file_type(stat: &rustix::fs::Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Proxmox VE's machines: whatever has a socket or a living process. A stopped one has a configuration only.
fn proxmox(roots: &Roots, faults: Faults<'_>) -> Vec<Candidate> {
    let directory = in_root(roots, Path::new(PROXMOX));
    let mut has_pid_file = BTreeMap::new();
    let listed = list(&directory, |name, _| {
        if let Some((vmid, is_pid_file)) = proxmox_file(name.to_bytes()) {
            *has_pid_file.entry(vmid).or_insert(false) |= is_pid_file;
        }
    });
    if let Err(error) = listed {
        faults(&error);
    }
    let machine = |(vmid, has_pid_file)| {
        let socket = Path::new(PROXMOX).join(format!("{vmid}.qmp"));
        let identity = identify(&in_root(roots, &socket), faults);
        let pid = if has_pid_file { living_qemu(roots, &directory.join(format!("{vmid}.pid")), faults) } else { None };
        let vm = Vm { vmid: Some(vmid), pid, ..Vm::new(socket, Source::Proxmox) };
        (identity.is_some() || pid.is_some()).then_some(Candidate { vm, identity })
    };
    has_pid_file.into_iter().filter_map(machine).collect()
}

/// The machine of `<vmid>.qmp` or `<vmid>.pid`, and whether it is the latter.
fn proxmox_file(name: &[u8]) -> Option<(u32, bool)> {
    match name.strip_suffix(b".pid") {
        Some(vmid) => Some((plain_number(vmid)?, true)),
        None => Some((plain_number(name.strip_suffix(b".qmp")?)?, false)),
    }
}

/// The process a pid file names, if it lives and is a QEMU: the number may be another's by now.
fn living_qemu(roots: &Roots, pid_file: &HostPath, faults: Faults<'_>) -> Option<u32> {
    let alive = read_pid(pid_file).and_then(|pid| {
        let Some(pid) = pid else { return Ok(None) };
        Ok(read_process(roots, pid)?.filter(|process| process.is_alive() && process.is_qemu()).map(|_| pid))
    });
    alive.unwrap_or_else(|error| {
        faults(&error);
        None
    })
}

fn read_pid(path: &HostPath) -> Result<Option<u32>, SourceError> {
    let mut content = Vec::new();
    if !read_optional(path, PID_FILE, &mut content)? {
        return Ok(None);
    }
    let pid = plain_number(content.trim_ascii()).filter(|pid| *pid > 0);
    parsed(pid, path, &content, "a process id").map(Some)
}

/// One machine for each socket, the best way it was found first; what another way knows of it is kept.
fn merge(mut candidates: Vec<Candidate>) -> Vec<Vm> {
    let is_link = |candidate: &Candidate| candidate.identity.is_some_and(|identity| identity.link);
    candidates.sort_by(|a, b| {
        let key =
            |candidate: &Candidate| (candidate.vm.source, candidate.vm.configured_name.is_none(), is_link(candidate));
        key(a).cmp(&key(b)).then_with(|| a.vm.socket.cmp(&b.vm.socket))
    });
    let mut vms: Vec<Vm> = Vec::new();
    let (mut by_path, mut by_identity) = (BTreeMap::new(), BTreeMap::new());
    for Candidate { vm, identity } in candidates {
        let identity = identity.map(|identity| (identity.device, identity.inode));
        let path = same_path(&vm.socket).into_owned();
        let known = identity.and_then(|identity| by_identity.get(&identity)).or_else(|| by_path.get(&path)).copied();
        let index = known.unwrap_or(vms.len());
        by_path.insert(path, index);
        if let Some(identity) = identity {
            by_identity.insert(identity, index);
        }
        match vms.get_mut(index) {
            Some(known) => {
                known.vmid = known.vmid.or(vm.vmid);
                known.pid = known.pid.or(vm.pid);
            }
            None => vms.push(vm),
        }
    }
    vms.sort_by(|a, b| (a.source, &a.socket).cmp(&(b.source, &b.socket)));
    vms
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;

//! The directories of a cgroup hierarchy, found cheaply.
//!
//! A directory of kernfs, tmpfs, ext4 or XFS has a link count of 2 plus its subdirectories, so one that did not
//! change needs no listing. What the count can't show (one removed and one created between two reads) shows
//! as `ENODEV` when the removed one is read, and at the latest when the directory's turn for a listing comes.

use super::budget::Budget;
use super::derive::is_work;
use super::files::FILES;
use super::options::{Filter, Options};
use crate::error::ReadError;
use crate::host_path::open_below;
use crate::read::FileSystem;
use crate::value::Limit;
use crate::{HostPath, SourceError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, SeekFrom, fstat, seek, statat};
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::Arc;

/// The kernel itself has no more memory cgroups than this (16-bit ids).
const MAX_CGROUPS: usize = 65_536;
/// Every so many reads a directory is listed, and a missing file looked for, whatever the link count says.
const ROTATION: u64 = 16;
/// Room for about 400 directory entries a call.
const LISTING_BUFFER: usize = 32 * 1024;

/// A file of a cgroup between two reads.
#[derive(Debug, Default)]
pub(super) enum Slot {
    /// Not tried yet.
    #[default]
    Unknown,
    /// It exists; opened for each read.
    Closed,
    /// It exists and is held open.
    Held(OwnedFd),
    /// It does not exist: the controller is off there, or the kernel does not have it.
    Absent,
}

/// What is remembered of a cgroup between two reads.
#[derive(Debug)]
pub(super) struct Node {
    name: CString,
    pub(super) path: Arc<str>,
    pub(super) parent: u32,
    pub(super) depth: u32,
    /// Order of discovery: breaks ties so that the choice under the cap is stable.
    pub(super) birth: u64,
    inode: u64,
    directory: Option<OwnedFd>,
    children: Vec<u32>,
    links_seen: u64,
    listed: bool,
    dirty: bool,
    pub(super) slots: [Slot; FILES],
    /// [`is_work`] of the path.
    pub(super) work: bool,
    /// Within the include and exclude patterns.
    pub(super) included: bool,
    /// Not shown, but its limits hold for a cgroup below that is.
    pub(super) limits_wanted: bool,
    /// Not left out by the series cap.
    pub(super) selected: bool,
    /// Series of the last read, or the most there can be.
    pub(super) series: u32,
    /// 2: ran into a limit of its own once; 1: waited for memory once; 0: never, as far as known. Only rises.
    pub(super) activity: u8,
    pub(super) rated: bool,
    /// Number of the last read that got it.
    pub(super) read_number: u64,
    /// Its place in the reading of that read.
    pub(super) entry: usize,
    pub(super) max: Option<Limit>,
    pub(super) swap_max: Option<Limit>,
}

struct Listed {
    start: usize,
    end: usize,
    inode: u64,
}

/// All directories down to the depth bound.
pub(super) struct Tree {
    pub(super) root: HostPath,
    pub(super) system: FileSystem,
    pub(super) nodes: Vec<Node>,
    free: Vec<u32>,
    /// Live nodes, parents before children, siblings by name.
    pub(super) order: Vec<u32>,
    pub(super) budget: Budget,
    /// Files with an index below this are held.
    pub(super) held_level: usize,
    /// Directories came or went since this was last cleared.
    pub(super) changed: bool,
    /// A directory must be listed again before this read can end.
    pub(super) any_dirty: bool,
    /// Cgroups beyond [`MAX_CGROUPS`] that this discovery left out.
    pub(super) untracked: u64,
    pub(super) removed: u64,
    /// Places in the current reading of cgroups that vanished after they had been read.
    pub(super) gone_entries: Vec<usize>,
    /// The process or the host ran out of descriptors during this read.
    pub(super) out_of_descriptors: bool,
    pub(super) read_number: u64,
    filter: Filter,
    max_depth: u32,
    expected_series: u32,
    births: u64,
    stack: Vec<u32>,
    doomed: Vec<u32>,
    names: Vec<u8>,
    listed: Vec<Listed>,
    merged: Vec<u32>,
    listing: Vec<u8>,
}

pub(super) const ROOT: u32 = 0;

/// A directory that is held, or opened for the moment.
pub(super) enum Directory<'a> {
    Held(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Directory<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Held(fd) => *fd,
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

/// Opens a cgroup's directory, going through its parents from the nearest one that is held. Symbolic links are
/// refused at every step. The depth bound bounds the recursion.
pub(super) fn directory(nodes: &[Node], id: u32) -> Result<Directory<'_>, Errno> {
    let node = &nodes[id as usize];
    if let Some(held) = &node.directory {
        return Ok(Directory::Held(held.as_fd()));
    }
    if id == ROOT {
        return Err(Errno::NOENT);
    }
    let parent = directory(nodes, node.parent)?;
    open_directory(parent.as_fd(), &node.name).map(Directory::Opened)
}

fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_below(parent, name, OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

impl Tree {
    pub(super) fn open(root: HostPath, options: &Options, expected_series: u32) -> Result<Self, SourceError> {
        let directory = open_root(&root)?;
        let system = FileSystem::of(directory.as_fd());
        let mut tree = Self {
            root,
            system,
            nodes: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            budget: Budget::new(options.max_held_files),
            held_level: 0,
            changed: true,
            any_dirty: false,
            untracked: 0,
            removed: 0,
            gone_entries: Vec::new(),
            out_of_descriptors: false,
            read_number: 0,
            filter: options.filter.clone(),
            max_depth: options.max_depth.min(Options::DEPTH_BOUND),
            expected_series,
            births: 0,
            stack: Vec::new(),
            doomed: Vec::new(),
            names: Vec::new(),
            listed: Vec::new(),
            merged: Vec::new(),
            listing: Vec::new(),
        };
        tree.create(ROOT, CString::default(), "/".into(), 0);
        tree.nodes[ROOT as usize].directory = Some(directory);
        Ok(tree)
    }

    /// Whether it is this node's turn for what is not done every time.
    pub(super) fn is_turn_of(&self, id: u32) -> bool {
        (self.read_number.wrapping_add(u64::from(id))).is_multiple_of(ROTATION)
    }

    /// Brings the nodes up to date with the directories.
    ///
    /// # Errors
    /// When the root itself can't be looked at.
    pub(super) fn discover(&mut self, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        self.refresh_root()?;
        self.any_dirty = false;
        self.untracked = 0;
        self.order.clear();
        self.stack.clear();
        self.stack.push(ROOT);
        while let Some(id) = self.stack.pop() {
            self.order.push(id);
            if self.nodes[id as usize].depth < self.max_depth {
                self.look_at(id, faults);
                let Self { stack, nodes, .. } = self;
                stack.extend(nodes[id as usize].children.iter().rev());
            }
        }
        self.mark_wanted_limits();
        Ok(())
    }

    /// The root directory may be replaced as a whole (a recorded tree, a container's mount).
    fn refresh_root(&mut self) -> Result<(), SourceError> {
        let root = &mut self.nodes[ROOT as usize];
        let gone = root.directory.as_ref().is_none_or(|held| fstat(held).map_or(true, |stat| stat.st_nlink == 0));
        if gone {
            root.directory = None;
            let fresh = open_root(&self.root)?;
            self.system = FileSystem::of(fresh.as_fd());
            let root = &mut self.nodes[ROOT as usize];
            root.directory = Some(fresh);
            root.listed = false;
            root.slots = Default::default();
        }
        Ok(())
    }

    fn look_at(&mut self, id: u32, faults: &mut dyn FnMut(&SourceError)) {
        match self.links(id) {
            Ok(0) => self.suspect(id),
            Ok(links) if self.needs_listing(id, links) => self.list(id, links, faults),
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NODEV | Errno::NOTDIR) => self.suspect(id),
            Err(errno) => faults(&SourceError::os(&self.path_of(id), errno)),
        }
    }

    fn links(&self, id: u32) -> Result<u64, Errno> {
        let node = &self.nodes[id as usize];
        let stat = match &node.directory {
            Some(held) => fstat(held)?,
            None => statat(directory(&self.nodes, node.parent)?, &node.name, AtFlags::SYMLINK_NOFOLLOW)?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        #[allow(clippy::useless_conversion, reason = "st_nlink is 32 bits wide on some architectures")]
        Ok(u64::from(stat.st_nlink))
    }

    fn needs_listing(&self, id: u32, links: u64) -> bool {
        let node = &self.nodes[id as usize];
        !node.listed
            || node.dirty
            || !self.system.counts_links()
            || links < 2
            || links != node.links_seen
            || (!node.children.is_empty() && self.is_turn_of(id))
    }

    /// Whether the directory that was listed under this name is still the one: a held descriptor of a removed
    /// directory does not tell on kernfs.
    pub(super) fn is_still_there(&self, id: u32) -> bool {
        let node = &self.nodes[id as usize];
        let stat = directory(&self.nodes, node.parent)
            .and_then(|parent| statat(parent, &node.name, AtFlags::SYMLINK_NOFOLLOW));
        id == ROOT || stat.is_ok_and(|stat| stat.st_ino == node.inode)
    }

    /// The cgroup may be gone: have its parent listed again before this read ends.
    pub(super) fn suspect(&mut self, id: u32) {
        if id != ROOT {
            let parent = self.nodes[id as usize].parent;
            self.nodes[parent as usize].dirty = true;
            self.any_dirty = true;
        }
    }

    fn list(&mut self, id: u32, links: u64, faults: &mut dyn FnMut(&SourceError)) {
        let mut result = self.list_names(id);
        if let Err(Errno::MFILE | Errno::NFILE) = result
            && self.relieve()
        {
            result = self.list_names(id);
        }
        match result {
            Ok(()) => {
                self.merge(id);
                let node = &mut self.nodes[id as usize];
                (node.listed, node.dirty, node.links_seen) = (true, false, links);
            }
            Err(Errno::NOENT | Errno::NODEV) => self.suspect(id),
            Err(Errno::MFILE | Errno::NFILE) => {}
            Err(errno) => faults(&SourceError::os(&self.path_of(id), errno)),
        }
    }

    /// Puts the names of all subdirectories into `listed`, in order. Holds the directory if the budget allows.
    fn list_names(&mut self, id: u32) -> Result<(), Errno> {
        self.hold_directory(id);
        self.names.clear();
        self.listed.clear();
        self.listing.clear();
        self.listing.reserve(LISTING_BUFFER);
        let Self { nodes, names, listed, listing, .. } = self;
        let directory = directory(nodes, id)?;
        seek(&directory, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(&directory, listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if is_subdirectory(&directory, name, entry.file_type()) && listed.len() < MAX_CGROUPS {
                let start = names.len();
                names.extend_from_slice(name.to_bytes());
                listed.push(Listed { start, end: names.len(), inode: entry.ino() });
            }
        }
        listed.sort_unstable_by(|a, b| names[a.start..a.end].cmp(&names[b.start..b.end]));
        Ok(())
    }

    /// Holds the directory of a node that is read or has been listed, while the budget lasts.
    pub(super) fn hold_directory(&mut self, id: u32) {
        if self.nodes[id as usize].directory.is_some() || !self.nodes[id as usize].selected || !self.budget.take() {
            return;
        }
        let opened = match directory(&self.nodes, id) {
            Ok(Directory::Opened(opened)) => Some(opened),
            _ => None,
        };
        if opened.is_none() {
            self.budget.give_back();
        }
        self.nodes[id as usize].directory = opened;
    }

    /// Compares what was listed with the known children: both are in order of name.
    fn merge(&mut self, id: u32) {
        let old = std::mem::take(&mut self.nodes[id as usize].children);
        let listed = std::mem::take(&mut self.listed);
        let names = std::mem::take(&mut self.names);
        let mut merged = std::mem::take(&mut self.merged);
        merged.clear();
        let mut known = old.iter().copied().peekable();
        for found in &listed {
            let name = &names[found.start..found.end];
            while let Some(gone) = known.next_if(|child| self.name(*child) < name) {
                self.remove(gone);
            }
            match known.next_if(|child| self.name(*child) == name) {
                Some(child) if self.nodes[child as usize].inode == found.inode => merged.push(child),
                other => {
                    if let Some(replaced) = other {
                        self.remove(replaced);
                    }
                    merged.extend(self.add(id, name, found.inode));
                }
            }
        }
        for gone in known {
            self.remove(gone);
        }
        let mut children = old;
        children.clear();
        children.extend_from_slice(&merged);
        self.nodes[id as usize].children = children;
        (self.listed, self.names, self.merged) = (listed, names, merged);
    }

    fn name(&self, id: u32) -> &[u8] {
        self.nodes[id as usize].name.to_bytes()
    }

    fn add(&mut self, parent: u32, name: &[u8], inode: u64) -> Option<u32> {
        if self.nodes.len() - self.free.len() >= MAX_CGROUPS {
            self.untracked += 1;
            return None;
        }
        let above = if parent == ROOT { "" } else { &*self.nodes[parent as usize].path };
        let path = format!("{above}/{}", label(name, inode));
        let name = CString::new(name).ok()?;
        Some(self.create(parent, name, path.into(), inode))
    }

    fn create(&mut self, parent: u32, name: CString, path: Arc<str>, inode: u64) -> u32 {
        self.births += 1;
        let depth = if self.nodes.is_empty() { 0 } else { self.nodes[parent as usize].depth + 1 };
        let node = Node {
            work: is_work(&path),
            included: self.filter.includes(&path),
            name,
            path,
            parent,
            depth,
            birth: self.births,
            inode,
            directory: None,
            children: Vec::new(),
            links_seen: 0,
            listed: false,
            dirty: false,
            slots: Default::default(),
            limits_wanted: false,
            selected: true,
            series: self.expected_series,
            activity: 0,
            rated: false,
            read_number: 0,
            entry: 0,
            max: None,
            swap_max: None,
        };
        self.changed = true;
        self.place(node)
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            return id;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// Forgets a cgroup and everything below it.
    fn remove(&mut self, id: u32) {
        self.changed = true;
        self.doomed.push(id);
        while let Some(id) = self.doomed.pop() {
            self.release(id, 0);
            self.release_directory(id);
            let Self { nodes, doomed, free, .. } = self;
            let node = &mut nodes[id as usize];
            doomed.append(&mut node.children);
            if node.included && node.read_number == self.read_number {
                self.gone_entries.push(node.entry);
            }
            self.removed += u64::from(node.included);
            free.push(id);
        }
    }

    /// Closes the held files of a node from `level` on.
    pub(super) fn release(&mut self, id: u32, level: usize) {
        let Self { nodes, budget, .. } = self;
        for slot in nodes[id as usize].slots.iter_mut().skip(level) {
            if matches!(slot, Slot::Held(_)) {
                *slot = Slot::Closed;
                budget.give_back();
            }
        }
    }

    pub(super) fn release_directory(&mut self, id: u32) {
        if id != ROOT && self.nodes[id as usize].directory.take().is_some() {
            self.budget.give_back();
        }
    }

    /// Decides which files are held: the same ones of every cgroup, the most telling first, as many as the budget
    /// has room for. What is left over is for directories to come.
    pub(super) fn settle_held_level(&mut self, files: usize) {
        let mut present = [0_usize; FILES];
        for id in &self.order {
            let node = &self.nodes[*id as usize];
            let slots = if node.included && node.selected { &node.slots[..files] } else { &[] };
            for (count, slot) in present.iter_mut().zip(slots) {
                *count += usize::from(!matches!(slot, Slot::Absent));
            }
        }
        let mut room = self.budget.limit().saturating_sub(self.order.len());
        self.held_level = 0;
        for count in &present[..files] {
            match room.checked_sub(*count) {
                Some(left) => room = left,
                None => break,
            }
            self.held_level += 1;
        }
        for index in 0..self.order.len() {
            self.release(self.order[index], self.held_level);
        }
    }

    /// Out of descriptors: gives some back, the least telling files first, directories last. `false` when there
    /// was none to give.
    pub(super) fn relieve(&mut self) -> bool {
        self.out_of_descriptors = true;
        if self.budget.is_unused() {
            return false;
        }
        self.budget.shrink();
        for level in (0..FILES).rev() {
            for index in 0..self.order.len() {
                if !self.budget.is_over() {
                    self.held_level = self.held_level.min(level);
                    return true;
                }
                self.release(self.order[index], level);
            }
        }
        self.held_level = 0;
        for index in (0..self.order.len()).rev() {
            if self.budget.is_over() {
                self.release_directory(self.order[index]);
            }
        }
        true
    }

    /// Marks cgroups that are not shown but lie above one that is: their limits hold there, too.
    fn mark_wanted_limits(&mut self) {
        for id in &self.order {
            self.nodes[*id as usize].limits_wanted = false;
        }
        for index in (1..self.order.len()).rev() {
            let node = &self.nodes[self.order[index] as usize];
            if node.included || node.limits_wanted {
                let parent = node.parent as usize;
                self.nodes[parent].limits_wanted = !self.nodes[parent].included;
            }
        }
    }

    /// Opens a file of a cgroup. The directory, where it is not held, is opened once into `directory_of_node`.
    pub(super) fn open_file(
        &self,
        id: u32,
        name: &CStr,
        directory_of_node: &mut Option<OwnedFd>,
    ) -> Result<OwnedFd, Errno> {
        if directory_of_node.is_none() {
            match directory(&self.nodes, id)? {
                Directory::Held(held) => return open_below(held, name, OFlags::NOFOLLOW),
                Directory::Opened(opened) => *directory_of_node = Some(opened),
            }
        }
        directory_of_node
            .as_ref()
            .map_or(Err(Errno::NOENT), |opened| open_below(opened.as_fd(), name, OFlags::NOFOLLOW))
    }

    /// The cgroup's directory, for errors.
    pub(super) fn path_of(&self, id: u32) -> HostPath {
        self.root.join(self.nodes[id as usize].path.trim_start_matches('/'))
    }
}

fn open_root(root: &HostPath) -> Result<OwnedFd, SourceError> {
    root.open(OFlags::DIRECTORY).map_err(|errno| match errno {
        Errno::NOTDIR => SourceError::invalid(root, "is not a directory; check --path.cgroup"),
        errno => SourceError::io(root, ReadError::Os(errno)),
    })
}

#[cfg(test)]
impl Tree {
    /// As if a child of the root had been missed while it was read.
    pub(super) fn list_root_again(&mut self) {
        self.nodes[ROOT as usize].dirty = true;
    }
}

/// The name as a label. Names that are not UTF-8 may look alike once made so, and two series of one name would
/// spoil the whole scrape: any name with a replacement character gets its inode number, unique among siblings.
fn label(name: &[u8], inode: u64) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(name);
    if text.contains(char::REPLACEMENT_CHARACTER) { format!("{text}#{inode}").into() } else { text }
}

fn is_subdirectory(directory: &Directory<'_>, name: &CStr, kind: FileType) -> bool {
    if name == c"." || name == c".." {
        return false;
    }
    match kind {
        FileType::Directory => true,
        FileType::Unknown => statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        _ => false,
    }
}

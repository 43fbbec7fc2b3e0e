//! Reads every cgroup of the hierarchy.

use super::derive::{Effective, Host, livelock_band};
use super::files::{self, ACTIVITY_FILES, FILES, File};
use super::mode::{self, Mode};
use super::options::Options;
use super::reading::{Cgroup, MAX_SERIES_PER_CGROUP, MAX_SERIES_PER_V1_CGROUP, Reading, V1Cgroup};
use super::tree::{Node, ROOT, Slot, Tree};
use crate::error::ReadError;
use crate::read::{Content, HeldFile, SMALL_FILE, STATISTICS_FILE, excerpt, read_held, read_through};
use crate::value::Limit;
use crate::{Fault, HostPath, Probe, Roots, SourceError, meminfo};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Series a cgroup may gain after it was read: livelock band, sum of its children's limits, uncapped.
const DERIVED_SERIES: u32 = 3;

/// Reads the memory cgroups of the host, again and again.
pub struct Reader {
    mode: Mode,
    files: &'static [File],
    tree: Tree,
    meminfo: HeldFile,
    max_series: u64,
    buffer: Vec<u8>,
    /// Cgroups in order of who stays under the cap; reused.
    candidates: Vec<u32>,
    /// What holds for each node by its path, by node; reused.
    effective: Vec<Effective>,
    /// Sums of the children's limits by node; reused.
    sums: Vec<Sum>,
    reselect: bool,
    most_series: u32,
    report: Report,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("mode", &self.mode)
            .field("root", &self.tree.root)
            .field("cgroups", &self.tree.order.len())
            .finish_non_exhaustive()
    }
}

/// What happened during one read.
#[derive(Debug, Default)]
struct Report {
    values: u64,
    emitted: u64,
    dropped: u64,
    failed: Option<SourceError>,
}

/// One cgroup while its files are read.
struct Visit {
    id: u32,
    /// Its directory, where that is not held.
    directory: Option<OwnedFd>,
    /// A file that was there is gone: perhaps the whole cgroup is.
    lost_file: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    limited: bool,
    incomplete: bool,
}

/// The cgroup being filled, of either hierarchy.
enum Target<'a> {
    V2(&'a mut Cgroup),
    V1(&'a mut V1Cgroup),
}

impl Target<'_> {
    fn fill(&mut self, index: usize, content: &[u8]) -> Option<()> {
        match self {
            Self::V2(cgroup) => files::fill_v2(cgroup, index, content),
            Self::V1(cgroup) => files::fill_v1(cgroup, index, content),
        }
    }
}

type Faults<'a> = &'a mut dyn FnMut(&SourceError);

impl Reader {
    /// Looks for the memory controller and finds out how the host runs it.
    #[must_use]
    pub fn probe(roots: &Roots, options: &Options) -> Probe<Self> {
        let (mode, root) = match mode::detect(&roots.cgroup) {
            Probe::Present(found) => found,
            Probe::Absent(reason) => return Probe::Absent(reason),
            Probe::Broken(error) => return Probe::Broken(error),
        };
        let (files, most): (&'static [File], u32) = match mode {
            Mode::V2 => (&files::V2, MAX_SERIES_PER_CGROUP),
            Mode::Hybrid | Mode::V1 => (&files::V1, MAX_SERIES_PER_V1_CGROUP),
        };
        match Tree::open(root, options, most) {
            Ok(tree) => Probe::Present(Self {
                mode,
                files,
                tree,
                meminfo: HeldFile::new(roots.procfs.join("meminfo"), STATISTICS_FILE),
                max_series: options.max_series,
                buffer: Vec::with_capacity(SMALL_FILE),
                candidates: Vec::new(),
                effective: Vec::new(),
                sums: Vec::new(),
                reselect: true,
                most_series: most,
                report: Report::default(),
            }),
            Err(error) => Probe::Broken(error),
        }
    }

    /// Where the memory controller lives.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Reads every cgroup within depth, patterns and the series cap. A file that can't be read or understood goes
    /// to `faults` and its value is `None`; a cgroup that vanishes while it is read is left out.
    ///
    /// # Errors
    /// When the hierarchy itself can't be looked at, or not one file in it could be read.
    pub fn read(&mut self, into: &mut Reading, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        into.clear();
        into.mode = Some(self.mode);
        self.report = Report::default();
        self.tree.read_number += 1;
        let host = self.read_host(faults);
        into.host_memory_bytes = host.memory;
        // The second round reads what took the place of cgroups that vanished in the first, and what turned out to
        // fit under the cap. There is no third: what is left waits for the next read, so churn can't keep this one
        // from ending.
        for _ in 0..2 {
            self.tree.discover(faults)?;
            self.select(faults);
            self.read_selected(into, faults);
            if !self.tree.any_dirty && !self.has_room_for_more() {
                break;
            }
        }
        self.derive(into, host);
        self.count(into);
        if std::mem::take(&mut self.tree.out_of_descriptors) {
            faults(&SourceError::os(&self.tree.root, Errno::MFILE));
        }
        match self.report.failed.take() {
            Some(error) if self.report.values == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn read_host(&mut self, faults: Faults<'_>) -> Host {
        match self.meminfo.read(&mut self.buffer) {
            Ok(Content::Read) => Host {
                memory: meminfo::bytes(&self.buffer, b"MemTotal"),
                swap: meminfo::bytes(&self.buffer, b"SwapTotal"),
            },
            Ok(Content::Absent) => Host::default(),
            Err(error) => {
                faults(&error);
                Host::default()
            }
        }
    }

    /// Decides which cgroups are read so that the series stay under the cap: the deepest are left out first, and
    /// of one depth the idlest. Those that are in stay in: activity only ever rises, ties go to who was read
    /// before and then to the older one, and the choice is made anew only when something changed.
    fn select(&mut self, faults: Faults<'_>) {
        let wanted: u64 = self.included().map(|node| u64::from(node.series)).sum();
        if wanted <= self.max_series {
            self.select_all();
            return;
        }
        self.rate_unread(faults);
        if !self.tree.changed && !self.reselect {
            return;
        }
        let Self { candidates, tree, .. } = self;
        candidates.clear();
        candidates.extend(tree.order.iter().filter(|id| tree.nodes[**id as usize].included));
        candidates.sort_unstable_by_key(|id| {
            let node = &tree.nodes[*id as usize];
            (node.depth, u8::MAX - node.activity, !node.selected, node.birth)
        });
        self.cut();
        self.reselect = false;
    }

    fn included(&self) -> impl Iterator<Item = &Node> {
        self.tree.order.iter().map(|id| &self.tree.nodes[*id as usize]).filter(|node| node.included)
    }

    /// Whether those read have so few series that another one surely fits: then the choice is made anew.
    fn has_room_for_more(&mut self) -> bool {
        let room = self.report.emitted + u64::from(self.most_series) <= self.max_series;
        let more = room && self.included().any(|node| !node.selected);
        self.reselect |= more;
        more
    }

    fn select_all(&mut self) {
        for id in &self.tree.order {
            let node = &mut self.tree.nodes[*id as usize];
            self.tree.changed |= !node.selected;
            node.selected = true;
        }
        self.reselect = false;
    }

    /// Keeps candidates from the first on until the next would exceed the cap.
    fn cut(&mut self) {
        let mut room = Some(self.max_series);
        for id in &self.candidates {
            let node = &mut self.tree.nodes[*id as usize];
            room = room.and_then(|room| room.checked_sub(u64::from(node.series)));
            let selected = room.is_some();
            self.tree.changed |= node.selected != selected;
            node.selected = selected;
            if !selected {
                self.tree.release(*id, 0);
                self.tree.release_directory(*id);
            }
        }
    }

    /// Rates cgroups that were never read, once, and those left out when their turn comes, by two small files.
    fn rate_unread(&mut self, faults: Faults<'_>) {
        for index in 0..self.tree.order.len() {
            let id = self.tree.order[index];
            let node = &self.tree.nodes[id as usize];
            let due = !node.rated || (!node.selected && self.tree.is_turn_of(id));
            if !node.included || !due || node.read_number == self.tree.read_number {
                continue;
            }
            let before = node.activity;
            self.rate_by_files(id, faults);
            self.reselect |= self.tree.nodes[id as usize].activity != before;
        }
    }

    fn rate_by_files(&mut self, id: u32, faults: Faults<'_>) {
        let range = 0..ACTIVITY_FILES;
        match self.mode {
            Mode::V2 => {
                let mut cgroup = Cgroup::default();
                self.read_files(id, range, &mut Target::V2(&mut cgroup), faults);
                self.rate(id, activity_v2(&cgroup));
            }
            Mode::Hybrid | Mode::V1 => {
                let mut cgroup = V1Cgroup::default();
                self.read_files(id, range, &mut Target::V1(&mut cgroup), faults);
                self.rate(id, activity_v1(&cgroup));
            }
        }
    }

    fn rate(&mut self, id: u32, activity: u8) {
        let node = &mut self.tree.nodes[id as usize];
        node.activity = node.activity.max(activity);
        node.rated = true;
    }

    fn read_selected(&mut self, into: &mut Reading, faults: Faults<'_>) {
        if self.tree.changed {
            self.tree.settle_held_level(self.files.len());
        }
        for index in 0..self.tree.order.len() {
            let id = self.tree.order[index];
            let node = &self.tree.nodes[id as usize];
            if node.read_number == self.tree.read_number {
                continue;
            }
            if node.included && node.selected {
                self.read_shown(id, into, faults);
            } else if node.limits_wanted && self.mode == Mode::V2 {
                self.read_limits(id, faults);
            }
        }
        if self.tree.changed {
            // Only now is it known which files are absent and cost no descriptor.
            self.tree.settle_held_level(self.files.len());
            self.tree.changed = false;
        }
    }

    /// Reads one cgroup into the reading, unless it vanishes or breaks the cap.
    fn read_shown(&mut self, id: u32, into: &mut Reading, faults: Faults<'_>) {
        self.tree.hold_directory(id);
        let path = Arc::clone(&self.tree.nodes[id as usize].path);
        match self.mode {
            Mode::V2 => {
                let mut cgroup = Cgroup { path, ..Cgroup::default() };
                let alive = self.read_files(id, 0..FILES, &mut Target::V2(&mut cgroup), faults);
                self.rate(id, activity_v2(&cgroup));
                self.keep_limits(id, &cgroup);
                if alive && self.admit(id, cgroup.series() + DERIVED_SERIES, into.cgroups.len()) {
                    into.cgroups.push(cgroup);
                }
            }
            Mode::Hybrid | Mode::V1 => {
                let mut cgroup = V1Cgroup { path, ..V1Cgroup::default() };
                let alive = self.read_files(id, 0..self.files.len(), &mut Target::V1(&mut cgroup), faults);
                self.rate(id, activity_v1(&cgroup));
                if alive && self.admit(id, cgroup.series(), into.v1.len()) {
                    into.v1.push(cgroup);
                }
            }
        }
    }

    /// Whether a cgroup that was read still fits under the cap; it may have grown since the choice was made.
    fn admit(&mut self, id: u32, series: u32, entry: usize) -> bool {
        let node = &mut self.tree.nodes[id as usize];
        node.series = series;
        if self.report.emitted + u64::from(series) > self.max_series {
            self.report.dropped += u64::from(series);
            self.reselect = true;
            return false;
        }
        (node.read_number, node.entry) = (self.tree.read_number, entry);
        self.report.emitted += u64::from(series);
        true
    }

    /// Reads the limits of a cgroup that is not shown but lies above one that is.
    fn read_limits(&mut self, id: u32, faults: Faults<'_>) {
        let mut cgroup = Cgroup::default();
        if self.read_files(id, files::MAX..files::SWAP_MAX + 1, &mut Target::V2(&mut cgroup), faults) {
            self.keep_limits(id, &cgroup);
            self.tree.nodes[id as usize].read_number = self.tree.read_number;
        }
    }

    /// Remembers the limits for what is derived. A missing file is no limit; an unreadable one is unknown.
    fn keep_limits(&mut self, id: u32, cgroup: &Cgroup) {
        let node = &mut self.tree.nodes[id as usize];
        let known = |limit: Option<Limit>, slot: &Slot| match slot {
            Slot::Absent => Some(Limit::Max),
            _ => limit,
        };
        node.max = known(cgroup.max, &node.slots[files::MAX]);
        node.swap_max = known(cgroup.swap_max, &node.slots[files::SWAP_MAX]);
    }

    /// Reads some files of one cgroup; `false` when the cgroup seems to have vanished.
    fn read_files(&mut self, id: u32, range: Range<usize>, target: &mut Target<'_>, faults: Faults<'_>) -> bool {
        let mut slots = std::mem::take(&mut self.tree.nodes[id as usize].slots);
        let untried = slots.iter().all(|slot| matches!(slot, Slot::Unknown));
        let mut visit = Visit { id, directory: None, lost_file: false };
        for index in range {
            match self.read_slot(&mut visit, index, &mut slots[index]) {
                Ok(true) if target.fill(index, &self.buffer).is_some() => self.report.values += 1,
                Ok(true) => self.report_invalid(id, index, faults),
                Ok(false) => {}
                Err(error) => self.report_error(id, index, error, faults),
            }
        }
        let empty = slots.iter().all(|slot| matches!(slot, Slot::Unknown | Slot::Absent));
        self.tree.nodes[id as usize].slots = slots;
        let vanished = (visit.lost_file || (untried && empty)) && !self.tree.is_still_there(id);
        if vanished {
            self.tree.suspect(id);
        }
        !vanished
    }

    /// Reads one file into the buffer; `false` when there is no such file.
    fn read_slot(&mut self, visit: &mut Visit, index: usize, slot: &mut Slot) -> Result<bool, ReadError> {
        if let Slot::Held(held) = slot {
            let result = read_held(held.as_fd(), self.tree.system, self.files[index].limit, &mut self.buffer);
            if result == Ok(true) {
                return Ok(true);
            }
            *slot = Slot::Closed;
            self.tree.budget.give_back();
            result?;
        }
        if matches!(slot, Slot::Absent) && !self.tree.is_turn_of(visit.id) {
            return Ok(false);
        }
        match self.open_and_read(visit, index) {
            Ok(file) => {
                let node = &self.tree.nodes[visit.id as usize];
                let hold = index < self.tree.held_level && node.selected && self.tree.budget.take();
                *slot = if hold { Slot::Held(file) } else { Slot::Closed };
                Ok(true)
            }
            Err(error) if error.is_absent() => {
                visit.lost_file |= matches!(slot, Slot::Closed);
                *slot = Slot::Absent;
                Ok(false)
            }
            // PSI is compiled in but switched off.
            Err(ReadError::Os(Errno::OPNOTSUPP)) => {
                *slot = Slot::Absent;
                Ok(false)
            }
            Err(error) => {
                *slot = Slot::Closed;
                Err(error)
            }
        }
    }

    fn open_and_read(&mut self, visit: &mut Visit, index: usize) -> Result<OwnedFd, ReadError> {
        let File { name, limit } = self.files[index];
        let mut opened = self.tree.open_file(visit.id, name, &mut visit.directory);
        if let Err(Errno::MFILE | Errno::NFILE) = opened
            && self.tree.relieve()
        {
            opened = self.tree.open_file(visit.id, name, &mut visit.directory);
        }
        let file = opened?;
        read_through(file.as_fd(), limit, &mut self.buffer, self.tree.system.short_reads())?;
        Ok(file)
    }

    fn report_invalid(&mut self, id: u32, index: usize, faults: Faults<'_>) {
        let detail = format!("not the content of such a file: {}", excerpt(&self.buffer));
        let error = SourceError::invalid(&self.file_path(id, index), detail);
        faults(&error);
        self.report.failed = Some(error);
    }

    fn report_error(&mut self, id: u32, index: usize, error: ReadError, faults: Faults<'_>) {
        let error = SourceError::io(&self.file_path(id, index), error);
        if error.fault == Fault::OutOfFileDescriptors {
            // Reported once per read, not once per file.
            self.tree.out_of_descriptors = true;
        } else {
            faults(&error);
        }
        self.report.failed = Some(error);
    }

    fn file_path(&self, id: u32, index: usize) -> HostPath {
        self.tree.path_of(id).join(OsStr::from_bytes(self.files[index].name.to_bytes()))
    }

    /// Fills in what follows from the limits along a path and of the children.
    fn derive(&mut self, into: &mut Reading, host: Host) {
        if self.mode != Mode::V2 {
            return;
        }
        self.walk_limits();
        for id in &self.tree.order {
            let node = &self.tree.nodes[*id as usize];
            if !node.included || node.read_number != self.tree.read_number {
                continue;
            }
            let (effective, sum) = (self.effective[*id as usize], self.sums[*id as usize]);
            let Some(cgroup) = into.cgroups.get_mut(node.entry) else { continue };
            cgroup.livelock_band = cgroup.high.and_then(|high| livelock_band(high, effective, host));
            cgroup.max_bytes_sum = (sum.limited && !sum.incomplete).then_some(sum.bytes);
            cgroup.uncapped = if node.work { effective.max.map(|max| max == Limit::Max) } else { None };
        }
    }

    /// Carries limits down from parents to children and sums up from children to parents.
    fn walk_limits(&mut self) {
        self.effective.resize(self.tree.nodes.len(), Effective::ROOT);
        self.sums.resize(self.tree.nodes.len(), Sum::default());
        for id in &self.tree.order {
            let node = &self.tree.nodes[*id as usize];
            let read = node.read_number == self.tree.read_number;
            let (max, swap_max) = if read { (node.max, node.swap_max) } else { (None, None) };
            let above = if *id == ROOT { Effective::ROOT } else { self.effective[node.parent as usize] };
            self.effective[*id as usize] = above.child(max, swap_max);
            self.sums[*id as usize] = Sum::default();
            if *id != ROOT {
                self.sums[node.parent as usize].add(max);
            }
        }
    }

    /// Takes out what vanished after it was read, and counts.
    fn count(&mut self, into: &mut Reading) {
        if !self.tree.gone_entries.is_empty() {
            for entry in self.tree.gone_entries.drain(..) {
                let v2 = into.cgroups.get_mut(entry).map(|cgroup| &mut cgroup.path);
                if let Some(path) = v2.or_else(|| into.v1.get_mut(entry).map(|cgroup| &mut cgroup.path)) {
                    *path = Arc::default();
                }
            }
            into.cgroups.retain(|cgroup| !cgroup.path.is_empty());
            into.v1.retain(|cgroup| !cgroup.path.is_empty());
        }
        let (mut found, mut dropped) = (self.tree.untracked, self.report.dropped);
        for node in self.included() {
            found += 1;
            dropped += if node.selected { 0 } else { u64::from(node.series) };
        }
        into.found = found;
        into.dropped_series = dropped + self.tree.untracked * u64::from(self.most_series);
        into.removed_total = self.tree.removed;
    }
}

impl Sum {
    fn add(&mut self, max: Option<Limit>) {
        match max {
            Some(Limit::Bytes(bytes)) => {
                self.bytes = self.bytes.saturating_add(bytes);
                self.limited = true;
            }
            Some(Limit::Max) => {}
            None => self.incomplete = true,
        }
    }
}

fn activity_v2(cgroup: &Cgroup) -> u8 {
    if cgroup.local_events.is_some_and(|events| events.any_limit_hit()) {
        2
    } else {
        u8::from(cgroup.memory_pressure.and_then(|psi| psi.waiting_us).is_some_and(|waited| waited > 0))
    }
}

fn activity_v1(cgroup: &V1Cgroup) -> u8 {
    if cgroup.limit_hits.is_some_and(|hits| hits > 0) || cgroup.oom_kills.is_some_and(|kills| kills > 0) {
        2
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Read, removed and made anew, all within one read: the old one must not stand beside the new one.
    #[test]
    fn what_vanishes_after_it_was_read_is_taken_out() {
        let directory = tempfile::tempdir().unwrap();
        let cgroup = |name: &str, current: &str| {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::write(directory.path().join(name).join("memory.current"), current).unwrap();
        };
        fs::write(directory.path().join("cgroup.controllers"), "memory").unwrap();
        cgroup("a", "1");
        cgroup("b", "2");
        let roots = Roots { cgroup: directory.path().into(), ..Roots::default() };
        let mut reader = Reader::probe(&roots, &Options::default()).present().unwrap();
        let mut reading = Reading::default();
        reader.tree.read_number += 1;
        let mut round = |reader: &mut Reader| {
            reader.tree.discover(&mut |fault| panic!("{fault}")).unwrap();
            reader.select(&mut |fault| panic!("{fault}"));
            reader.read_selected(&mut reading, &mut |fault| panic!("{fault}"));
        };
        round(&mut reader);
        cgroup("fresh", "3");
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        fs::rename(directory.path().join("fresh"), directory.path().join("a")).unwrap();
        reader.tree.list_root_again();
        round(&mut reader);
        reader.derive(&mut reading, Host::default());
        reader.count(&mut reading);
        let seen: Vec<_> = reading.cgroups.iter().map(|cgroup| (&*cgroup.path, cgroup.current)).collect();
        assert_eq!(seen, [("/", None), ("/b", Some(2)), ("/a", Some(3))]);
        assert_eq!(reading.removed_total, 1);
    }
}

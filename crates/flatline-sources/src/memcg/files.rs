//! The files of a cgroup and how each fills the reading.

use super::reading::{Cgroup, Events, V1Cgroup};
use crate::read::{SMALL_FILE, STATISTICS_FILE};
use crate::{flat_keyed, psi, value};
use std::ffi::CStr;

/// Files per cgroup, on the hierarchy that has most.
pub(super) const FILES: usize = 13;

/// A file of every cgroup and its bound.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: &'static CStr,
    pub(super) limit: usize,
}

const fn small(name: &'static CStr) -> File {
    File { name, limit: SMALL_FILE }
}

/// `memory.max` and `memory.swap.max` in [`V2`]: also read of cgroups that are not shown themselves.
pub(super) const MAX: usize = 6;
pub(super) const SWAP_MAX: usize = 7;

/// The files of cgroup v2. Held open in this order while the budget lasts: the livelock's signature first.
pub(super) static V2: [File; FILES] = [
    small(c"memory.events.local"),
    small(c"memory.pressure"),
    File { name: c"memory.stat", limit: STATISTICS_FILE },
    small(c"memory.events"),
    small(c"memory.current"),
    small(c"memory.high"),
    small(c"memory.max"),
    small(c"memory.swap.max"),
    small(c"memory.swap.current"),
    small(c"cgroup.events"),
    small(c"pids.current"),
    small(c"io.pressure"),
    small(c"cpu.pressure"),
];

/// The files of cgroup v1.
pub(super) static V1: [File; 4] = [
    small(c"memory.failcnt"),
    small(c"memory.oom_control"),
    small(c"memory.usage_in_bytes"),
    small(c"memory.limit_in_bytes"),
];

/// How many of the first files tell whether a cgroup is idle.
pub(super) const ACTIVITY_FILES: usize = 2;

/// Puts the content of `V2[index]` into the cgroup; `None` when it is not what that file holds.
pub(super) fn fill_v2(cgroup: &mut Cgroup, index: usize, content: &[u8]) -> Option<()> {
    match index {
        0 => cgroup.local_events = Some(events(content)?),
        1 => cgroup.memory_pressure = Some(psi::parse(content)?),
        2 => stat(cgroup, content)?,
        3 => cgroup.events = Some(events(content)?),
        4 => cgroup.current = Some(value::number_file(content)?),
        5 => cgroup.high = Some(value::limit_file(content)?),
        MAX => cgroup.max = Some(value::limit_file(content)?),
        SWAP_MAX => cgroup.swap_max = Some(value::limit_file(content)?),
        8 => cgroup.swap_current = Some(value::number_file(content)?),
        9 => state(cgroup, content)?,
        10 => cgroup.pids = Some(value::number_file(content)?),
        11 => cgroup.io_pressure = Some(psi::parse(content)?),
        12 => cgroup.cpu_pressure = Some(psi::parse(content)?),
        _ => {}
    }
    Some(())
}

/// Puts the content of `V1[index]` into the cgroup; `None` when it is not what that file holds.
pub(super) fn fill_v1(cgroup: &mut V1Cgroup, index: usize, content: &[u8]) -> Option<()> {
    match index {
        0 => cgroup.limit_hits = Some(value::number_file(content)?),
        1 => {
            let mut lines = flat_keyed::entries(content);
            let kills = lines.find(|(key, _)| *key == b"oom_kill").map(|(_, count)| count);
            if lines.malformed() || content.is_empty() {
                return None;
            }
            cgroup.oom_kills = kills;
        }
        2 => cgroup.usage = Some(value::number_file(content)?),
        3 => cgroup.limit = Some(value::v1_limit_file(content)?),
        _ => {}
    }
    Some(())
}

/// Parses `memory.events` and `memory.events.local`; keys of kernels to come are skipped.
pub(super) fn events(content: &[u8]) -> Option<Events> {
    let mut events = Events::default();
    let mut lines = flat_keyed::entries(content);
    for (key, count) in lines.by_ref() {
        events.set(key, count);
    }
    (!lines.malformed() && events.known() > 0).then_some(events)
}

/// Parses the part of `memory.stat` that is shown and stops once it has it.
fn stat(cgroup: &mut Cgroup, content: &[u8]) -> Option<()> {
    let stat = &mut cgroup.stat;
    let mut missing = 6_u32;
    let mut lines = flat_keyed::entries(content);
    for (key, count) in lines.by_ref() {
        let field = match key {
            b"anon" => &mut stat.anon,
            b"file" => &mut stat.file,
            b"pgscan" => &mut stat.pgscan,
            b"pgsteal" => &mut stat.pgsteal,
            b"workingset_refault_anon" => &mut stat.refault_anon,
            b"workingset_refault_file" => &mut stat.refault_file,
            _ => continue,
        };
        *field = Some(count);
        missing -= 1;
        if missing == 0 {
            return Some(());
        }
    }
    if lines.malformed() || content.is_empty() {
        *stat = super::Stat::default();
        return None;
    }
    Some(())
}

/// Parses `cgroup.events`.
fn state(cgroup: &mut Cgroup, content: &[u8]) -> Option<()> {
    let (mut populated, mut frozen) = (None, None);
    let mut lines = flat_keyed::entries(content);
    for (key, count) in lines.by_ref() {
        match key {
            b"populated" => populated = Some(count != 0),
            b"frozen" => frozen = Some(count != 0),
            _ => {}
        }
    }
    if lines.malformed() || content.is_empty() {
        return None;
    }
    (cgroup.populated, cgroup.frozen) = (populated, frozen);
    Some(())
}

/// Whatever stands in a cgroup's files: what is refused leaves nothing behind.
#[cfg(fuzzing)]
pub fn fuzz(content: &[u8]) {
    for index in 0..FILES {
        let mut cgroup = Cgroup::default();
        assert!(fill_v2(&mut cgroup, index, content).is_some() || cgroup == Cgroup::default(), "{:?}", V2[index]);
    }
    for (index, file) in V1.iter().enumerate() {
        let mut cgroup = V1Cgroup::default();
        assert!(fill_v1(&mut cgroup, index, content).is_some() || cgroup == V1Cgroup::default(), "{file:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_are_where_the_constants_say() {
        assert_eq!(V2[MAX].name, c"memory.max");
        assert_eq!(V2[SWAP_MAX].name, c"memory.swap.max");
    }

    #[test]
    fn a_repeated_key_does_not_end_memory_stat_early_by_underflow() {
        let mut cgroup = Cgroup::default();
        let text = "anon 1\n".repeat(9) + "file 2\n";
        assert_eq!(fill_v2(&mut cgroup, 2, text.as_bytes()), Some(()));
    }

    #[test]
    fn oom_kill_of_v1_is_absent_before_4_13() {
        let mut cgroup = V1Cgroup::default();
        assert!(fill_v1(&mut cgroup, 1, b"oom_kill_disable 0\nunder_oom 0\n").is_some());
        assert_eq!(cgroup.oom_kills, None);
        assert!(fill_v1(&mut cgroup, 1, b"oom_kill_disable 0\nunder_oom 0\noom_kill 4\n").is_some());
        assert_eq!(cgroup.oom_kills, Some(4));
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let mut cgroup = Cgroup::default();
        assert_eq!(fill_v2(&mut cgroup, 9, b"populated 1\nfrozen no\n"), None);
        assert_eq!((cgroup.populated, cgroup.frozen), (None, None));
    }

    proptest! {
        #[test]
        fn every_file_survives_any_bytes(index in 0..FILES, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut cgroup = Cgroup::default();
            if fill_v2(&mut cgroup, index, &bytes).is_none() {
                prop_assert_eq!(cgroup.series(), Cgroup::default().series());
            }
            prop_assert!(cgroup.series() <= super::super::MAX_SERIES_PER_CGROUP);
            let mut cgroup = V1Cgroup::default();
            let _ = fill_v1(&mut cgroup, index, &bytes);
            prop_assert!(cgroup.series() <= super::super::MAX_SERIES_PER_V1_CGROUP);
        }

        #[test]
        fn events_round_trip(counts: [u64; 7]) {
            let text: String = Events::NAMES.iter().zip(counts).map(|(name, count)| format!("{name} {count}\n")).collect();
            let read = events(text.as_bytes()).expect("well formed");
            prop_assert_eq!(read.counts().map(|(_, count)| count).collect::<Vec<_>>(), counts.map(Some));
        }
    }
}

//! The livelock of 2026-06-22: a cgroup at `memory.high` that reclaims nothing and starves all in it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::workload;
use crate::{Error, Guest, GuestBuilder, Result};

/// Where the cgroup of the memcg incident is in the guest.
const WORK: &str = "/sys/fs/cgroup/p/w";
/// Its parent, which has no process of its own.
const PARENT: &str = "/sys/fs/cgroup/p";

/// The cgroup `/p/w` of the livelock of 2026-06-22 in a running guest: `memory.high` 200 MiB, `memory.max` 400 MiB,
/// no swap, and an innocent process in it.
#[derive(Debug)]
pub struct MemcgLivelock {
    guest: Guest,
}

/// What the cgroup's files, and the innocent process in it, say at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemcgState {
    /// `high` in `memory.events.local`.
    pub high_events: u64,
    /// `oom_kill` in `memory.events`.
    pub oom_kills: u64,
    /// The `some` total of `memory.pressure`.
    pub waiting_microseconds: u64,
    /// The `full` total of `memory.pressure`.
    pub stalled_microseconds: u64,
    /// `pgscan` in `memory.stat`.
    pub pages_scanned: u64,
    /// `pgsteal` in `memory.stat`.
    pub pages_reclaimed: u64,
    /// `memory.current`.
    pub current_bytes: u64,
    /// How often the innocent process has gone round.
    pub innocent_loops: u64,
    /// How many MiB the page-cache job has written and read.
    pub page_cache_mib: u64,
}

/// Boots a guest with the livelock prepared and not begun. It has at least 1 GiB and an ext4 disk at `/disk`.
pub fn memcg_livelock(builder: GuestBuilder) -> Result<MemcgLivelock> {
    let guest = builder
        .memory_mib(1024)
        .disk_mib(1024)
        .binary(workload()?)
        .script(&format!(
            "mkdir -p {WORK}
             echo +memory >{PARENT}/cgroup.subtree_control
             echo 200M >{WORK}/memory.high
             echo 400M >{WORK}/memory.max
             echo 0 >{WORK}/memory.swap.max
             guest-workload innocent --in {WORK} --report /run/innocent &"
        ))
        .boot()?;
    Ok(MemcgLivelock { guest })
}

impl MemcgLivelock {
    /// The cgroup, as the exporter names it.
    pub const CGROUP: &str = "/p/w";

    /// The guest.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Begins the incident: a hog that wants 300 MiB.
    pub fn begin(&self) -> Result<()> {
        self.start(&format!("hog --in {WORK} --mib 300"))
    }

    /// Ends it as the runbook says: `memory.high` to `max`, the hog killed.
    pub fn relieve(&self) -> Result<()> {
        self.guest.sh(&format!("echo max >{WORK}/memory.high && kill -9 $(cat /run/hog.pid)")).map(drop)
    }

    /// The healthy look-alike: a job that writes and reads 400 MiB of a file on the disk, twice `memory.high`.
    pub fn begin_page_cache(&self) -> Result<()> {
        self.start(&format!("pagecache --in {WORK} --file /disk/big --mib 400 --report /run/pagecache"))
    }

    /// Another: a hog that is killed after `over` and comes back after `rest`, again and again.
    pub fn begin_bursts(&self, over: Duration, rest: Duration) -> Result<()> {
        let (over, rest) = (over.as_secs(), rest.as_secs());
        let burst = format!("guest-workload hog --in {WORK} --mib 300 & sleep {over}; kill -9 $!; wait; sleep {rest}");
        self.guest.sh(&format!("(while :; do {burst}; done) >/dev/null 2>&1 &")).map(drop)
    }

    /// An OOM kill in a leaf beside `/p/w` that is removed at once: only the parent keeps the count.
    pub fn oom_leaf(&self) -> Result<()> {
        let leaf = format!("{PARENT}/leaf");
        let command = format!(
            "mkdir {leaf} && echo 16M >{leaf}/memory.max && echo 0 >{leaf}/memory.swap.max || exit 1
             guest-workload hog --in {leaf} --mib 64
             status=$?; rmdir {leaf} && [ $status = 137 ]"
        );
        self.guest.sh(&command).map(drop)
    }

    /// Reads the state. The reader itself is outside the cgroup.
    pub fn observe(&self) -> Result<MemcgState> {
        let files = "memory.events.local memory.events memory.pressure memory.stat memory.current";
        let listing = self.guest.sh(&format!(
            "cd {WORK}; for file in {files}; do sed \"s|^|$file |\" $file; done
             for file in /run/innocent /run/pagecache; do [ ! -e $file ] || sed \"s|^|$file |\" $file; done"
        ))?;
        Ok(parse_state(&listing))
    }

    /// How many processes were OOM-killed below the parent cgroup `/p`, removed leaves included.
    pub fn parent_oom_kills(&self) -> Result<u64> {
        let count = self.guest.sh(&format!("sed -n 's/^oom_kill //p' {PARENT}/memory.events"))?;
        count.trim().parse().map_err(Error::peer("memory.events"))
    }

    fn start(&self, workload: &str) -> Result<()> {
        let name = workload.split(' ').next().unwrap_or_default();
        self.guest.sh(&format!("guest-workload {workload} >/dev/console 2>&1 & echo $! >/run/{name}.pid")).map(drop)
    }
}

/// Reads lines of a file's name and one of its lines.
fn parse_state(listing: &str) -> MemcgState {
    let mut values = BTreeMap::new();
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["memory.current", value] => values.insert("memory.current".to_owned(), value),
            [file, name, value] => values.insert(format!("{file} {name}"), value),
            _ => None,
        };
        // `total=` of a pressure line, `loops=` of a report.
        for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
            let key = if words[0] == "memory.pressure" { words[1] } else { words[0] };
            values.insert(format!("{key} {name}"), value);
        }
    }
    let number = |key: &str| values.get(key).and_then(|value| value.parse().ok()).unwrap_or_default();
    MemcgState {
        high_events: number("memory.events.local high"),
        oom_kills: number("memory.events oom_kill"),
        waiting_microseconds: number("some total"),
        stalled_microseconds: number("full total"),
        pages_scanned: number("memory.stat pgscan"),
        pages_reclaimed: number("memory.stat pgsteal"),
        current_bytes: number("memory.current"),
        innocent_loops: number("/run/innocent loops"),
        page_cache_mib: number("/run/pagecache mib"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_from_the_files_lines() {
        let listing = "memory.events.local high 7\nmemory.events high 9\nmemory.events oom_kill 2\n\
             memory.pressure some avg10=0.00 avg60=0.00 avg300=0.00 total=11\n\
             memory.pressure full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n\
             memory.stat pgscan 3\nmemory.stat pgsteal 4\nmemory.current 4096\n\
             /run/innocent loops=12 last_us=3 max_us=4   \n/run/pagecache mib=13\n";
        let expected = MemcgState {
            high_events: 7,
            oom_kills: 2,
            waiting_microseconds: 11,
            stalled_microseconds: 5,
            pages_scanned: 3,
            pages_reclaimed: 4,
            current_bytes: 4096,
            innocent_loops: 12,
            page_cache_mib: 13,
        };
        assert_eq!(parse_state(listing), expected);
    }
}

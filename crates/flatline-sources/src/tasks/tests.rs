use super::*;
use crate::synthetic::{Task as Made, write_task};
use crate::tasks::{Channel, OTHER, UNREADABLE};
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

const SECOND: Duration = Duration::from_secs(1);

/// A procfs of our own with a clock that stands still.
struct Host {
    directory: tempfile::TempDir,
    now: Cell<Instant>,
}

impl Host {
    fn new(tasks: &[Made<'_>]) -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap(), now: Cell::new(Instant::now()) };
        host.write(Made::sleeping(1));
        tasks.iter().for_each(|task| host.write(*task));
        host
    }

    fn procfs(&self) -> PathBuf {
        self.directory.path().join("proc")
    }

    fn write(&self, task: Made<'_>) {
        write_task(&self.procfs(), task).unwrap();
    }

    fn reader(&self, options: &Options) -> Reader {
        Reader::probe(&Roots::under(self.directory.path()), options).present().expect("processes")
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    fn read(&self, reader: &mut Reader) -> Reading {
        let mut reading = Reading::default();
        reader.read_by(&|| self.now.get(), &mut reading, &mut |fault| panic!("{fault}")).expect("a procfs");
        reading
    }

    fn read_with_faults(&self, reader: &mut Reader) -> (Reading, Vec<SourceError>) {
        let (mut reading, mut faults) = (Reading::default(), Vec::new());
        reader.read_by(&|| self.now.get(), &mut reading, &mut |fault| faults.push(fault.clone())).expect("a procfs");
        (reading, faults)
    }
}

const fn stuck(pid: u32, wchan: &str) -> Made<'_> {
    Made { state: 'D', wchan, ..Made::sleeping(pid) }
}

fn channels(reading: &Reading) -> Vec<(&str, u64, Option<u64>)> {
    let seconds = |channel: &Channel| channel.oldest.map(|oldest| oldest.as_secs());
    reading.channels.iter().map(|channel| (&*channel.wchan, channel.tasks, seconds(channel))).collect()
}

fn state(reading: &Reading, wanted: State) -> u64 {
    reading.states().find(|(state, _)| *state == wanted).map(|(_, tasks)| tasks).unwrap()
}

#[test]
fn blocked_tasks_are_counted_by_where_they_wait_and_age_while_they_stand_still() {
    let host =
        Host::new(&[stuck(10, "cifs_strict_readv"), stuck(11, "cifs_strict_readv.isra.0"), stuck(12, "io_schedule")]);
    let mut reader = host.reader(&Options::default());
    let first = host.read(&mut reader);
    assert_eq!(channels(&first), [("cifs_strict_readv", 2, Some(0)), ("io_schedule", 1, Some(0))]);
    assert_eq!((first.scanned, state(&first, State::DiskSleep), state(&first, State::Sleeping)), (4, 3, 1));
    assert!(first.processes_visible);
    host.pass(30 * SECOND);
    // The disk task has run in between.
    host.write(Made { switches: 8, ..stuck(12, "io_schedule") });
    let second = host.read(&mut reader);
    assert_eq!(channels(&second), [("cifs_strict_readv", 2, Some(30)), ("io_schedule", 1, Some(0))]);
    assert_eq!(second.age, Some(Duration::ZERO));
    host.write(Made::sleeping(10));
    host.write(Made::sleeping(11));
    host.write(Made::sleeping(12));
    assert_eq!(channels(&host.read(&mut reader)), []);
}

/// The main thread sleeps and all looks well; a worker of it does not come back.
#[test]
fn a_stuck_worker_thread_of_a_sleeping_process_is_found() {
    let host = Host::new(&[Made { threads: 3, ..Made::sleeping(20) }]);
    fs::create_dir_all(host.procfs().join("20/task/20")).unwrap();
    host.write(Made { tid: 21, threads: 3, ..Made::sleeping(20) });
    host.write(Made { tid: 22, threads: 3, ..stuck(20, "nbd_queue_rq") });
    let reading = host.read(&mut host.reader(&Options::default()));
    assert_eq!(channels(&reading), [("nbd_queue_rq", 1, Some(0))]);
    assert_eq!(reading.scanned, 4);
}

#[test]
fn what_the_kernel_hides_is_not_fine() {
    let host = Host::new(&[stuck(10, "0"), stuck(11, "0")]);
    let reading = host.read(&mut host.reader(&Options::default()));
    assert_eq!(channels(&reading), [(UNREADABLE, 2, Some(0))]);
    assert_eq!(reading.wchan_readable, Some(false));
    // One that can be read proves that the kernel tells.
    host.write(stuck(12, "io_schedule"));
    let reading = host.read(&mut host.reader(&Options::default()));
    assert_eq!(channels(&reading), [("io_schedule", 1, Some(0)), (UNREADABLE, 2, Some(0))]);
    assert_eq!(reading.wchan_readable, Some(true));
}

#[test]
fn the_parent_of_kernel_threads_shows_whether_wait_channels_can_be_read() {
    let host = Host::new(&[]);
    assert_eq!(host.read(&mut host.reader(&Options::default())).wchan_readable, None);
    for (wchan, readable) in [("kthreadd", true), ("0", false)] {
        host.write(Made { wchan, ..Made::sleeping(2) });
        let stat = host.procfs().join("2/stat");
        fs::write(&stat, fs::read_to_string(&stat).unwrap().replace("(hog)", "(kthreadd)")).unwrap();
        assert_eq!(host.read(&mut host.reader(&Options::default())).wchan_readable, Some(readable));
    }
}

#[test]
fn channels_beyond_the_bound_are_one() {
    let host = Host::new(&[stuck(10, "a"), stuck(11, "a"), stuck(12, "b"), stuck(13, "c"), stuck(14, "0")]);
    let mut reader = host.reader(&Options { max_wchans: 1, ..Options::default() });
    host.read(&mut reader);
    host.pass(SECOND);
    host.write(Made { switches: 9, ..stuck(12, "b") });
    let reading = host.read(&mut reader);
    assert_eq!(channels(&reading), [("a", 2, Some(1)), (UNREADABLE, 1, Some(1)), (OTHER, 2, Some(1))]);
}

/// With no time at all one read looks at one task, and the sweep goes on with the next read.
#[test]
fn a_large_host_is_gone_through_in_several_reads() {
    let host = Host::new(&[stuck(10, "io_schedule"), Made { threads: 2, ..Made::sleeping(20) }]);
    host.write(Made { tid: 21, threads: 2, ..stuck(20, "nbd_queue_rq") });
    let mut reader = host.reader(&Options { max_duration: Duration::ZERO, ..Options::default() });
    for _ in 0..3 {
        assert_eq!(host.read(&mut reader).age, None, "nothing is shown of half a sweep");
        host.pass(SECOND);
    }
    let complete = host.read(&mut reader);
    assert_eq!(channels(&complete), [("io_schedule", 1, Some(0)), ("nbd_queue_rq", 1, Some(0))]);
    assert_eq!((complete.scanned, complete.age), (4, Some(3 * SECOND)));
    // The next sweep's first part shows the last complete sweep still, with its age.
    host.pass(SECOND);
    let next = host.read(&mut reader);
    assert_eq!((channels(&next), next.age), (channels(&complete), Some(4 * SECOND)));
    for _ in 0..3 {
        host.pass(SECOND);
        host.read(&mut reader);
    }
    host.pass(SECOND);
    let second = host.read(&mut reader);
    assert_eq!(channels(&second), [("io_schedule", 1, Some(4)), ("nbd_queue_rq", 1, Some(4))]);
}

#[test]
fn tasks_beyond_the_bound_are_counted() {
    let host = Host::new(&[]);
    (10..20).for_each(|pid| host.write(Made::sleeping(pid)));
    let reading = host.read(&mut host.reader(&Options { max_tasks: 4, ..Options::default() }));
    assert_eq!((reading.scanned, reading.beyond_bound), (4, 7));
    // Threads count, too: 1 process, 1 main thread and 2 of its 5 other threads.
    let host = Host::new(&[Made { threads: 6, ..Made::sleeping(10) }]);
    (11..16).for_each(|tid| host.write(Made { tid, threads: 6, ..Made::sleeping(10) }));
    host.write(Made::sleeping(30));
    let reading = host.read(&mut host.reader(&Options { max_tasks: 4, ..Options::default() }));
    assert_eq!((reading.scanned, reading.beyond_bound), (4, 4));
}

#[test]
fn garbage_is_counted_and_named_once() {
    let host = Host::new(&[Made::sleeping(10), Made::sleeping(11)]);
    fs::write(host.procfs().join("10/stat"), "garbage").unwrap();
    fs::write(host.procfs().join("11/stat"), "garbage").unwrap();
    let (reading, faults) = host.read_with_faults(&mut host.reader(&Options::default()));
    assert_eq!((reading.scanned, reading.unreadable), (1, 2));
    assert_eq!(faults.len(), 1);
    assert!(faults[0].path.ends_with("proc/10/stat"), "{}", faults[0]);
}

#[test]
fn a_blocked_task_with_unreadable_details_still_counts() {
    let host = Host::new(&[stuck(10, "no symbol"), stuck(11, "io_schedule")]);
    fs::write(host.procfs().join("11/status"), "garbage").unwrap();
    let (reading, faults) = host.read_with_faults(&mut host.reader(&Options::default()));
    assert_eq!(channels(&reading), [("io_schedule", 1, None), (UNREADABLE, 1, Some(0))]);
    assert_eq!(faults.len(), 2);
}

#[test]
fn a_process_that_ends_in_between_is_no_fault() {
    let host = Host::new(&[Made::sleeping(10), stuck(11, "io_schedule")]);
    fs::remove_file(host.procfs().join("10/stat")).unwrap();
    fs::remove_file(host.procfs().join("11/status")).unwrap();
    let reading = host.read(&mut host.reader(&Options::default()));
    assert_eq!((reading.scanned, reading.unreadable, channels(&reading)), (2, 0, vec![]));
}

/// `hidepid=2` does not even list the processes of others.
#[test]
fn hidden_processes_are_noticed() {
    let host = Host::new(&[Made::sleeping(10)]);
    fs::remove_dir_all(host.procfs().join("1")).unwrap();
    assert!(!host.read(&mut host.reader(&Options::default())).processes_visible);
}

#[test]
fn a_directory_without_processes_is_no_procfs() {
    let directory = tempfile::tempdir().unwrap();
    let probe = || Reader::probe(&Roots::under(directory.path()), &Options::default());
    assert!(matches!(probe(), Probe::Absent(_)));
    fs::create_dir_all(directory.path().join("proc/sys")).unwrap();
    assert!(matches!(probe(), Probe::Absent(_)));
}

/// In steady state a read keeps all its memory.
#[test]
fn a_second_sweep_moves_nothing() {
    let host = Host::new(&[stuck(10, "io_schedule"), stuck(11, "cifs_strict_readv")]);
    let mut reader = host.reader(&Options::default());
    let mut reading = Reading::default();
    let mut read = |reading: &mut Reading| {
        reader.read_by(&|| host.now.get(), reading, &mut |fault| panic!("{fault}")).expect("a procfs");
    };
    read(&mut reading);
    let before = (reading.channels.as_ptr(), reading.channels[0].wchan.as_ptr());
    read(&mut reading);
    assert_eq!((reading.channels.as_ptr(), reading.channels[0].wchan.as_ptr()), before);
}

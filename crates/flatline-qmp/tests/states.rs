//! Every state there is, from monitors that are absent, silent, hostile or merely old.

use flatline_qmp::synthetic::{Behaviour, Disk, Machine, Monitors, Shared};
use flatline_qmp::{Memory, Poll, State, poll, poll_all};
use proptest::prelude::*;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for whoever answers at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for the part that is answered, and waited for in vain for the rest.
const PARTLY: Duration = Duration::from_secs(5);
/// Short enough to wait for in vain.
const BRIEF: Duration = Duration::from_millis(200);

struct Lab {
    directory: TempDir,
    monitors: Monitors,
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        Self { directory: tempfile::tempdir().expect("directory"), monitors: Monitors::start(), runtime }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn machine(&self, name: &str, behaviour: Behaviour) -> Shared {
        let machine = Machine { behaviour, ..Machine::default() };
        self.monitors.add(&self.socket(name), machine).expect("socket")
    }

    fn ask(&self, name: &str, patience: Duration) -> Poll {
        self.runtime.block_on(poll(&self.socket(name), &mut Memory::default(), patience))
    }

    fn behaving(&self, behaviour: Behaviour, patience: Duration) -> Poll {
        let name = format!("{behaviour:?}");
        self.machine(&name, behaviour);
        self.ask(&name, patience)
    }
}

/// What went wrong is said with the socket's path.
fn assert_fails(poll: &Poll, state: State, words: &str) {
    assert_eq!(poll.state, state, "{poll:?}");
    let error = poll.error.as_deref().expect("a reason");
    assert!(error.starts_with('/') && error.contains(words), "{error}");
}

#[test]
fn a_healthy_monitor_is_up_however_it_orders_and_cuts_its_answers() {
    let lab = Lab::new();
    let behaviours = [Behaviour::Healthy, Behaviour::Chatty, Behaviour::OutOfOrder, Behaviour::ByteByByte];
    let polls = behaviours.map(|behaviour| Poll { reply_seconds: None, ..lab.behaving(behaviour, PATIENCE) });
    assert_eq!(polls[0].state, State::Up, "{:?}", polls[0]);
    assert_eq!(polls[0].queues.values().flatten().count(), 1);
    assert!(polls.iter().all(|poll| *poll == polls[0]), "{polls:?}");
}

#[test]
fn an_old_qemu_is_up_without_queues_and_not_asked_for_them_again() {
    let lab = Lab::new();
    let machine = lab.machine("old", Behaviour::Old);
    let mut memory = Memory::default();
    let first = lab.runtime.block_on(poll(&lab.socket("old"), &mut memory, PATIENCE));
    assert_eq!((first.state, first.virtio, first.queues.len()), (State::Up, None, 0));
    let failed: Vec<String> = first.failed.iter().map(ToString::to_string).collect();
    assert_eq!(failed, ["x-query-virtio: CommandNotFound: The command has not been found"]);
    // Were it asked again, it would now answer.
    machine.lock().behaviour = Behaviour::Healthy;
    let second = lab.runtime.block_on(poll(&lab.socket("old"), &mut memory, PATIENCE));
    assert_eq!((second.state, second.virtio), (State::Up, None));
}

#[test]
fn a_disk_plugged_in_later_is_found_and_one_unplugged_is_forgotten() {
    let lab = Lab::new();
    let machine = lab.machine("vm", Behaviour::Healthy);
    let mut memory = Memory::default();
    let mut queues = || lab.runtime.block_on(poll(&lab.socket("vm"), &mut memory, PATIENCE)).queues.len();
    assert_eq!(queues(), 1);
    machine.lock().disks.push(Disk::scsi(1));
    assert_eq!(queues(), 2);
    machine.lock().disks.remove(0);
    assert_eq!(queues(), 1);
    assert_eq!(queues(), 1);
}

#[test]
fn no_socket_is_absent_and_a_dead_process_is_refused() {
    let lab = Lab::new();
    assert_fails(&lab.ask("nothing", PATIENCE), State::Absent, "No such file");
    drop(UnixListener::bind(lab.socket("dead")).expect("socket"));
    assert_fails(&lab.ask("dead", PATIENCE), State::Refused, "refused");
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_an_error_that_says_so() {
    let lab = Lab::new();
    assert_fails(&lab.ask(&"x".repeat(200), PATIENCE), State::Error, "path");
}

#[test]
fn a_socket_of_another_user_is_denied() {
    let lab = Lab::new();
    lab.machine("vm", Behaviour::Healthy);
    rustix::fs::chmod(lab.socket("vm"), rustix::fs::Mode::empty()).expect("chmod");
    let poll = std::thread::scope(|scope| {
        let ask = || {
            // Root may connect to every socket. Changes this thread only.
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).expect("root may");
            }
            lab.ask("vm", PATIENCE)
        };
        scope.spawn(ask).join().expect("no panic")
    });
    assert_fails(&poll, State::PermissionDenied, "denied");
}

#[test]
fn silence_is_told_apart_by_where_it_begins() {
    let lab = Lab::new();
    assert_fails(&lab.behaving(Behaviour::Silent, BRIEF), State::NoGreeting, "no greeting");
    assert_fails(&lab.behaving(Behaviour::GreetingOnly, PARTLY), State::NoReply, "no answer");
}

#[test]
fn what_is_optional_may_be_late() {
    let late = Lab::new().behaving(Behaviour::Partial, PARTLY);
    assert_eq!((late.state, &late.error), (State::Up, &None));
    assert!(late.status.is_some() && late.block_stats.is_some() && late.reply_seconds.is_some());
    assert_eq!((late.blocks, late.virtio, late.queues.len()), (None, None, 0));
}

#[test]
fn a_full_backlog_is_busy_and_never_waited_for() {
    let lab = Lab::new();
    let listener = listen_briefly(&lab.socket("full"));
    let waiting: Vec<_> = (0..8)
        .map_while(|_| {
            let client = connect_at_once(&lab.socket("full"));
            client.ok()
        })
        .collect();
    assert!(!waiting.is_empty());
    assert_fails(&lab.ask("full", PATIENCE), State::Busy, "temporarily unavailable");
    drop(listener);
}

/// A listener with the shortest backlog, as QEMU has.
fn listen_briefly(path: &std::path::Path) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("socket");
    bind(&listener, &SocketAddrUnix::new(path).expect("path")).expect("bind");
    listen(&listener, 1).expect("listen");
    listener
}

/// Connects without waiting for room in the backlog.
fn connect_at_once(path: &std::path::Path) -> rustix::io::Result<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    connect(&client, &SocketAddrUnix::new(path)?)?;
    Ok(client)
}

#[test]
fn what_is_not_qmp_is_an_error_that_names_the_socket() {
    let lab = Lab::new();
    assert_fails(&lab.behaving(Behaviour::Garbage, PATIENCE), State::Error, "not a QMP message");
    assert_fails(&lab.behaving(Behaviour::InvalidUtf8, PATIENCE), State::Error, "not a QMP message");
    assert_fails(&lab.behaving(Behaviour::HalfLine, PATIENCE), State::Error, "closed the connection");
    assert_fails(&lab.behaving(Behaviour::WrongTypes, PATIENCE), State::Error, "make no sense");
}

#[test]
fn a_flood_and_a_line_without_end_are_cut_off() {
    let lab = Lab::new();
    assert_fails(&lab.behaving(Behaviour::Flood, PATIENCE), State::Error, "nobody asked for");
    let mut memory = Memory::default();
    lab.machine("long", Behaviour::LongLine(100 << 20));
    let long = lab.runtime.block_on(poll(&lab.socket("long"), &mut memory, PATIENCE));
    assert_fails(&long, State::Error, "a line of more than");
}

#[test]
fn many_machines_are_asked_at_once_and_the_silent_ones_cost_the_others_nothing() {
    let lab = Lab::new();
    let names: Vec<String> = (0..200).map(|number| format!("vm{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        lab.machine(name, if number % 2 == 0 { Behaviour::Healthy } else { Behaviour::Silent });
    }
    let mut sockets: Vec<_> = names.iter().map(|name| (lab.socket(name), Memory::default())).collect();
    for _ in 0..2 {
        let polls = lab.runtime.block_on(poll_all(sockets, Duration::from_secs(10)));
        for (number, (poll, _)) in polls.iter().enumerate() {
            let expected = if number % 2 == 0 { State::Up } else { State::NoGreeting };
            assert_eq!(poll.state, expected, "{number}");
        }
        let memories = polls.into_iter().map(|(_, memory)| memory);
        sockets = names.iter().map(|name| lab.socket(name)).zip(memories).collect();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_from_a_monitor_panic(greets in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let lab = Lab::new();
        let listener = UnixListener::bind(lab.socket("any")).expect("socket");
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("client");
            if greets {
                let _ = client.write_all(b"{\"QMP\": {}}\n");
            }
            let _ = client.write_all(&bytes);
        });
        let poll = lab.ask("any", PATIENCE);
        server.join().expect("server");
        prop_assert!(poll.state != State::Up);
    }
}

//! What real QEMUs 7.2 said, healthy and broken, served again and asked by the client.
//!
//! `fixtures/*.jsonl`: the last answer to each command of each phase of a recording, as QEMU wrote it. The guest writes
//! all the time; what breaks it is in the file's name.

mod common;

use common::Recording;
use flatline_qmp::{Memory, Poll, State, poll};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn serve(recording: &Recording, client: UnixStream) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    writeln!(client.get_mut(), "{}", recording.greeting)?;
    let mut line = String::new();
    while client.read_line(&mut line)? > 0 {
        let request = serde_json::from_str(&line).expect("the client writes JSON");
        writeln!(client.get_mut(), "{}", recording.answer(&request))?;
        line.clear();
    }
    Ok(())
}

/// Asks three times with one memory: what was learned at first must not change what is seen.
fn asked(name: &str, phase: &str) -> Poll {
    let directory = tempfile::tempdir().expect("directory");
    let socket = directory.path().join("qmp");
    let listener = UnixListener::bind(&socket).expect("socket");
    let recording = Recording::load(name, phase);
    let server = std::thread::spawn(move || {
        for client in listener.incoming().take(3) {
            let _ = serve(&recording, client.expect("client"));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut memory = Memory::default();
    let mut polls = [(); 3].map(|()| runtime.block_on(poll(&socket, &mut memory, PATIENCE)));
    server.join().expect("server");
    polls.iter_mut().for_each(|poll| poll.reply_seconds = None);
    assert!(polls.windows(2).all(|pair| pair[0] == pair[1]), "{polls:?}");
    let [poll, ..] = polls;
    assert_eq!((poll.state, &poll.error), (State::Up, &None), "{name} {phase}");
    assert!(poll.failed.is_empty(), "{:?}", poll.failed);
    assert_eq!(poll.greeting.as_ref().map(|greeting| greeting.oob), Some(true));
    assert_eq!(poll.peer_pid, Some(std::process::id()));
    let version = poll.greeting.as_ref().and_then(|greeting| greeting.version).expect("a version");
    assert_eq!(version.to_string(), "7.2.22");
    poll
}

fn writes(poll: &Poll) -> u64 {
    let disk = poll.block_stats.as_ref().and_then(|disks| disks.iter().find(|disk| disk.device == "drive-scsi0"));
    disk.and_then(|disk| disk.stats.wr_operations).expect("the guest's disk")
}

fn idle_seconds(poll: &Poll) -> u64 {
    let disks = poll.block_stats.as_ref().expect("disks");
    disks.iter().find_map(|disk| disk.stats.idle_time_ns).expect("it has completed requests") / 1_000_000_000
}

fn in_flight(poll: &Poll) -> Vec<(u64, Option<u16>)> {
    poll.queues.values().flatten().map(|queue| (queue.inuse, queue.used_idx)).collect()
}

#[test]
fn a_stalled_virtio_scsi_disk_has_requests_in_flight_and_no_progress() {
    let [before, during, after] = ["before", "during", "after"].map(|phase| asked("vscsi-nbd", phase));
    assert_eq!([&before, &during, &after].map(writes), [467, 686, 1617]);
    assert_eq!([&before, &during, &after].map(idle_seconds), [0, 60, 0]);
    // The request queue only: control and event queue come before it.
    assert_eq!(in_flight(&before), [(0, Some(772))]);
    assert_eq!(in_flight(&during), [(1, Some(989))]);
    assert_eq!(during.queues.keys().collect::<Vec<_>>(), ["/machine/peripheral/virtioscsi0/virtio-backend"]);
    assert_eq!(during.name.as_deref(), Some("vscsi-nbd"));
    let status = during.status.expect("answered");
    assert_eq!((status.status.as_str(), status.running), ("running", Some(true)));
    let threads = during.iothreads.expect("answered");
    assert_eq!(threads.iter().map(|thread| thread.id.as_str()).collect::<Vec<_>>(), ["iothread-scsi0"]);
}

#[test]
fn a_stalled_virtio_blk_disk_has_requests_in_flight_and_no_progress() {
    let [before, during] = ["before", "during"].map(|phase| asked("vblk-nbd", phase));
    assert_eq!(in_flight(&before).iter().map(|(in_flight, _)| in_flight).sum::<u64>(), 0);
    assert_eq!(in_flight(&during).iter().map(|(in_flight, _)| in_flight).sum::<u64>(), 1);
    assert!(idle_seconds(&during) > 50);
    let block = &during.blocks.as_ref().expect("answered")[0];
    assert_eq!(block.qdev.as_deref(), Some("/machine/peripheral/virtio0/virtio-backend"));
    assert_eq!(block.io_status.as_deref(), Some("ok"));
}

#[test]
fn a_paused_machine_says_so_and_has_nothing_in_flight() {
    let during = asked("vblk-pause", "during");
    assert_eq!(during.status.as_ref().map(|status| status.status.as_str()), Some("paused"));
    assert_eq!(in_flight(&during).iter().map(|(in_flight, _)| in_flight).sum::<u64>(), 0);
}

#[test]
fn a_throttled_disk_shows_its_limit() {
    let [before, during] = ["before", "set"].map(|phase| asked("vscsi-throttle1", phase));
    let limit = |poll: &Poll| {
        let inserted = poll.blocks.as_ref().and_then(|blocks| blocks[0].inserted.clone()).expect("a medium");
        (inserted.bps, inserted.bps_rd, inserted.bps_wr, inserted.iops)
    };
    assert_eq!(limit(&before), (Some(0), Some(62_914_560), Some(62_914_560), Some(0)));
    assert_ne!(limit(&during), limit(&before));
}

#[test]
fn an_lsi_disk_has_no_queues_to_look_into() {
    let before = asked("lsi-idle", "before");
    assert!(before.queues.is_empty());
    assert_eq!(before.virtio, Some(Vec::new()));
    assert_eq!(writes(&before), 0);
    assert_eq!(before.block_stats.expect("answered")[0].qdev.as_deref(), Some("scsi0"));
}

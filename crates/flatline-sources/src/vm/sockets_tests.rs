//! The table of Unix sockets, recorded and live.

use super::*;
use proptest::prelude::*;
use std::os::unix::net::{UnixListener, UnixStream};

const RECORDED: &[u8] = include_bytes!("../../../../fixtures/vm/sockets/unix");

fn count_in(table: &[u8], socket: &str) -> Clients {
    let mut counts = BTreeMap::from([(PathBuf::from(socket), Clients::default())]);
    count(table, Path::new("/proc/net/unix"), &mut counts).expect("readable");
    counts[Path::new(socket)]
}

fn clients(served: u32, abandoned: u32, queued: u32) -> Clients {
    Clients { listening: true, served, abandoned, queued }
}

#[test]
fn tells_who_is_served_in_the_recorded_table() {
    for (socket, expected) in [
        ("/run/vm/idle.qmp", clients(0, 0, 0)),
        ("/run/vm/served.qmp", clients(1, 0, 0)),
        ("/run/vm/queued.qmp", clients(1, 0, 1)),
        ("/run/vm/stopped.qmp", clients(0, 0, 1)),
        ("/run/vm/abandoned.qmp", clients(0, 1, 1)),
        ("/run/vm/mute.qmp", clients(0, 0, 1)),
        ("/run/vm/with a space.qmp", clients(1, 0, 0)),
        ("@run/vm/served.qmp", clients(0, 0, 0)),
        ("/run/vm/bound-only", Clients::default()),
        ("/run/vm/datagram", Clients::default()),
        ("/run/vm/nobody.qmp", Clients::default()),
    ] {
        assert_eq!(count_in(RECORDED, socket), expected, "{socket}");
    }
}

#[test]
fn reads_below_its_root_and_knows_both_names_of_run() {
    let tree = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(tree.path().join("proc/net")).expect("a directory");
    let table = String::from_utf8_lossy(RECORDED).replace("/run/vm/served", "/var/run/vm/served");
    std::fs::write(tree.path().join("proc/net/unix"), table).expect("a file");
    let names = ["/run/vm/served.qmp", "/var/run/vm/served.qmp", "/var/run/vm/queued.qmp"];
    let mut sockets: BTreeMap<_, _> = names.map(|name| (PathBuf::from(name), Clients::default())).into();
    read_clients(&Roots::under(tree.path()), &mut sockets).expect("readable");
    for (name, expected) in names.iter().zip([clients(1, 0, 0), clients(1, 0, 0), clients(1, 0, 1)]) {
        assert_eq!(sockets[Path::new(name)], expected, "{name}");
    }
}

#[test]
fn the_table_of_the_host_comes_first() {
    let tree = tempfile::tempdir().expect("a directory");
    let served_in = |directory: &str, table: &[u8]| {
        let directory = tree.path().join(directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("unix"), table).expect("a file");
        let mut sockets = BTreeMap::from([(PathBuf::from("/run/vm/served.qmp"), Clients::default())]);
        read_clients(&Roots::under(tree.path()), &mut sockets).expect("readable");
        sockets[Path::new("/run/vm/served.qmp")].served
    };
    assert_eq!(served_in("proc/net", b""), 0);
    assert_eq!(served_in("proc/1/net", RECORDED), 1);
}

#[test]
fn a_missing_table_is_an_error_with_its_path() {
    let error = read_clients(&Roots::under(Path::new("/nonexistent")), &mut BTreeMap::new()).expect_err("no table");
    assert_eq!((&*error.path, error.fault), (Path::new("/nonexistent/proc/net/unix"), Fault::NotFound));
}

#[test]
fn this_kernel_writes_what_was_recorded() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("live.qmp");
    let listener = UnixListener::bind(&path).expect("a socket");
    if !std::fs::read("/proc/net/unix").is_ok_and(|table| table.windows(9).any(|part| part == b"/live.qmp")) {
        flatline_lab::skipped("this kernel's table of sockets", "/proc/net/unix does not show them");
        return;
    }
    let now = || {
        let mut sockets = BTreeMap::from([(path.clone(), Clients::default())]);
        read_clients(&Roots::default(), &mut sockets).expect("readable");
        sockets[&path]
    };
    assert_eq!(now(), clients(0, 0, 0));
    let first = UnixStream::connect(&path).expect("a client");
    assert_eq!(now(), clients(0, 0, 1));
    let served = listener.accept().expect("a client");
    let second = UnixStream::connect(&path).expect("a client");
    assert_eq!(now(), clients(1, 0, 1));
    drop(first);
    assert_eq!(now(), clients(0, 1, 1));
    drop((served, second));
    assert_eq!(now(), clients(0, 0, 1));
    drop(listener);
    assert_eq!(now(), Clients::default());
}

#[test]
fn a_huge_table_is_read_to_its_end() {
    let mut table = Vec::new();
    for number in 0..100_000 {
        table.extend(format!("00000000: 00000003 00000000 00000000 0001 03 {number:5}\n").bytes());
    }
    table.extend_from_slice(&vec![b'x'; 5000]);
    table.push(b'\n');
    table.extend_from_slice(RECORDED);
    assert_eq!(count_in(&table, "/run/vm/queued.qmp"), clients(1, 0, 1));
}

proptest! {
    #[test]
    fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_row(&bytes);
    }

    #[test]
    fn any_path_round_trips(path in "[/@][^\0\n]{0,60}", inode in 1_u64..10_000_000, references in 2_u64..100) {
        let row = format!("0000000000000000: {references:08X} 00000000 00000000 0001 03 {inode:5} {path}\n");
        let expected = Row { role: Role::Accepted, references, path: Path::new(&path) };
        prop_assert_eq!(parse_row(row.as_bytes()), Some(expected));
    }
}

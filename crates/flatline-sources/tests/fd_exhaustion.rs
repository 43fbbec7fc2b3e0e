//! Running out of file descriptors. A test binary of its own with one test, since the limit is the process's.

mod common;

use common::{Tree, read, read_with_faults};
use flatline_sources::Fault;
use flatline_sources::memcg::Options;
use flatline_sources::synthetic::write_tree;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;

fn open_files(limit: u64) {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: hard }).expect("below the hard limit");
}

#[test]
fn a_host_without_descriptors_is_still_read() {
    let tree = Tree::new();
    write_tree(&tree.roots().cgroup, 150).expect("writable");
    let expected = read(&mut tree.reader(&Options::default()));
    assert_eq!(expected.cgroups.len(), 151);

    // The budget promises far more than there is.
    open_files(200);
    let mut reader = tree.reader(&Options { max_held_files: 16_384, ..Options::default() });
    let (reading, faults) = read_with_faults(&mut reader);
    assert_eq!(reading, expected);
    assert_eq!(faults.iter().map(|(fault, _)| *fault).collect::<Vec<_>>(), [Fault::OutOfFileDescriptors]);
    for _ in 0..20 {
        let (reading, faults) = read_with_faults(&mut reader);
        assert_eq!(reading, expected);
        assert!(faults.len() <= 1);
    }
    assert_eq!(read_with_faults(&mut reader).1, [], "it has settled for less");

    // Somebody else takes the rest: what is held must shrink further.
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let (reading, faults) = read_with_faults(&mut reader);
    assert_eq!((reading, faults.len()), (expected.clone(), 1));

    // And if nothing is left at all, the reader fails and recovers.
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    open_files(0);
    let mut reading = flatline_sources::memcg::Reading::default();
    for _ in 0..3 {
        let mut seen = Vec::new();
        let _ = reader.read(&mut reading, &mut |fault| seen.push(fault.fault));
        assert!(seen.contains(&Fault::OutOfFileDescriptors));
    }
    drop(taken);
    open_files(200);
    assert_eq!(read(&mut reader), expected);
}

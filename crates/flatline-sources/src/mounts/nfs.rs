//! What the kernel's NFS client counts: `/proc/<pid>/mountstats` mount by mount, and `/proc/net/rpc/nfs` for all
//! (written by `fs/nfs/super.c`, `net/sunrpc/stats.c`; described in mountstats(8) and nfsstat(8)).

use super::mountinfo::unescape;
use crate::value::number;

/// One NFS mount's calls to its server, all kinds of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NfsMount {
    /// Where it is mounted.
    pub mountpoint: Vec<u8>,
    /// What is mounted.
    pub source: Vec<u8>,
    /// Calls completed.
    pub calls: u64,
    /// How often a call had to be sent again.
    pub retransmissions: u64,
    /// How often a call that is completed now has waited through `timeo` times `retrans`.
    pub major_timeouts: u64,
}

/// The NFS mounts, in the order of the file. Mounts of other types are skipped.
#[must_use]
pub fn parse_mountstats(content: &[u8]) -> Vec<NfsMount> {
    let mut mounts = Vec::new();
    let mut current: Option<NfsMount> = None;
    for line in content.split(|byte| *byte == b'\n') {
        if let Some(device) = line.strip_prefix(b"device ") {
            mounts.extend(current.take());
            current = mount(device);
        } else if let Some((mount, operation)) = current.as_mut().zip(operation(line)) {
            mount.calls = mount.calls.saturating_add(operation.calls);
            mount.retransmissions = mount.retransmissions.saturating_add(operation.retransmissions);
            mount.major_timeouts = mount.major_timeouts.saturating_add(operation.major_timeouts);
        }
    }
    mounts.extend(current);
    mounts
}

/// `SOURCE mounted on MOUNTPOINT with fstype nfs4 statvers=1.1`
fn mount(line: &[u8]) -> Option<NfsMount> {
    let fields: Vec<&[u8]> = line.splitn(8, |byte| *byte == b' ').collect();
    match fields.as_slice() {
        [source, b"mounted", b"on", mountpoint, b"with", b"fstype", b"nfs" | b"nfs4", ..] => {
            Some(NfsMount { mountpoint: unescape(mountpoint), source: unescape(source), ..NfsMount::default() })
        }
        _ => None,
    }
}

/// `READ: 1298 1298 0 ...`: calls, transmissions, major timeouts, and at least five more figures.
fn operation(line: &[u8]) -> Option<NfsMount> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name = words.next()?.strip_suffix(b":")?;
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let figures: Option<Vec<u64>> = words.map(number).collect();
    match figures?.as_slice() {
        [calls, sent, timeouts, _, _, _, _, _, ..] if name.iter().all(is_name) => Some(NfsMount {
            calls: *calls,
            retransmissions: sent.saturating_sub(*calls),
            major_timeouts: *timeouts,
            ..NfsMount::default()
        }),
        _ => None,
    }
}

/// All calls of the NFS client, and how many were sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NfsClient {
    /// Calls.
    pub calls: u64,
    /// Calls sent again.
    pub retransmissions: u64,
}

/// The line `rpc CALLS RETRANSMISSIONS ...` of `/proc/net/rpc/nfs`.
#[must_use]
pub fn parse_client(content: &[u8]) -> Option<NfsClient> {
    let line = content.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"rpc "))?;
    let mut figures = line.split(|byte| *byte == b' ').map(number);
    Some(NfsClient { calls: figures.next()??, retransmissions: figures.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTSTATS: &str = "\
device proc mounted on /proc with fstype proc
device 10.10.0.36:/tank/backup mounted on /mnt/back\\040up with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,acregmin=3,hard,proto=tcp,timeo=600,retrans=2
\tage:\t84600
\tcaps:\tcaps=0x3ffbffff,wtmult=512,dtsize=1048576,bsize=0,namlen=255
\tnfsv4:\tbm0=0xfdffbfff,bm1=0xf9be3e,bm2=0x68800,acl=0x3,sessions,pnfs=not configured,lease_time=90
\tsec:\tflavor=1,pseudoflavor=1
\tevents:\t52 226 0 0 1 13 398 0 0 331 0 47 0 0 77 0 0 77 0 0 331 0 0 0 0 0 0
\tbytes:\t1593 0 0 0 1593 0 1 0
\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)
\txprt:\ttcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726
\tper-op statistics
\t        NULL: 1 1 0 44 24 0 0 1 0
\t        READ: 1298 1303 2 207680 106038892 192 79386 92867 1
\t       WRITE: 20 21 1 2927 3200 0 17 17 0
\t     GETATTR: 331 331 0 60000 79000 0 300 310 0

device tmpfs mounted on /tmp with fstype tmpfs
device old:/x mounted on /mnt/old with fstype nfs statvers=1.0
\tper-op statistics
\t        READ: 5 9 4 1 1 1 1 1
";

    #[test]
    fn mounts_with_their_calls() {
        let mount = |source: &str, mountpoint: &str, calls, retransmissions, major_timeouts| NfsMount {
            mountpoint: mountpoint.into(),
            source: source.into(),
            calls,
            retransmissions,
            major_timeouts,
        };
        let expected =
            [mount("10.10.0.36:/tank/backup", "/mnt/back up", 1650, 6, 3), mount("old:/x", "/mnt/old", 5, 4, 4)];
        assert_eq!(parse_mountstats(MOUNTSTATS.as_bytes()), expected);
    }

    #[test]
    fn the_client_as_a_whole() {
        let content = b"net 0 0 0 0\nrpc 5243 17 5244\nproc4 2 1 2\n";
        assert_eq!(parse_client(content), Some(NfsClient { calls: 5243, retransmissions: 17 }));
        for bad in ["", "rpc 5", "rpc x 1 2", "proc4 2 1 2"] {
            assert_eq!(parse_client(bad.as_bytes()), None, "{bad}");
        }
    }

    /// Recorded on Debian's 6.1, after a minute and a half without a word from the server.
    #[test]
    fn a_recorded_server_that_was_silent() {
        let mounts = parse_mountstats(include_bytes!("../../../../fixtures/mounts/proc/1/mountstats"));
        let expected = NfsMount {
            mountpoint: "/mnt/backup".into(),
            source: "10.10.0.36:/tank/backup".into(),
            calls: 30,
            retransmissions: 0,
            major_timeouts: 10,
        };
        assert_eq!(mounts, [expected]);
        let client = parse_client(include_bytes!("../../../../fixtures/mounts/proc/net/rpc/nfs"));
        assert_eq!(client, Some(NfsClient { calls: 74, retransmissions: 0 }));
    }

    proptest! {
        #[test]
        fn operations_add_up(operations in proptest::collection::vec((0_u64..1 << 40, 0_u64..1 << 20, 0_u64..1 << 20), 0..20)) {
            let lines = operations.iter().enumerate().map(|(n, (calls, again, timeouts))| {
                format!("\t OP_{n}: {calls} {} {timeouts} 1 2 3 4 5 0\n", calls + again)
            });
            let content = format!("device s:/x mounted on /m with fstype nfs\n{}", lines.collect::<String>());
            let mounts = parse_mountstats(content.as_bytes());
            prop_assert_eq!(mounts.len(), 1);
            let sum = |of: fn(&(u64, u64, u64)) -> u64| operations.iter().map(of).sum::<u64>();
            prop_assert_eq!(
                (mounts[0].calls, mounts[0].retransmissions, mounts[0].major_timeouts),
                (sum(|op| op.0), sum(|op| op.1), sum(|op| op.2))
            );
        }

        #[test]
        fn no_content_panics(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(parse_mountstats(&content).len() <= content.len());
            let _ = parse_client(&content);
        }
    }
}

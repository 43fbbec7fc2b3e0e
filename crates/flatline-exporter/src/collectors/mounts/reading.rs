//! What is shown of the mounts.

use super::track::State;
use crate::exposition::{Emitter, Reading, Value};
use flatline_catalog::{Family, mounts as catalog};
use flatline_sources::mounts::{Cifs, Clients, Labels, NfsMount};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The network mounts as they are now.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) mounts: Vec<Shown>,
    pub(super) beyond_bound: usize,
    pub(super) alike: usize,
    pub(super) in_flight: usize,
    pub(super) clients: Option<Clients>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) labels: Arc<Labels>,
    /// The bytes the labels stand for.
    pub(super) mountpoint: PathBuf,
    pub(super) state: State,
    /// `None` when it is not asked at all.
    pub(super) stuck: Option<Duration>,
    pub(super) answered: Option<SystemTime>,
    pub(super) took: Option<Duration>,
}

impl Shown {
    fn values(&self) -> [&str; 3] {
        let Labels { mountpoint, fstype, source } = &*self.labels;
        [mountpoint, fstype, source]
    }

    fn is_at(&self, mountpoint: &[u8]) -> bool {
        self.mountpoint.as_os_str().as_bytes() == mountpoint
    }
}

impl Reading for Found {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        self.emit_mounts(out)?;
        out.single(&catalog::CALLS_IN_FLIGHT, self.in_flight)?;
        out.family(&catalog::LEFT_OUT, |samples| {
            samples.push(&["bound"], self.beyond_bound)?;
            samples.push(&["alike"], self.alike)
        })?;
        let Some(clients) = &self.clients else { return Ok(()) };
        if let Some(cifs) = &clients.cifs {
            emit_cifs(cifs, out)?;
        }
        out.family(&catalog::NFS_CALLS, |samples| samples.push_some(&[], clients.nfs.map(|nfs| nfs.calls)))?;
        out.family(&catalog::NFS_RETRANSMISSIONS, |samples| {
            samples.push_some(&[], clients.nfs.map(|nfs| nfs.retransmissions))
        })?;
        self.emit_nfs_mounts(&clients.nfs_mounts, out)
    }
}

/// A figure of the NFS client and the family that shows it.
type NfsFigure = (&'static Family, fn(&NfsMount) -> u64);

/// A number about a mount and the family that shows it.
type Number = (&'static Family, fn(&Shown) -> Option<Value>);

const NUMBERS: [Number; 3] = [
    (&catalog::STUCK_SECONDS, |mount| mount.stuck.map(Value::from)),
    (&catalog::LAST_ANSWER, |mount| mount.answered.and_then(timestamp)),
    (&catalog::ANSWER_SECONDS, |mount| mount.took.map(Value::from)),
];

fn timestamp(time: SystemTime) -> Option<Value> {
    time.duration_since(UNIX_EPOCH).ok().map(Value::from)
}

impl Found {
    fn emit_mounts(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::RESPONDING, |samples| {
            let mut mounts = self.mounts.iter();
            mounts.try_for_each(|mount| samples.push_some(&mount.values(), mount.state.is_responding()))
        })?;
        out.family(&catalog::STATE_OF_MOUNT, |samples| {
            self.mounts.iter().try_for_each(|mount| {
                let [mountpoint, fstype, source] = mount.values();
                let mut states = State::all();
                states.try_for_each(|state| {
                    samples.push(&[mountpoint, fstype, source, state.label()], state == mount.state)
                })
            })
        })?;
        for (family, number) in NUMBERS {
            out.family(family, |samples| {
                self.mounts.iter().try_for_each(|mount| samples.push_some(&mount.values(), number(mount)))
            })?;
        }
        Ok(())
    }

    /// The figures of the mounts that are shown; a second place of the same server has the same ones.
    fn emit_nfs_mounts(&self, nfs: &[NfsMount], out: &mut Emitter<'_>) -> fmt::Result {
        let figures: [NfsFigure; 3] = [
            (&catalog::NFS_MOUNT_CALLS, |mount| mount.calls),
            (&catalog::NFS_MOUNT_RETRANSMISSIONS, |mount| mount.retransmissions),
            (&catalog::NFS_MOUNT_TIMEOUTS, |mount| mount.major_timeouts),
        ];
        // One that lies under another mount is none of what the file lists at its place.
        let is_nfs =
            |mount: &&Shown| mount.state != State::Hidden && matches!(mount.labels.fstype.as_str(), "nfs" | "nfs4");
        for (family, figure) in figures {
            out.family(family, |samples| {
                self.mounts.iter().filter(is_nfs).try_for_each(|mount| {
                    // The last one: what is mounted over another comes after it.
                    let found = nfs.iter().rfind(|nfs| mount.is_at(&nfs.mountpoint));
                    samples.push_some(&mount.values(), found.map(figure))
                })
            })?;
        }
        Ok(())
    }
}

fn emit_cifs(cifs: &Cifs, out: &mut Emitter<'_>) -> fmt::Result {
    let figures = [
        (&catalog::CIFS_SESSIONS, cifs.sessions),
        (&catalog::CIFS_REQUESTS_IN_FLIGHT, cifs.requests_in_flight),
        (&catalog::CIFS_SESSION_RECONNECTS, cifs.session_reconnects),
        (&catalog::CIFS_SHARE_RECONNECTS, cifs.share_reconnects),
    ];
    for (family, figure) in figures {
        out.family(family, |samples| samples.push_some(&[], figure))?;
    }
    out.family(&catalog::CIFS_SHARE_CONNECTED, |samples| {
        cifs.shares.iter().try_for_each(|share| samples.push(&[&share.name], !share.disconnected))
    })?;
    out.family(&catalog::CIFS_SHARE_REQUESTS, |samples| {
        cifs.shares.iter().try_for_each(|share| samples.push_some(&[&share.name], share.requests))
    })?;
    out.family(&catalog::CIFS_SHARE_FAILURES, |samples| {
        cifs.shares.iter().try_for_each(|share| samples.push_some(&[&share.name], share.failures))
    })
}

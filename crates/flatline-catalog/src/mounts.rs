//! Network file systems: whether each mount answers, and what the kernel's SMB and NFS clients count (kernel
//! documentation: `Documentation/filesystems/proc.rst`, `Documentation/admin-guide/cifs/usage.rst`; mountstats(8)).

use crate::{Family, Label, Unit};

/// Where it is mounted.
pub const MOUNTPOINT: Label = Label::new("mountpoint", "one per file system, at most --collector.mounts.max-mounts");
/// The type.
pub const FSTYPE: Label = Label::new("fstype", "one per mount: cifs, nfs4, fuse.sshfs and so on");
/// What is mounted.
pub const SOURCE: Label = Label::new("source", "one per mount: //server/share, server:/export");
/// What is known of a mount.
pub const STATE: Label = Label::new(
    "state",
    "answered, hung, no_connection, timed_out, stale, io_error, permission, not_visible, error, hidden, automounted, not_asked",
);
/// Why mounts are not shown.
pub const REASON: Label = Label::new("reason", "bound, alike");
/// A share of the SMB client.
pub const SHARE: Label = Label::new("share", "the first 256 shares of /proc/fs/cifs/Stats");

const MOUNT: &[Label] = &[MOUNTPOINT, FSTYPE, SOURCE];

/// Whether it answers.
pub static RESPONDING: Family = Family::gauge(
    "flatline_mount_responding",
    Unit::None,
    MOUNT,
    "1 when the file system answers (statfs), 0 when it hangs or its server is gone: whoever touches it then hangs or fails. Absent when that can't be known, because we may not ask or do not see it; flatline_mount_state says why.",
);
/// What it answers.
pub static STATE_OF_MOUNT: Family = Family::gauge(
    "flatline_mount_state",
    Unit::None,
    &[MOUNTPOINT, FSTYPE, SOURCE, STATE],
    "1 for what is known of the mount: answered; hung (no answer for too long); no_connection (its server or FUSE process is gone); timed_out, io_error (a soft mount has given up); stale (the server no longer knows it); permission (we may not ask, which is no fault of the server); not_visible, hidden (other mounts lie over it), not_asked (too many others hang, or too many of the same server), and so on.",
);
/// The age of the hang.
pub static STUCK_SECONDS: Family = Family::gauge(
    "flatline_mount_stuck_seconds",
    Unit::Seconds,
    MOUNT,
    "For how long whoever touches the mount has had to wait in vain: since the question that it has not answered yet, or the first of those that it has answered with an error after --collector.mounts.timeout or later, as soft mounts do. 0 when it answers, or fails at once.",
);
/// When it last answered.
pub static LAST_ANSWER: Family = Family::gauge(
    "flatline_mount_last_answer_timestamp_seconds",
    Unit::Seconds,
    MOUNT,
    "When the mount last answered with its figures. Absent when it has not since the exporter started.",
);
/// How long that took.
pub static ANSWER_SECONDS: Family = Family::gauge(
    "flatline_mount_answer_seconds",
    Unit::Seconds,
    MOUNT,
    "How long the mount's last answer took, an error included. A server that gets slow shows here before it hangs.",
);
/// Threads that wait.
pub static CALLS_IN_FLIGHT: Family = Family::gauge(
    "flatline_mount_calls_in_flight",
    Unit::None,
    &[],
    "Threads of the exporter that wait in the kernel for a mount's answer, those for mounts that have been lazily unmounted meanwhile included. At most 16, of which 4 for the mounts of one server; mounts beyond are not_asked.",
);
/// Mounts that are not shown.
pub static LEFT_OUT: Family = Family::gauge(
    "flatline_mounts_left_out",
    Unit::None,
    &[REASON],
    "Network mounts that are not watched: beyond --collector.mounts.max-mounts (bound), or with the same place, type and source as one that is (alike).",
);
/// `CIFS Session`.
pub static CIFS_SESSIONS: Family =
    Family::gauge("flatline_cifs_sessions", Unit::None, &[], "Sessions of the kernel's SMB client with servers.");
/// `Operations (MIDs)`.
pub static CIFS_REQUESTS_IN_FLIGHT: Family = Family::gauge(
    "flatline_cifs_requests_in_flight",
    Unit::None,
    &[],
    "Requests of the kernel's SMB client that no server has answered yet.",
);
/// Session reconnects.
pub static CIFS_SESSION_RECONNECTS: Family = Family::counter(
    "flatline_cifs_session_reconnects_total",
    Unit::None,
    &[],
    "How often the kernel's SMB client has connected to a server again after it had lost it: once when a machine that was off is back, again and again while one is on and says nothing. Starts anew when the module is loaded or somebody clears its statistics.",
);
/// Share reconnects.
pub static CIFS_SHARE_RECONNECTS: Family = Family::counter(
    "flatline_cifs_share_reconnects_total",
    Unit::None,
    &[],
    "How often the kernel's SMB client has connected to a share again after its server had been lost.",
);
/// `DISCONNECTED`.
pub static CIFS_SHARE_CONNECTED: Family = Family::gauge(
    "flatline_cifs_share_connected",
    Unit::None,
    &[SHARE],
    "0 while the kernel's SMB client has lost the share and has not got it back.",
);
/// `SMBs`.
pub static CIFS_SHARE_REQUESTS: Family = Family::counter(
    "flatline_cifs_share_requests_total",
    Unit::None,
    &[SHARE],
    "Requests sent for the share. Starts anew when it is mounted anew.",
);
/// Failures.
pub static CIFS_SHARE_FAILURES: Family = Family::counter(
    "flatline_cifs_share_failures_total",
    Unit::None,
    &[SHARE],
    "Requests for the share that failed, of every kind. Some are everyday: a file that is looked for and is not there.",
);
/// All calls of the NFS client.
pub static NFS_CALLS: Family = Family::counter(
    "flatline_nfs_calls_total",
    Unit::None,
    &[],
    "Calls of the kernel's NFS client to all servers (/proc/net/rpc/nfs).",
);
/// Calls sent again.
pub static NFS_RETRANSMISSIONS: Family = Family::counter(
    "flatline_nfs_retransmissions_total",
    Unit::None,
    &[],
    "Calls the kernel's NFS client had to send again because no reply came, all servers together.",
);
/// A mount's calls.
pub static NFS_MOUNT_CALLS: Family = Family::counter(
    "flatline_nfs_mount_calls_total",
    Unit::None,
    MOUNT,
    "Calls for the NFS mount that were completed (/proc/self/mountstats). Starts anew when it is mounted anew.",
);
/// A mount's calls sent again.
pub static NFS_MOUNT_RETRANSMISSIONS: Family = Family::counter(
    "flatline_nfs_mount_retransmissions_total",
    Unit::None,
    MOUNT,
    "How often a call for the NFS mount had to be sent again before it was completed; counted when it is. Over TCP and NFS 4 that takes a broken connection: a silent server shows in the major timeouts.",
);
/// A mount's major timeouts.
pub static NFS_MOUNT_TIMEOUTS: Family = Family::counter(
    "flatline_nfs_mount_major_timeouts_total",
    Unit::None,
    MOUNT,
    "How often calls for the NFS mount waited through a major timeout, after which the kernel says that the server does not respond, or a soft mount gives up. Counted when the call is completed: a call that waits now shows in flatline_mount_stuck_seconds.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &RESPONDING,
    &STATE_OF_MOUNT,
    &STUCK_SECONDS,
    &LAST_ANSWER,
    &ANSWER_SECONDS,
    &CALLS_IN_FLIGHT,
    &LEFT_OUT,
    &CIFS_SESSIONS,
    &CIFS_REQUESTS_IN_FLIGHT,
    &CIFS_SESSION_RECONNECTS,
    &CIFS_SHARE_RECONNECTS,
    &CIFS_SHARE_CONNECTED,
    &CIFS_SHARE_REQUESTS,
    &CIFS_SHARE_FAILURES,
    &NFS_CALLS,
    &NFS_RETRANSMISSIONS,
    &NFS_MOUNT_CALLS,
    &NFS_MOUNT_RETRANSMISSIONS,
    &NFS_MOUNT_TIMEOUTS,
];

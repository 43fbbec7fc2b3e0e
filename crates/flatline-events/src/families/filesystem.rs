//! File systems, local and remote.

use crate::Kind::{
    CifsNotResponding, CifsReconnectFailed, FilesystemError, FilesystemReadonly, NfsNotResponding, NfsOk,
};
use crate::pattern::{Pattern, kernel, nothing};

pub(crate) const PATTERNS: &[Pattern] = &[
    // fs/ext4/super.c, fs/ext2/super.c
    kernel(
        FilesystemReadonly,
        r"(?P<fs>EXT[234]-fs) \((?P<device>{DISK})\): (?:error: )?[Rr]emounting filesystem read-only",
    ),
    kernel(FilesystemReadonly, r"Remounting filesystem read-only$"),
    // fs/f2fs/super.c, fs/nilfs2/super.c
    kernel(
        FilesystemReadonly,
        r"(?P<fs>F2FS-fs|NILFS) \((?P<device>{DISK})\): (?:error: )?[Rr]emounting filesystem read-only",
    ),
    // fs/reiserfs/prints.c, fs/jfs/super.c, fs/ufs
    kernel(
        FilesystemReadonly,
        r"(?P<fs>REISERFS|ERROR:|UFS-fs) \((?:device )?(?P<device>{DISK})\): [Rr]emounting filesystem (?:as )?read-only",
    ),
    // fs/fat/misc.c, fs/exfat/misc.c
    kernel(
        FilesystemReadonly,
        r"(?P<fs>FAT-fs|exFAT-fs) \((?P<device>{DISK})\): Filesystem has been set read-only",
    ),
    // fs/ubifs/io.c
    kernel(
        FilesystemReadonly,
        r"(?P<fs>UBIFS) warning \((?:(?P<device>ubi\d+:\d+) )?pid \d+\): ubifs_ro_mode[\w.]*: switched to read-only mode",
    ),
    // fs/btrfs/super.c, messages.c
    kernel(
        FilesystemReadonly,
        r"(?P<fs>BTRFS)(?: info| warning| error)?:? \(device (?P<device>{DISK}){STATE}\):? forced readonly",
    ),
    kernel(FilesystemReadonly, r"BTRFS: forced readonly").with(&[("fs", "BTRFS")]),
    // fs/ocfs2/super.c
    kernel(FilesystemReadonly, r"OCFS2: File system is now read-only").with(&[("fs", "OCFS2")]),
    // fs/bcachefs/super.c
    kernel(FilesystemReadonly, r"(?P<fs>bcachefs) \((?P<device>{DISK})\):? emergency read[ -]only")
        ,
    // fs/ext4/super.c, fs/ext2/super.c, fs/ext3
    kernel(FilesystemError, r"(?P<fs>EXT[234]-fs) error \(device (?P<device>{DISK})\):? "),
    kernel(FilesystemError, r"(?P<fs>EXT[234]-fs) \((?P<device>{DISK})\): error: "),
    // fs/jbd2/journal.c, fs/jbd
    kernel(FilesystemError, r"Aborting journal on device (?P<device>{DISK})(?:-\d+)?\.").with(&[("fs", "jbd2")]),
    // fs/xfs
    kernel(FilesystemError, r"XFS \((?P<device>{DISK})\): [^\n]*?Shutting down filesystem")
        .with(&[("fs", "XFS"), ("phase", "shutdown")]),
    kernel(FilesystemError, r"XFS: (?:Internal error |Corruption detected)").with(&[("fs", "XFS")]),
    kernel(FilesystemError, r"XFS \((?P<device>{DISK})\): Filesystem has been shut down due to log error")
        .with(&[("fs", "XFS"), ("phase", "shutdown")]),
    kernel(
        FilesystemError,
        r"XFS \((?P<device>{DISK})\): (?:Corruption |Metadata (?:corruption|CRC error) detected|[Mm]etadata I/O error|Internal error |log I/O error|writeback error on |xfs_do_force_shutdown[^\n]*?corruption)",
    )
    .with(&[("fs", "XFS")]),
    // fs/btrfs
    // A mount that was refused is no corruption: what is corrupt has been told before.
    nothing(r"BTRFS error \(device {DISK}{STATE}\): (?:open_ctree failed|(?:unrecognized|conflicting|unknown) |(?:cannot|unable to) (?:re)?mount|[Rr]emount|(?:balance|scrub|qgroup|send|ioctl)\b)"),
    kernel(FilesystemError, r"BTRFS (?:error|critical) \(device (?P<device>{DISK}){STATE}\)(?::| in )")
        .with(&[("fs", "BTRFS")]),
    kernel(FilesystemError, r"BTRFS: error \(device (?P<device>{DISK}){STATE}\) in \w+:\d+: errno=")
        .with(&[("fs", "BTRFS")]),
    kernel(
        FilesystemError,
        r"BTRFS (?:warning|info) \(device (?P<device>{DISK}){STATE}\): (?:csum failed |checksum error at |checksum verify failed on )",
    )
    .with(&[("fs", "BTRFS")]),
    // fs/f2fs, fs/fat/misc.c, fs/exfat/misc.c, fs/ntfs, fs/nilfs2, fs/reiserfs, fs/jfs, fs/ocfs2, fs/ubifs, fs/bcachefs
    kernel(FilesystemError, r"(?P<fs>FAT-fs|exFAT-fs) \((?P<device>{DISK})\): error, "),
    kernel(
        FilesystemError,
        r"(?P<fs>F2FS-fs) \((?P<device>{DISK})\): (?:Stopped filesystem due to reason|[Ii]nconsisten\w+ |[Cc]orrupted |access invalid blkaddr|invalid crc value)",
    ),
    kernel(FilesystemError, r"(?P<fs>NTFS-fs|REISERFS|NILFS) error \(device (?P<device>{DISK})\): "),
    kernel(FilesystemError, r"(?P<fs>OCFS2): ERROR \(device (?P<device>{DISK})\): "),
    kernel(FilesystemError, r"ERROR: \(device (?P<device>{DISK})\): \w+: ").with(&[("fs", "JFS")]),
    kernel(FilesystemError, r"(?P<fs>UBIFS) error \((?:(?P<device>ubi\d+:\d+) )?pid \d+\): "),
    kernel(FilesystemError, r"(?P<fs>bcachefs) \((?P<device>{DISK})\): (?:inconsistency detected|fatal error|btree node read error|(?:data )?checksum error)"),
    kernel(FilesystemError, r"(?P<fs>ntfs3)(?:: |\()(?P<device>{DISK})\)?: Mark volume as dirty due to NTFS errors"),
    // fs/smb/client/connect.c, smb2pdu.c (fs/cifs before 6.x)
    kernel(
        CifsNotResponding,
        r"CIFS:? VFS: (?:Server |\\\\)?(?P<server>\S+) has not responded in \d+ seconds\. Reconnecting",
    ),
    kernel(CifsReconnectFailed, r"CIFS:? VFS: (?:\\\\\S+ )?reconnect tcon failed rc = (?P<rc>-?\d+)"),
    // net/sunrpc/clnt.c
    kernel(
        NfsNotResponding,
        r"(?:nfs|lockd): server (?P<server>\S+) not responding, (?P<mode>still trying|timed out)",
    ),
    kernel(NfsOk, r"(?:nfs|lockd): server (?P<server>\S+) OK$"),
];

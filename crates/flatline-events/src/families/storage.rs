//! Disks, their buses and arrays of them.

use crate::Kind::{AtaError, BlockIoError, MdRaidFailure, NvmeTimeoutOrReset, ScsiErrorOrAbort};
use crate::pattern::{Pattern, kernel};

pub(crate) const PATTERNS: &[Pattern] = &[
    // block/blk-mq.c blk_print_req_error, block/blk-core.c before
    kernel(
        BlockIoError,
        r"(?:blk_update_request: |print_req_error: |end_request: )?(?P<status>operation not supported|timeout|critical space allocation|recoverable transport|critical target|critical nexus|reservation conflict|critical medium|protection|kernel resource|device resource|nonblocking retry|dm internal retry|device offline|zone resource|zone open resource|zone active resource|invalid|duration limit exceeded|I/O) error, dev (?P<device>{DISK}), sector \d+(?: op 0x[0-9a-f]+:\((?P<op>\w+)\))?",
    )
    .with(&[("phase", "request")]),
    // fs/buffer.c buffer_io_error
    kernel(BlockIoError, r"Buffer I/O error on dev(?:ice)? (?P<device>{DISK}), logical block \d+")
        .with(&[("phase", "buffer")]),
    // drivers/ata/libata-eh.c, libata-core.c
    kernel(AtaError, r"(?P<port>ata\d+)(?:\.\d+)?: exception Emask 0x"),
    kernel(AtaError, r"(?P<port>ata\d+)(?:\.\d+)?: (?:COMRESET|SRST) failed \((?:errno=|device not ready)"),
    kernel(AtaError, r"(?P<port>ata\d+)(?:\.\d+)?: qc timeout "),
    kernel(AtaError, r"(?P<port>ata\d+)(?:\.\d+)?: (?:dev \d+ )?[Ff]ailed to IDENTIFY "),
    kernel(AtaError, r"(?P<port>ata\d+)(?:\.\d+)?: (?:disable device|disabled)$"),
    kernel(AtaError, r"(?P<port>ata\d+)(?:\.\d+)?: reset failed, giving up"),
    // drivers/nvme/host/pci.c, core.c, tcp.c, rdma.c
    kernel(
        NvmeTimeoutOrReset,
        r"nvme (?P<device>nvme\d+|{BDF}): I/O (?:tag )?\d+ [^\n]*?timeout, (?P<action>aborting|reset controller|completion polled|disable controller)",
    ),
    kernel(NvmeTimeoutOrReset, r"nvme (?P<device>nvme\d+|{BDF}): I/O (?:tag )?\d+ [^\n]*?QID \d+ timeout$")
        .with(&[("action", "timeout")]),
    kernel(NvmeTimeoutOrReset, r"nvme (?P<device>nvme\d+|{BDF}): controller is down; will reset")
        .with(&[("action", "controller down")]),
    kernel(NvmeTimeoutOrReset, r"nvme (?P<device>nvme\d+|{BDF}): Device not ready; aborting ")
        .with(&[("action", "not ready")]),
    kernel(NvmeTimeoutOrReset, r"nvme (?P<device>nvme\d+|{BDF}): Removing after probe failure")
        .with(&[("action", "removed")]),
    kernel(NvmeTimeoutOrReset, r"nvme (?P<device>nvme\d+|{BDF}): Disabling device after reset failure")
        .with(&[("action", "disabled")]),
    // drivers/scsi/scsi_logging.c scsi_print_result; before 4.x without the disposition
    kernel(
        ScsiErrorOrAbort,
        r"(?:sd|sr|st|ses|ch|osst|scsi) {HCTL}: \[(?P<device>\w+)\] (?:tag#\d+ )?(?:(?:FAILED|UNKNOWN\(0x[0-9a-f]+\)) | ?)Result: hostbyte=(?P<hostbyte>\w+)",
    ),
    kernel(
        ScsiErrorOrAbort,
        r"(?:sd|sr|st|ses|ch|osst|scsi) (?P<device>{HCTL}): (?:tag#\d+ )?(?:(?:FAILED|UNKNOWN\(0x[0-9a-f]+\)) | ?)Result: hostbyte=(?P<hostbyte>\w+)",
    ),
    // drivers/scsi/scsi_error.c, scsi_lib.c; drivers/scsi/mpt3sas
    kernel(
        ScsiErrorOrAbort,
        r"(?:sd|sr|st|ses|ch|osst|scsi) (?P<device>{HCTL}): (?:\[\w+\] )?(?:tag#\d+ )?(?:attempting (?:task abort|device reset|target reset|host reset)!|Device offlined|rejecting I/O to (?:offline|dead) device)",
    ),
    // without the device's own name: before 3.x, and when there is no device any more
    kernel(ScsiErrorOrAbort, r"(?P<device>scsi\d+) \(\d+:\d+\): rejecting I/O to (?:offline|dead) device"),
    kernel(ScsiErrorOrAbort, r"scsi: Device offlined - not ready "),
    // drivers/message/fusion, drivers/scsi/mpt2sas
    kernel(
        ScsiErrorOrAbort,
        r"(?:mptscsih: )?(?P<device>ioc\d+|mpt[23]sas(?:_cm)?\d+): attempting (?:task abort|device reset|target reset|bus reset|host reset)!",
    ),
    // drivers/md/md.c, raid1.c, raid10.c, raid5.c, raid0.c
    kernel(
        MdRaidFailure,
        r"(?:md/)?(?:raid\d*|linear|multipath):(?:(?P<array>md[\w/-]+):)? Disk failure on (?P<device>{DISK})(?:, disabling| detected)",
    ),
    kernel(MdRaidFailure, r"md/raid\d*:(?P<array>md[\w/-]+): Cannot continue operation"),
    kernel(MdRaidFailure, r"md: kicking non-fresh (?P<device>{DISK}) from array!"),
    kernel(
        MdRaidFailure,
        r"(?:md/)?raid\d*:(?:(?P<array>md[\w/-]+):)? (?P<device>{DISK}): unrecoverable I/O (?:read )?error for block",
    ),
    kernel(
        MdRaidFailure,
        r"(?:md/)?raid\d*:(?:(?P<array>md[\w/-]+):)? read error not correctable(?:\.$| \(sector \d+ on (?P<device>{DISK})\))",
    ),
];

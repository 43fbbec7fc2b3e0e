//! What the answers hold (QEMU's `qapi/run-state.json`, `qapi/block-core.json`, `qapi/virtio.json`).
//!
//! Every field is optional: versions, drivers and vhost leave some out, and one field of another type than expected
//! must not cost the others. Unknown fields are skipped.

pub(crate) use crate::lenient::List;
use crate::lenient::{flag, index, number, object, text, text_or_empty};
use serde::Deserialize;
use std::fmt;

/// QEMU's version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// 7 of 7.2.22.
    pub major: u32,
    /// 2 of 7.2.22.
    pub minor: u32,
    /// 22 of 7.2.22.
    pub micro: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// The first line of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// QEMU's version, if it says.
    pub version: Option<Version>,
    /// Whether it offers out-of-band commands, which are answered while its main loop is blocked.
    pub oob: bool,
}

impl Greeting {
    pub(crate) fn parse(content: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Content {
            #[serde(deserialize_with = "object")]
            version: Option<Package>,
            #[serde(deserialize_with = "object")]
            capabilities: Option<List<String>>,
        }
        #[derive(Deserialize)]
        struct Package {
            qemu: Version,
        }
        let Content { version, capabilities } = serde_json::from_str(content).unwrap_or_default();
        let oob = capabilities.is_some_and(|List(offered)| offered.iter().any(|capability| capability == "oob"));
        Self { version: version.map(|package| package.qemu), oob }
    }
}

/// What the guest is doing (`query-status`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// A value of `RunState`: `running`, `paused`, `io-error` ...
    pub status: String,
    /// Whether the guest's processors run.
    #[serde(default, deserialize_with = "flag")]
    pub running: Option<bool>,
}

/// Answer of `query-name`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Name {
    #[serde(default, deserialize_with = "text")]
    pub(crate) name: Option<String>,
}

/// One disk of `query-blockstats`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockStats {
    /// The drive; empty where disks are made with `-blockdev`.
    #[serde(default, deserialize_with = "text_or_empty")]
    pub device: String,
    /// The guest's device: its id, or its path in QEMU's object tree.
    #[serde(default, deserialize_with = "text")]
    pub qdev: Option<String>,
    /// The block node on top.
    #[serde(default, deserialize_with = "text")]
    pub node_name: Option<String>,
    /// The counters.
    #[serde(default, deserialize_with = "object")]
    pub stats: Stats,
}

/// Counters of a disk, of completed requests unless they say otherwise; times are sums in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "QEMU's own names: BlockDeviceStats in qapi/block-core.json")]
#[serde(default)]
pub struct Stats {
    #[serde(deserialize_with = "number")]
    pub rd_bytes: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub wr_bytes: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub rd_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub wr_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub flush_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub unmap_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub failed_rd_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub failed_wr_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub failed_flush_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub failed_unmap_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub invalid_rd_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub invalid_wr_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub invalid_flush_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub invalid_unmap_operations: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub rd_total_time_ns: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub wr_total_time_ns: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub flush_total_time_ns: Option<u64>,
    /// Since the last completion; missing until there was one.
    #[serde(deserialize_with = "number")]
    pub idle_time_ns: Option<u64>,
}

/// One disk of `query-block`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Block {
    /// The drive; empty where disks are made with `-blockdev`.
    #[serde(deserialize_with = "text_or_empty")]
    pub device: String,
    /// The guest's device: its id, or its path in QEMU's object tree.
    #[serde(deserialize_with = "text")]
    pub qdev: Option<String>,
    /// Whether the medium can be taken out, as a CD-ROM's.
    #[serde(deserialize_with = "flag")]
    pub removable: Option<bool>,
    /// Whether the tray is open; missing for devices without one. QEMU spells this field with an underscore.
    #[serde(rename = "tray_open", deserialize_with = "flag")]
    pub tray_open: Option<bool>,
    /// `ok`, `failed` or `nospace`; missing for devices that never stop the guest.
    #[serde(deserialize_with = "text")]
    pub io_status: Option<String>,
    /// The medium, if there is one.
    #[serde(deserialize_with = "object")]
    pub inserted: Option<Inserted>,
}

/// The medium of a disk; limits are per second, 0 for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "QEMU's own names: BlockDeviceInfo in qapi/block-core.json")]
#[serde(default)]
pub struct Inserted {
    /// The block node on top.
    #[serde(rename = "node-name", deserialize_with = "text")]
    pub node_name: Option<String>,
    /// The image's file or URL.
    #[serde(deserialize_with = "text")]
    pub file: Option<String>,
    /// Whether it is read only.
    #[serde(deserialize_with = "flag")]
    pub ro: Option<bool>,
    /// The image format's driver.
    #[serde(deserialize_with = "text")]
    pub drv: Option<String>,
    #[serde(deserialize_with = "number")]
    pub bps: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub bps_rd: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub bps_wr: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub iops: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub iops_rd: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub iops_wr: Option<u64>,
}

/// One thread of `query-iothreads`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Iothread {
    /// Its id.
    pub id: String,
    /// The thread's id on the host.
    #[serde(default, deserialize_with = "number")]
    pub thread_id: Option<u64>,
}

/// One device of `x-query-virtio`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VirtioDevice {
    /// Its path in QEMU's object tree.
    pub path: String,
    /// `virtio-blk`, `virtio-scsi`, `virtio-net` ...
    pub name: String,
}

/// One virtqueue (`x-query-virtio-queue-status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueueStatus {
    /// Requests QEMU has taken and not finished.
    pub inuse: u64,
    /// How many were finished, modulo 2^16; missing with vhost.
    #[serde(default, deserialize_with = "index")]
    pub used_idx: Option<u16>,
    /// How many were taken, modulo 2^16; missing with vhost.
    #[serde(default, deserialize_with = "index")]
    pub last_avail_idx: Option<u16>,
    /// The queue, as QEMU repeats it.
    #[serde(default, deserialize_with = "index")]
    pub queue_index: Option<u16>,
}

//! The configuration of a Proxmox VE virtual machine, `<rootfs>/etc/pve/qemu-server/<vmid>.conf`
//! (`qm.conf(5)`).

use super::listing::plain_number;
use crate::read::read_bounded;
use crate::{HostPath, Roots, SourceError};

/// No file of pmxcfs is larger than this.
const CONFIG_FILE: usize = 1024 * 1024;

/// What the running configuration says; snapshots and pending changes are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxmoxConfig {
    /// `name`.
    pub name: Option<String>,
    /// `scsihw`, the SCSI controller; without it Proxmox VE takes `lsi`.
    pub scsihw: Option<String>,
    /// `template`: it is none to be started.
    pub template: bool,
    /// The drives, in the order of the file.
    pub disks: Vec<ProxmoxDisk>,
}

/// One drive of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxmoxDisk {
    /// `scsi0`, `virtio1`, `ide2`, `sata0`: QEMU's device has the same id.
    pub key: String,
    /// `media=cdrom`.
    pub cdrom: bool,
    /// `iothread=1`.
    pub iothread: bool,
    /// `aio`: `io_uring`, `native` or `threads`; without it Proxmox VE chooses by the storage.
    pub aio: Option<String>,
    /// `mbps`, `mbps_rd`, `mbps_wr` in MiB per second.
    pub mbps: Limits,
    /// `iops`, `iops_rd`, `iops_wr` in operations per second.
    pub iops: Limits,
}

/// Limits of throughput. `None` is no limit, as is 0 in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Of reads and writes together.
    pub total: Option<f64>,
    /// Of reads.
    pub read: Option<f64>,
    /// Of writes.
    pub write: Option<f64>,
}

/// Reads the configuration of a virtual machine. `/etc/pve` is a FUSE file system (pmxcfs) that hangs when its
/// daemon does: call this on a thread that may be left behind.
///
/// # Errors
/// When the file does not exist, can't be read or holds more than 1 MiB.
pub fn read_proxmox_config(roots: &Roots, vmid: u32) -> Result<ProxmoxConfig, SourceError> {
    let mut content = Vec::new();
    read_bounded(&config_path(roots, vmid), CONFIG_FILE, &mut content)?;
    Ok(parse(&content))
}

fn config_path(roots: &Roots, vmid: u32) -> HostPath {
    roots.rootfs.join(format!("etc/pve/qemu-server/{vmid}.conf"))
}

/// Parses a configuration. Lines that are not understood are left out, as Proxmox VE does; of a key that comes
/// twice the last one counts. The first section (`[PENDING]`, `[special:...]`, a snapshot) ends it.
#[must_use]
pub fn parse(content: &[u8]) -> ProxmoxConfig {
    let mut config = ProxmoxConfig::default();
    for line in String::from_utf8_lossy(content).lines().take_while(|line| !line.starts_with('[')) {
        let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else { continue };
        let value = value.trim();
        match key {
            _ if value.is_empty() => {}
            "name" => config.name = Some(value.into()),
            "scsihw" => config.scsihw = Some(value.into()),
            "template" => config.template = is_true(value),
            _ if is_disk(key) => put_disk(&mut config.disks, disk(key, value)),
            _ => {}
        }
    }
    config
}

/// The buses disks are on, with how many slots each has.
const BUSES: [(&str, u32); 4] = [("scsi", 31), ("virtio", 16), ("ide", 4), ("sata", 6)];

fn is_disk(key: &str) -> bool {
    BUSES.iter().any(|(bus, slots)| {
        let slot = key.strip_prefix(bus).and_then(|slot| plain_number(slot.as_bytes()));
        slot.is_some_and(|slot| slot < *slots)
    })
}

fn put_disk(disks: &mut Vec<ProxmoxDisk>, disk: ProxmoxDisk) {
    match disks.iter_mut().find(|known| known.key == disk.key) {
        Some(known) => *known = disk,
        None => disks.push(disk),
    }
}

/// A drive is `volume,option=value,...`.
fn disk(key: &str, value: &str) -> ProxmoxDisk {
    let mut disk = ProxmoxDisk { key: key.into(), ..ProxmoxDisk::default() };
    for (option, value) in value.split(',').filter_map(|part| part.split_once('=')) {
        match option {
            "media" => disk.cdrom = value == "cdrom",
            "iothread" => disk.iothread = is_true(value),
            "aio" => disk.aio = Some(value.into()),
            "mbps" => disk.mbps.total = limit(value),
            "mbps_rd" => disk.mbps.read = limit(value),
            "mbps_wr" => disk.mbps.write = limit(value),
            "iops" => disk.iops.total = limit(value),
            "iops_rd" => disk.iops.read = limit(value),
            "iops_wr" => disk.iops.write = limit(value),
            _ => {}
        }
    }
    disk
}

fn limit(value: &str) -> Option<f64> {
    value.parse().ok().filter(|limit: &f64| limit.is_finite() && *limit > 0.0)
}

/// The words Proxmox VE takes for true.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn fixture(vmid: u32) -> ProxmoxConfig {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vm/proxmox");
        read_proxmox_config(&Roots::under(&tree), vmid).expect("a configuration")
    }

    #[test]
    fn reads_a_machine_with_throttled_disks() {
        let config = fixture(100);
        assert_eq!(config.name.as_deref(), Some("devvm"));
        assert_eq!(config.scsihw.as_deref(), Some("virtio-scsi-single"));
        assert!(!config.template);
        let expected = [
            ProxmoxDisk { key: "ide2".into(), cdrom: true, ..ProxmoxDisk::default() },
            ProxmoxDisk {
                key: "scsi0".into(),
                iothread: true,
                aio: Some("native".into()),
                mbps: Limits { total: None, read: Some(60.0), write: Some(62.5) },
                ..ProxmoxDisk::default()
            },
            ProxmoxDisk {
                key: "virtio1".into(),
                iops: Limits { total: Some(500.0), read: None, write: None },
                ..ProxmoxDisk::default()
            },
        ];
        assert_eq!(config.disks, expected);
    }

    #[test]
    fn sections_and_descriptions_are_not_the_configuration() {
        let config = fixture(101);
        assert_eq!(config.name.as_deref(), Some("lsi"));
        assert_eq!(config.scsihw, None);
        let keys: Vec<_> = config.disks.iter().map(|disk| disk.key.as_str()).collect();
        assert_eq!(keys, ["sata5", "scsi0"]);
        assert!(!config.disks[1].iothread, "that is pending only");
    }

    #[test]
    fn only_slots_that_exist_are_disks() {
        for key in ["scsi0", "scsi30", "virtio15", "ide3", "sata5"] {
            assert!(is_disk(key), "{key}");
        }
        for key in ["scsi31", "scsi", "scsihw", "scsi00", "scsi-1", "virtio16", "ide4", "sata6", "efidisk0", "unused0"]
        {
            assert!(!is_disk(key), "{key}");
        }
    }

    #[test]
    fn the_last_of_two_counts_and_zero_is_no_limit() {
        let config =
            parse(b"scsi0: a:1,mbps=5\nscsi0: a:1,mbps=0,iops=nan,iops_rd=-1,iops_wr=inf\ntemplate: yes\nname:\n");
        assert_eq!(config.disks, [ProxmoxDisk { key: "scsi0".into(), ..ProxmoxDisk::default() }]);
        assert!(config.template);
        assert_eq!(config.name, None);
    }

    #[test]
    fn a_missing_configuration_names_its_path() {
        let error = read_proxmox_config(&Roots::under(Path::new("/nonexistent")), 7).expect_err("no such tree");
        assert_eq!(
            (&*error.path, error.fault),
            (&*config_path(&Roots::under(Path::new("/nonexistent")), 7), crate::Fault::NotFound)
        );
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let config = parse(&bytes);
            prop_assert!(config.disks.len() <= 31 + 16 + 4 + 6);
        }

        #[test]
        fn survives_what_looks_like_a_configuration(lines in proptest::collection::vec(
            "(scsi|virtio|ide|sata|name|#|\\[)[0-9]{0,2}:? ?[a-z0-9:,=._-]{0,60}", 0..40)) {
            let _ = parse(lines.join("\n").as_bytes());
        }

        #[test]
        fn limits_round_trip(read in 1_u32..100_000, write in 1_u32..100_000, iothread: bool) {
            let line = format!("scsi3: local-lvm:vm-1-disk-0,iothread={},mbps_rd={read},mbps_wr={write},size=8G\n", u8::from(iothread));
            let config = parse(line.as_bytes());
            prop_assert_eq!(config.disks[0].mbps, Limits { total: None, read: Some(read.into()), write: Some(write.into()) });
            prop_assert_eq!(config.disks[0].iothread, iothread);
        }
    }
}

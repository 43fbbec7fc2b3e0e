//! What has been counted so far, and from which record on it is to go on. Pure: records in, numbers out.

use flatline_events::kmsg::{Record, suppressed};
use flatline_events::{Classifier, Event, Kind, Line, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// More series by device than this are counted together as [`OTHER`].
const MAX_DEVICES: usize = 256;
/// The device of what is beyond the bound.
pub(super) const OTHER: &str = "other";
/// The labels that name a device, in the classifier's words.
const DEVICE_LABELS: [&str; 6] = ["device", "array", "iface", "port", "mc", "watchdog"];
/// The labels that tell which part of a story it is, or how bad.
const PHASE_LABELS: [&str; 3] = ["phase", "severity", "type"];

/// Counts that survive restarts of the exporter, kept by name so that a newer one with more kinds can go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    /// The boot the position is about.
    boot_id: String,
    /// The record that comes next.
    next: u64,
    pub(super) kinds: BTreeMap<String, Count>,
    /// By kind, phase and device.
    pub(super) devices: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
    pub(super) records: u64,
    pub(super) lost: u64,
    pub(super) suppressed: u64,
    pub(super) unreadable: u64,
}

/// How often, and when last (Unix time).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) count: u64,
    pub(super) last: f64,
}

/// Where the kernel's clock stands against the wall's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Unix time now.
    pub(super) wall: f64,
    /// The kernel's clock now, in seconds.
    pub(super) kernel: f64,
}

impl Clock {
    /// Unix time of a record. The kernel's log clock may run a little ahead of the one that can be asked.
    #[expect(clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
    fn at(self, usec: u64) -> f64 {
        self.wall - (self.kernel - usec as f64 / 1e6).max(0.0)
    }
}

impl Tally {
    /// Goes on in this boot: where it was when it is the same, at the first record when it is another.
    pub(super) fn resume(&mut self, boot_id: &str) {
        if self.boot_id != boot_id {
            boot_id.clone_into(&mut self.boot_id);
            self.next = 0;
        }
    }

    /// Counts one raw record, unless it was counted before.
    pub(super) fn take(&mut self, raw: &[u8], classifier: &Classifier, clock: Clock) {
        let Ok(record) = Record::parse(raw) else {
            self.unreadable += 1;
            return;
        };
        if record.sequence < self.next {
            return;
        }
        self.lost += record.sequence - self.next;
        self.next = record.sequence.saturating_add(1);
        self.records += 1;
        if record.facility != 0 {
            return;
        }
        self.suppressed += suppressed(&record.text).map_or(0, |(_, count)| count);
        let line = Line {
            text: &record.text,
            source: Source::Kmsg,
            facility: Some(record.facility),
            priority: Some(record.level),
            ident: None,
        };
        if let Some(event) = classifier.classify(&line) {
            self.count(&event, clock.at(record.usec));
        }
    }

    fn count(&mut self, event: &Event<'_>, at: f64) {
        let kind = event.kind.name();
        let count = self.kinds.entry(kind.to_owned()).or_default();
        count.count = count.count.saturating_add(event.count);
        count.last = at;
        let Some(device) = DEVICE_LABELS.iter().find_map(|label| event.label(label)) else { return };
        let phase = PHASE_LABELS.iter().find_map(|label| event.label(label)).unwrap_or_default();
        let known =
            self.devices.get(kind).and_then(|phases| phases.get(phase)).is_some_and(|known| known.contains_key(device));
        let device = if known || self.series() < MAX_DEVICES { device } else { OTHER };
        let phases = self.devices.entry(kind.to_owned()).or_default();
        let counts = phases.entry(phase.to_owned()).or_default();
        let count = counts.entry(device.to_owned()).or_default();
        *count = count.saturating_add(event.count);
    }

    fn series(&self) -> usize {
        self.devices.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }

    /// Every kind the kernel has, counted or not. A USB device that leaves is no trouble.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&'static str, Count)> {
        let counted = Kind::ALL.iter().filter(|kind| kind.is_kernel() && **kind != Kind::UsbDisconnect);
        counted.map(|kind| (kind.name(), self.kinds.get(kind.name()).copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, OTHER, Tally};
    use flatline_events::Classifier;

    const CLOCK: Clock = Clock { wall: 1_000_000.0, kernel: 100.0 };

    fn tally(lines: &[&str]) -> Tally {
        let classifier = Classifier::new().expect("the tables");
        let mut tally = Tally::default();
        tally.resume("boot-a");
        lines.iter().for_each(|line| tally.take(line.as_bytes(), &classifier, CLOCK));
        tally
    }

    fn counts(tally: &Tally) -> Vec<(&'static str, u64)> {
        tally.kinds().filter(|(_, count)| count.count > 0).map(|(kind, count)| (kind, count.count)).collect()
    }

    const HUNG: &str = "3,0,40000000,-;INFO: task dd:271 blocked for more than 10 seconds.\n";
    const OOPS: &str = "0,3,90000000,-;Kernel panic - not syncing: Fatal exception\n";

    #[test]
    fn events_are_counted_with_their_time() {
        let tally = tally(&[HUNG, "6,1,41000000,-;usb 1-1: new device\n"]);
        assert_eq!(counts(&tally), [("hung_task", 1)]);
        assert!((tally.kinds["hung_task"].last - 999_940.0).abs() < 1e-6);
        assert_eq!((tally.records, tally.lost, tally.unreadable), (2, 0, 0));
    }

    #[test]
    fn gaps_are_what_was_lost() {
        let tally = tally(&[HUNG, OOPS]);
        assert_eq!((tally.records, tally.lost), (2, 2));
        let first = super::tests::tally(&[OOPS]);
        assert_eq!(first.lost, 3, "overwritten before the exporter was started");
    }

    #[test]
    fn nothing_is_counted_twice_in_one_boot_and_a_new_boot_begins_anew() {
        let mut tally = tally(&[HUNG]);
        let classifier = Classifier::new().expect("the tables");
        tally.resume("boot-a");
        tally.take(HUNG.as_bytes(), &classifier, CLOCK);
        assert_eq!((counts(&tally), tally.records), (vec![("hung_task", 1)], 1));
        tally.resume("boot-b");
        tally.take(HUNG.as_bytes(), &classifier, CLOCK);
        assert_eq!((counts(&tally), tally.records, tally.lost), (vec![("hung_task", 2)], 2, 0));
    }

    #[test]
    fn what_programs_write_into_the_ring_is_not_the_kernels() {
        let forged = "8,0,1,-;Kernel panic - not syncing: forged\n";
        let tally = tally(&[forged, "no record", "6,1,2,-;blk_print_req_error: 7 callbacks suppressed\n"]);
        assert_eq!(counts(&tally), []);
        assert_eq!((tally.records, tally.unreadable, tally.suppressed), (2, 1, 7));
    }

    #[test]
    fn devices_are_bounded() {
        let lines: Vec<String> = (0..300)
            .map(|n| {
                format!("3,{n},1,-;I/O error, dev sd{n}, sector 8 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2\n")
            })
            .collect();
        let named: Vec<String> =
            lines.iter().map(|line| line.replace("sd", "nvme").replace(", sector", "n1, sector")).collect();
        let tally = tally(&named.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(counts(&tally), [("block_io_error", 300)]);
        assert_eq!(tally.series(), 257);
        let phases = &tally.devices["block_io_error"];
        assert_eq!(phases.values().next().expect("one phase")[OTHER], 44);
    }

    #[test]
    fn corrected_and_fatal_errors_of_a_device_are_told_apart() {
        let tally = tally(&[
            "4,0,1,-;pcieport 0000:00:03.1: AER: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Receiver ID)\n",
            "4,1,2,-;pcieport 0000:00:03.1: AER: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)\n",
        ]);
        let severities: Vec<&str> = tally.devices["pcie_aer_error"].keys().map(String::as_str).collect();
        assert_eq!(severities, ["Corrected", "Uncorrected (Fatal)"]);
    }

    #[test]
    fn a_kernel_clock_ahead_of_ours_is_now() {
        assert!((CLOCK.at(200_000_000) - CLOCK.wall).abs() < f64::EPSILON);
    }
}

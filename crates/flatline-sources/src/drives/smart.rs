//! What `smartctl --json` says of one drive (smartctl(8), `json_format_version` 1.x).
//!
//! Every figure may be missing: what a drive does not tell is absent, never 0. The exit status is a set of bits
//! (smartctl(8), "Return values"), of which only the lowest two say that the drive was not asked.

use serde_json::Value;

/// What came of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The drive has answered.
    Answered,
    /// It sleeps, and was left asleep.
    Standby,
    /// It has no SMART, or it can't be reached behind its USB bridge or controller.
    Unsupported,
    /// We may not ask.
    Permission,
    /// There is no such device.
    NoDevice,
    /// The drive did not take the question, or its answer has neither verdict nor figures.
    Failed,
}

/// A drive's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What came of the question.
    pub state: State,
    /// `ATA`, `NVMe` or `SCSI`; empty when it is not told, as are the other words.
    pub protocol: String,
    /// The model.
    pub model: String,
    /// The serial number.
    pub serial: String,
    /// The firmware's version.
    pub firmware: String,
    /// The drive's own verdict about itself.
    pub healthy: Option<bool>,
    /// What it counts.
    pub figures: Figures,
    /// The bits of NVMe's `critical_warning`.
    pub critical_warning: Option<u8>,
}

/// Figures that predict a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Sectors replaced by spare ones (ATA attribute 5, SCSI grown defects).
    pub reallocated: Option<u64>,
    /// Sectors that could not be read and wait for a write (ATA attribute 197).
    pub pending: Option<u64>,
    /// Sectors nobody can read any more (ATA attribute 198).
    pub uncorrectable: Option<u64>,
    /// Errors on the cable (ATA attribute 199).
    pub crc_errors: Option<u64>,
    /// Errors the drive could not correct (NVMe media errors, SCSI uncorrected errors, ATA attribute 187).
    pub media_errors: Option<u64>,
    /// The share of its endurance that is used, over 1 when it outlives it (NVMe).
    pub used: Option<f64>,
    /// The share of spare blocks that is left (NVMe).
    pub spare: Option<f64>,
    /// Below which share of spares the drive warns (NVMe).
    pub spare_threshold: Option<f64>,
}

/// NVMe's warnings, bit by bit (NVM Express base specification, SMART / Health Information log page).
pub const CRITICAL_WARNINGS: [&str; 6] =
    ["spare_low", "temperature", "unreliable", "read_only", "volatile_memory_backup", "persistent_memory"];

impl Report {
    /// Parses the output; `None` when it is not smartctl's JSON.
    #[must_use]
    pub fn parse(output: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(output).ok()?;
        let status = number(&json, "/smartctl/exit_status")?;
        let nvme = "/nvme_smart_health_information_log";
        let figure = |name: &str| number(&json, &format!("{nvme}/{name}"));
        let percent = |name: &str| figure(name).map(|percent| percent as f64 / 100.0);
        let attribute = |id| attribute(&json, id);
        let mut report = Self {
            state: State::Answered,
            protocol: words(&json, &["/device/protocol"]),
            model: words(&json, &["/model_name", "/scsi_model_name"]),
            serial: words(&json, &["/serial_number"]),
            firmware: words(&json, &["/firmware_version", "/scsi_revision"]),
            healthy: json.pointer("/smart_status/passed").and_then(Value::as_bool),
            figures: Figures {
                reallocated: attribute(5).or_else(|| number(&json, "/scsi_grown_defect_list")),
                pending: attribute(197),
                uncorrectable: attribute(198),
                crc_errors: attribute(199),
                media_errors: figure("media_errors").or_else(|| scsi_uncorrected(&json)).or_else(|| attribute(187)),
                used: percent("percentage_used"),
                spare: percent("available_spare"),
                spare_threshold: percent("available_spare_threshold"),
            },
            critical_warning: figure("critical_warning").and_then(|bits| u8::try_from(bits).ok()),
        };
        report.state = state(&json, status, &report);
        Some(report)
    }

    /// NVMe's warnings, and whether the drive gives each.
    pub fn critical_warnings(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let bits = self.critical_warning;
        let named = CRITICAL_WARNINGS.into_iter().enumerate();
        named.filter_map(move |(bit, name)| bits.map(|bits| (name, (bits >> bit) & 1 == 1)))
    }
}

fn state(json: &Value, status: u64, report: &Report) -> State {
    let messages = json.pointer("/smartctl/messages").and_then(Value::as_array).into_iter().flatten();
    let said: Vec<&str> = messages.filter_map(|message| message.get("string")?.as_str()).collect();
    let says = |words: &[&str]| said.iter().any(|said| words.iter().any(|word| said.contains(word)));
    let not_asked = status & 0b11 != 0;
    if not_asked && says(&["Device is in "]) {
        State::Standby
    } else if not_asked && says(&["Permission denied", "Operation not permitted"]) {
        State::Permission
    } else if not_asked && says(&["No such device", "No such file"]) {
        State::NoDevice
    } else if status & 0b01 != 0 || json.pointer("/smart_support/available") == Some(&Value::Bool(false)) {
        State::Unsupported
    } else if report.healthy.is_some() || report.figures != Figures::default() {
        State::Answered
    } else if says(&["USB bridge", "specify device type", "nsupported"]) {
        State::Unsupported
    } else {
        State::Failed
    }
}

fn number(json: &Value, pointer: &str) -> Option<u64> {
    json.pointer(pointer)?.as_u64()
}

/// The first of the texts that is there, short.
fn words(json: &Value, pointers: &[&str]) -> String {
    let text = pointers.iter().find_map(|pointer| json.pointer(pointer)?.as_str()).unwrap_or_default();
    text.trim().chars().take(128).collect()
}

/// The raw value as smartctl reads it for this model: the number its text begins with. The plain number may hold several.
fn attribute(json: &Value, id: u64) -> Option<u64> {
    let table = json.pointer("/ata_smart_attributes/table")?.as_array()?;
    let raw = table.iter().find(|row| row.get("id").and_then(Value::as_u64) == Some(id))?.get("raw")?;
    let text = raw.get("string").and_then(Value::as_str).unwrap_or_default();
    let digits = text.find(|character: char| !character.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok().or_else(|| raw.get("value")?.as_u64())
}

/// Reads, writes and verifications together; `None` when the drive tells of none.
fn scsi_uncorrected(json: &Value) -> Option<u64> {
    let kinds = ["read", "write", "verify"];
    let counts = kinds.map(|kind| number(json, &format!("/scsi_error_counter_log/{kind}/total_uncorrected_errors")));
    counts.iter().any(Option::is_some).then(|| counts.into_iter().flatten().fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    macro_rules! sample {
        ($name:literal) => {
            Report::parse(include_bytes!(concat!("samples/", $name, ".json"))).expect("smartctl's JSON")
        };
    }

    #[test]
    fn a_healthy_disk_and_a_failing_one() {
        let healthy = sample!("ata-healthy");
        assert_eq!((healthy.state, healthy.healthy), (State::Answered, Some(true)));
        assert_eq!((healthy.protocol.as_str(), healthy.model.as_str()), ("ATA", "ST3200820AS"));
        let zero = Figures {
            reallocated: Some(0),
            pending: Some(0),
            uncorrectable: Some(0),
            crc_errors: Some(0),
            media_errors: Some(0),
            ..Figures::default()
        };
        assert_eq!(healthy.figures, zero);
        assert_eq!(healthy.critical_warnings().count(), 0);
        let failing = sample!("ata-failing");
        assert_eq!((failing.state, failing.healthy), (State::Answered, Some(false)));
        // The plain raw value of attribute 5 is 283470848: two numbers in one.
        let figures = Figures {
            reallocated: Some(1344),
            pending: Some(24),
            uncorrectable: Some(9),
            crc_errors: Some(3),
            ..Figures::default()
        };
        assert_eq!(failing.figures, figures);
    }

    #[test]
    fn nvme_tells_wear_and_warnings() {
        let well = sample!("nvme");
        assert_eq!((well.state, well.healthy), (State::Answered, Some(true)));
        assert_eq!(
            (well.figures.used, well.figures.spare, well.figures.spare_threshold),
            (Some(0.03), Some(1.0), Some(0.1))
        );
        assert!(well.critical_warnings().all(|(_, set)| !set));
        let worn = sample!("nvme-read-only");
        assert_eq!((worn.healthy, worn.figures.used, worn.figures.media_errors), (Some(false), Some(1.42), Some(17)));
        let set: Vec<_> = worn.critical_warnings().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        assert_eq!(set, ["spare_low", "unreliable", "read_only"]);
    }

    #[test]
    fn what_smartctl_itself_has_written_is_understood() {
        let disk = sample!("recorded-ata");
        assert_eq!((disk.state, disk.healthy, disk.serial.as_str()), (State::Answered, Some(true), "QM1"));
        assert_eq!(disk.figures, Figures { reallocated: Some(0), ..Figures::default() });
        let nvme = sample!("recorded-nvme-critical");
        assert_eq!((nvme.state, nvme.healthy, nvme.critical_warning), (State::Answered, Some(false), Some(13)));
        assert_eq!((nvme.figures.used, nvme.figures.media_errors), (Some(0.0), Some(0)));
    }

    #[test]
    fn sas_counts_what_could_not_be_corrected() {
        let sas = sample!("sas");
        assert_eq!((sas.state, sas.protocol.as_str(), sas.firmware.as_str()), (State::Answered, "SCSI", "A31A"));
        assert_eq!((sas.figures.reallocated, sas.figures.media_errors, sas.figures.pending), (Some(5), Some(3), None));
    }

    #[test]
    fn who_was_not_asked_is_neither_well_nor_ill() {
        let states = [
            (sample!("standby"), State::Standby),
            (sample!("nonexistent"), State::Unsupported),
            (sample!("recorded-usb-bridge"), State::Unsupported),
            (sample!("recorded-scsi"), State::Unsupported),
            (sample!("recorded-permission"), State::Permission),
            (sample!("recorded-permission-nvme"), State::Permission),
            (sample!("recorded-no-device"), State::NoDevice),
            // Without CAP_SYS_RAWIO smartctl takes a SATA disk for a SCSI one that says nothing, and is content.
            (sample!("recorded-sata-unprivileged"), State::Failed),
        ];
        for (report, state) in states {
            assert_eq!((report.state, report.healthy), (state, None));
            assert_eq!(report.figures, Figures::default());
        }
        assert_eq!(Report::parse(b""), None);
        assert_eq!(Report::parse(b"{}"), None);
        let silent = Report::parse(br#"{"smartctl":{"exit_status":4}}"#).expect("JSON");
        assert_eq!(silent.state, State::Failed);
    }

    proptest! {
        #[test]
        fn figures_survive(pending: u32, spare in 0_u64..=100, bits in 0_u8..64, passed: bool) {
            let output = serde_json::json!({
                "smartctl": {"exit_status": 0},
                "smart_status": {"passed": passed},
                "ata_smart_attributes": {"table": [{"id": 197, "raw": {"value": pending, "string": format!("{pending} (x)")}}]},
                "nvme_smart_health_information_log": {"available_spare": spare, "critical_warning": bits},
            });
            let report = Report::parse(output.to_string().as_bytes()).expect("JSON");
            prop_assert_eq!(report.healthy, Some(passed));
            prop_assert_eq!(report.figures.pending, Some(u64::from(pending)));
            prop_assert_eq!(report.figures.spare, Some(spare as f64 / 100.0));
            let told = report.critical_warnings().enumerate().fold(0_u8, |told, (bit, (_, set))| told | (u8::from(set) << bit));
            prop_assert_eq!(told, bits);
        }

        #[test]
        fn no_output_panics(output in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..2000) {
            let _ = Report::parse(&output);
            let real: &[u8] = include_bytes!("samples/ata-failing.json");
            prop_assert_eq!(Report::parse(real.get(..cut).unwrap_or_default()), None);
        }
    }
}

//! The formats of the files; pure.

use crate::value::{number, number_file};

/// What the kernel's runtime power management says of a device (`power/runtime_status`,
/// `drivers/base/power/sysfs.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    /// Awake.
    Active,
    /// Asleep.
    Suspended,
    /// About to sleep.
    Suspending,
    /// About to wake, for somebody else.
    Resuming,
    /// Runtime power management is off for it: always awake.
    Unsupported,
    /// A transition failed; its state is not known.
    Error,
}

impl PowerState {
    /// Every state, in the order of the catalogue.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::Suspended, Self::Suspending, Self::Resuming, Self::Unsupported, Self::Error];

    /// The kernel's word for it, and the value of the catalogue's label `state`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Suspending => "suspending",
            Self::Resuming => "resuming",
            Self::Unsupported => "unsupported",
            Self::Error => "error",
        }
    }

    /// Whether its files can be read without waking it, or waiting until somebody has.
    #[must_use]
    pub const fn is_awake(self) -> bool {
        matches!(self, Self::Active | Self::Unsupported)
    }
}

/// Parses `power/runtime_status`.
pub(super) fn power_state(content: &[u8]) -> Option<PowerState> {
    let word = content.trim_ascii();
    PowerState::ALL.into_iter().find(|state| state.label().as_bytes() == word)
}

/// Whether this is a PCI address with its domain, `0000:0b:00.0`. A domain may have more than four digits.
#[must_use]
pub fn is_address(name: &str) -> bool {
    let hex = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let mut parts = name.split(':');
    let (Some(domain), Some(bus), Some(slot), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    slot.split_once('.').is_some_and(|(device, function)| {
        hex(domain, 4..=8) && hex(bus, 2..=2) && hex(device, 2..=2) && matches!(function.as_bytes(), [b'0'..=b'7'])
    })
}

/// Parses a number in hexadecimal with its prefix, as `vendor`, `device` and `class` have it: `0x1002`.
pub(super) fn hex(content: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(content.trim_ascii().strip_prefix(b"0x")?).ok()?;
    // from_str_radix would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Parses a decimal number that may be negative.
pub(super) fn signed(content: &[u8]) -> Option<i64> {
    let digits = content.trim_ascii();
    match digits.strip_prefix(b"-") {
        Some(digits) => number(digits).and_then(|value| 0_i64.checked_sub_unsigned(value)),
        None => number(digits).and_then(|value| i64::try_from(value).ok()),
    }
}

/// Parses a number of thousandths.
#[expect(clippy::cast_precision_loss, reason = "temperatures are far below 2^53 thousandths")]
pub(super) fn milli(content: &[u8]) -> Option<f64> {
    signed(content).map(|value| value as f64 / 1e3)
}

/// Parses a number of millionths, such as microwatts.
pub(super) fn micro(content: &[u8]) -> Option<f64> {
    float(content).map(|value| value / 1e6)
}

/// Parses a number of millions, such as megahertz.
pub(super) fn mega(content: &[u8]) -> Option<f64> {
    float(content).map(|value| value * 1e6)
}

/// Parses a whole number that is used as a measure.
#[expect(clippy::cast_precision_loss, reason = "below 2^53 but for energy counters after 285 years at 1 kW")]
pub(super) fn float(content: &[u8]) -> Option<f64> {
    number_file(content).map(|value| value as f64)
}

/// Parses a percentage into a share of 1.
pub(super) fn percent(content: &[u8]) -> Option<f64> {
    float(content).filter(|value| *value <= 100.0).map(|value| value / 100.0)
}

/// Parses `pwmN`, 0 to 255, into a share of 1.
pub(super) fn duty(content: &[u8]) -> Option<f64> {
    float(content).filter(|value| *value <= 255.0).map(|value| value / 255.0)
}

/// Parses a flag, `0` or `1`. i915 and xe write nothing else.
pub(super) fn flag(content: &[u8]) -> Option<bool> {
    match content.trim_ascii() {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

/// Parses a PCIe speed, `16.0 GT/s PCIe` (`drivers/pci/probe.c`, `pci_speed_string`), into transfers per second.
/// `Some(None)` is a link whose speed the kernel does not know either.
pub(super) fn link_speed(content: &[u8]) -> Option<Option<f64>> {
    let text = std::str::from_utf8(content.trim_ascii()).ok()?;
    if text.starts_with("Unknown") {
        return Some(None);
    }
    let (giga, unit) = text.split_once(' ')?;
    let plain = giga.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let speed: f64 = giga.parse().ok()?;
    (plain && unit.starts_with("GT/s") && speed > 0.0 && speed < 1e4).then_some(Some(speed * 1e9))
}

/// Parses a number of lanes. `Some(None)` is a link that is down (0) or not known (255).
pub(super) fn link_width(content: &[u8]) -> Option<Option<u64>> {
    number_file(content).map(|lanes| Some(lanes).filter(|lanes| (1..=32).contains(lanes)))
}

/// Memory errors of one block of an AMD chip (`Documentation/gpu/amdgpu/ras.rst`). The driver adds them up from its
/// own start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorCounts {
    /// `ue`: nothing could correct them.
    pub uncorrectable: Option<u64>,
    /// `ce`: corrected.
    pub correctable: Option<u64>,
    /// `de`: found, and harmless until somebody uses what is spoiled. Not every block counts them.
    pub deferred: Option<u64>,
}

/// Parses `ras/*_err_count`: lines of `ue: 0`. `Some(None)` while the driver says `Query currently inaccessible`.
pub(super) fn error_counts(content: &[u8]) -> Option<Option<ErrorCounts>> {
    if content.starts_with(b"Query currently inaccessible") {
        return Some(None);
    }
    let mut counts = ErrorCounts::default();
    for line in content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (kind, rest) = line.split_at(colon);
        let count = number(rest.strip_prefix(b":")?.trim_ascii())?;
        match kind.trim_ascii() {
            b"ue" => counts.uncorrectable = Some(count),
            b"ce" => counts.correctable = Some(count),
            b"de" => counts.deferred = Some(count),
            // A kind that a later kernel adds.
            _ => {}
        }
    }
    (counts != ErrorCounts::default()).then_some(Some(counts))
}

/// At most this much of what a driver calls something is shown.
const LONGEST: usize = 48;

/// One line of text from a driver, without control characters.
pub(super) fn text(content: &[u8]) -> String {
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(line.trim_ascii()).chars().map(printable).take(LONGEST).collect()
}

/// A driver's name for a sensor as a label: `mem` and `vram` are `memory`, `pkg` is `package`.
pub(super) fn sensor(label: &str) -> String {
    match label {
        "mem" | "vram" => "memory".to_owned(),
        "pkg" => "package".to_owned(),
        other => {
            let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
            other.chars().map(legal).collect()
        }
    }
}

/// Whatever a driver writes.
#[cfg(fuzzing)]
pub fn fuzz(content: &[u8]) {
    let is_share = |share: Option<f64>| share.is_none_or(|share| (0.0..=1.0).contains(&share));
    assert!(is_share(percent(content)) && is_share(duty(content)));
    let digits = content.iter().any(u8::is_ascii_digit);
    assert!(digits || [milli(content), micro(content), mega(content)].iter().all(Option::is_none));
    assert!(signed(content).is_none_or(|value| signed(value.to_string().as_bytes()) == Some(value)));
    assert!(hex(content).is_none_or(|value| hex(format!("0x{value:x}").as_bytes()) == Some(value)));
    assert!(link_speed(content).flatten().is_none_or(|speed| speed > 0.0 && speed < 1e13));
    assert!(link_width(content).flatten().is_none_or(|lanes| (1..=32).contains(&lanes)));
    assert!(error_counts(content).flatten().is_none_or(|counts| counts != ErrorCounts::default()));
    let text = text(content);
    assert!(text.chars().count() <= LONGEST && !text.contains(char::is_control));
    assert!(sensor(&text).bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    let _ = (power_state(content), flag(content));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        for good in ["0000:0b:00.0", "0000:00:02.0", "10000:e1:00.7", "0001:ff:1f.3"] {
            assert!(is_address(good), "{good}");
        }
        for bad in
            ["", "0b:00.0", "0000:0b:00", "0000:0b:00.8", "0000:0B:00.0", "0000:0b:00.0:", "000:0b:00.0", "pci0000:00"]
        {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn numbers_of_sysfs() {
        assert_eq!(hex(b"0x1002\n"), Some(0x1002));
        assert_eq!(hex(b"0x038000\n"), Some(0x03_8000));
        assert_eq!((hex(b"1002"), hex(b"0x+1"), hex(b"0x1ffffffff")), (None, None, None));
        assert_eq!(milli(b"-5000\n"), Some(-5.0));
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!((signed(b"--1"), signed(b"-"), signed(b"9223372036854775808")), (None, None, None));
        assert_eq!(micro(b"29000000\n"), Some(29.0));
        assert_eq!(mega(b"2350\n"), Some(2.35e9));
        assert_eq!((percent(b"37\n"), percent(b"101\n")), (Some(0.37), None));
        assert_eq!((duty(b"255\n"), duty(b"256\n")), (Some(1.0), None));
        assert_eq!((flag(b"1\n"), flag(b"0\n"), flag(b"2\n")), (Some(true), Some(false), None));
    }

    #[test]
    fn links() {
        assert_eq!(link_speed(b"32.0 GT/s PCIe\n"), Some(Some(32e9)));
        assert_eq!(link_speed(b"2.5 GT/s\n"), Some(Some(2.5e9)));
        assert_eq!(link_speed(b"Unknown\n"), Some(None));
        assert_eq!((link_speed(b"inf GT/s"), link_speed(b"16.0 MB/s"), link_speed(b"")), (None, None, None));
        assert_eq!(link_width(b"16\n"), Some(Some(16)));
        assert_eq!((link_width(b"0\n"), link_width(b"255\n")), (Some(None), Some(None)));
    }

    #[test]
    fn memory_errors() {
        let counts = error_counts(b"ue: 1\nce: 12\nde: 0\n").flatten().expect("counts");
        assert_eq!((counts.uncorrectable, counts.correctable, counts.deferred), (Some(1), Some(12), Some(0)));
        let counts = error_counts(b"ue: 0\nce: 0\n").flatten().expect("counts");
        assert_eq!((counts.uncorrectable, counts.deferred), (Some(0), None), "what is not counted is not 0");
        assert_eq!(error_counts(b"Query currently inaccessible\n"), Some(None));
        assert_eq!((error_counts(b""), error_counts(b"ue\n"), error_counts(b"ue: many\n")), (None, None, None));
    }

    #[test]
    fn states_and_names() {
        for state in PowerState::ALL {
            assert_eq!(power_state(format!("{}\n", state.label()).as_bytes()), Some(state));
        }
        assert_eq!(power_state(b"asleep\n"), None);
        assert_eq!(PowerState::ALL.into_iter().filter(|state| state.is_awake()).count(), 2);
        assert_eq!((sensor("mem"), sensor("vram_ch 0")), ("memory".to_owned(), "vram_ch_0".to_owned()));
        assert_eq!(text(b"AMD Instinct MI300X OAM\nmore"), "AMD Instinct MI300X OAM");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_is_made_up(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(percent(&bytes).is_none_or(|share| (0.0..=1.0).contains(&share)));
            prop_assert!(duty(&bytes).is_none_or(|share| (0.0..=1.0).contains(&share)));
            prop_assert!(link_speed(&bytes).flatten().is_none_or(|speed| speed > 0.0 && speed.is_finite()));
            prop_assert!(link_width(&bytes).flatten().is_none_or(|lanes| (1..=32).contains(&lanes)));
            prop_assert!(text(&bytes).chars().count() <= LONGEST && !text(&bytes).contains('\n'));
            prop_assert!(hex(&bytes).is_none() || bytes.trim_ascii().starts_with(b"0x"));
            let _ = (power_state(&bytes), error_counts(&bytes), micro(&bytes), mega(&bytes), flag(&bytes));
            let _ = is_address(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn numbers_round_trip(value: i64, id: u32, counts: (u64, u64, u64)) {
            prop_assert_eq!(signed(format!("{value}\n").as_bytes()), Some(value));
            prop_assert_eq!(hex(format!("0x{id:06x}\n").as_bytes()), Some(id));
            let content = format!("ue: {}\nce: {}\nde: {}\n", counts.0, counts.1, counts.2);
            let parsed = error_counts(content.as_bytes()).flatten();
            let expected = ErrorCounts {
                uncorrectable: Some(counts.0),
                correctable: Some(counts.1),
                deferred: Some(counts.2),
            };
            prop_assert_eq!(parsed, Some(expected));
        }

        #[test]
        fn addresses_round_trip(domain: u16, bus: u8, device in 0_u8..32, function in 0_u8..8) {
            let address = format!("{domain:04x}:{bus:02x}:{device:02x}.{function}");
            prop_assert!(is_address(&address));
        }

        #[test]
        fn speeds_round_trip(tenths in 1_u32..1000) {
            let giga = f64::from(tenths) / 10.0;
            prop_assert_eq!(link_speed(format!("{giga:.1} GT/s PCIe\n").as_bytes()), Some(Some(giga * 1e9)));
        }
    }
}

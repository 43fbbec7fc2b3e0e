//! Pressure stall information: `some avg10=.. avg60=.. avg300=.. total=..`, and `full` likewise
//! (kernel documentation: `Documentation/accounting/psi.rst`).
//!
//! Parsed line by line: before Linux 5.13 `cpu` has `some` only, `irq` has `full` only, and a line or field
//! this parser has never heard of must not blind it to those it knows.

use crate::flat_keyed::split_line;
use crate::value::number;

/// The totals of one resource; a line the file does not have is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Psi {
    /// `some`: microseconds in which at least one task waited.
    pub waiting_us: Option<u64>,
    /// `full`: microseconds in which every non-idle task waited at once.
    pub stalled_us: Option<u64>,
}

impl Psi {
    /// `some` in seconds.
    #[must_use]
    pub fn waiting_seconds(&self) -> Option<f64> {
        self.waiting_us.map(seconds)
    }

    /// `full` in seconds.
    #[must_use]
    pub fn stalled_seconds(&self) -> Option<f64> {
        self.stalled_us.map(seconds)
    }

    /// How many of the two lines are there.
    #[must_use]
    pub fn lines(&self) -> u32 {
        u32::from(self.waiting_us.is_some()) + u32::from(self.stalled_us.is_some())
    }
}

/// Microseconds as seconds; exact to the microsecond for 285 years.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// Parses a pressure file.
///
/// Unknown lines and fields are skipped. `None` when neither `some` nor `full` is there, or when one of them
/// has no `total` that is a number: then this is no pressure file.
#[must_use]
pub fn parse(content: &[u8]) -> Option<Psi> {
    let mut psi = Psi::default();
    let mut rest = content;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        rest = after;
        if let Some(fields) = line.strip_prefix(b"some ") {
            psi.waiting_us = Some(total(fields)?);
        } else if let Some(fields) = line.strip_prefix(b"full ") {
            psi.stalled_us = Some(total(fields)?);
        }
    }
    (psi.lines() > 0).then_some(psi)
}

fn total(fields: &[u8]) -> Option<u64> {
    fields.split(|byte| *byte == b' ').find_map(|field| field.strip_prefix(b"total=")).and_then(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_both_lines() {
        let content = b"some avg10=91.86 avg60=35.11 avg300=8.55 total=28323336\nfull avg10=91.48 avg60=34.83 avg300=8.47 total=27958211\n";
        assert_eq!(parse(content), Some(Psi { waiting_us: Some(28_323_336), stalled_us: Some(27_958_211) }));
    }

    #[test]
    fn reads_some_only_and_full_only() {
        assert_eq!(
            parse(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
            Some(Psi { waiting_us: Some(7), stalled_us: None })
        );
        assert_eq!(
            parse(b"full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"),
            Some(Psi { waiting_us: None, stalled_us: Some(9) })
        );
    }

    #[test]
    fn skips_lines_and_fields_it_does_not_know() {
        let content = b"most avg10=1.00 total=1\nsome avg5=1 avg10=1.00 total=5 peak=3\n\nfull total=6\n";
        assert_eq!(parse(content), Some(Psi { waiting_us: Some(5), stalled_us: Some(6) }));
    }

    #[test]
    fn garbage_is_an_error_not_a_zero() {
        for bad in [
            &b""[..],
            b"\0\0\0",
            b"some",
            b"some avg10=0.00\n",
            b"some total=\n",
            b"some total=-1\n",
            b"some total=5\nfull total=x\n",
            b"max\n",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Some(psi) = parse(&bytes) {
                prop_assert!(psi.lines() > 0);
            }
        }

        #[test]
        fn survives_any_truncation(cut in 0_usize..110) {
            let content = &b"some avg10=91.86 avg60=35.11 avg300=8.55 total=283\nfull avg10=91.48 avg60=34.83 avg300=8.47 total=279\n"[..];
            if let Some(psi) = parse(&content[..cut.min(content.len())]) {
                prop_assert!([Some(2), Some(28), Some(283)].contains(&psi.waiting_us));
            }
        }

        #[test]
        fn round_trips(some: Option<u64>, full: Option<u64>) {
            let line = |word: &str, total: Option<u64>| {
                total.map(|total| format!("{word} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n")).unwrap_or_default()
            };
            let text = line("some", some) + &line("full", full);
            let expected = (some.is_some() || full.is_some()).then_some(Psi { waiting_us: some, stalled_us: full });
            prop_assert_eq!(parse(text.as_bytes()), expected);
        }
    }
}

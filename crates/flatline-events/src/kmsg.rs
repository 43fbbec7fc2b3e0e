//! Records of `/dev/kmsg`, as `Documentation/ABI/testing/dev-kmsg` and `kernel/printk/printk.c` define them.

use std::borrow::Cow;
use std::str;

/// A buffer for one record must hold this much, or `read` fails with `EINVAL`.
pub const MAX_RECORD_BYTES: usize = 8192;

/// One record: `prio,seq,usec,flags[,more];text`, then ` KEY=value` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Who wrote it: 0 is the kernel, and only the kernel can write 0.
    pub facility: u8,
    /// 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Counts records since boot; a gap is what was lost.
    pub sequence: u64,
    /// Microseconds of the kernel's local clock: not wall time, and still while suspended.
    pub usec: u64,
    /// Continues an earlier record (flag `c`).
    pub continuation: bool,
    /// The text with escapes decoded once. It may hold newlines; bytes that are no UTF-8 become U+FFFD.
    pub text: Cow<'a, str>,
    /// `SUBSYSTEM`, if the message names a device.
    pub subsystem: Option<Cow<'a, str>>,
    /// `DEVICE`: `b8:0` or `c1:3` for device numbers, `n<ifindex>`, `+<subsystem>:<name>`.
    pub device: Option<Cow<'a, str>>,
}

/// Why a record is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No `;` ends the header.
    #[error("no `;` ends the header of the kernel record")]
    NoText,
    /// A header field is missing or not a number.
    #[error("the {0} of the kernel record is missing or not a number")]
    Header(&'static str),
}

impl<'a> Record<'a> {
    /// Parses what one `read` of `/dev/kmsg` returned.
    ///
    /// # Errors
    /// [`RecordError`] if the header is incomplete. Header fields that are not known (`caller=`) are skipped.
    pub fn parse(record: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let (header, body) = split_once(record, b';').ok_or(RecordError::NoText)?;
        let mut fields = header.split(|byte| *byte == b',');
        let priority = number(fields.next(), "priority")?;
        let sequence = number(fields.next(), "sequence number")?;
        let usec = number(fields.next(), "time stamp")?;
        let flags = fields.next().unwrap_or_default();
        let facility = u8::try_from(priority >> 3).map_err(|_| RecordError::Header("facility"))?;
        let (text, rest) = split_once(body, b'\n').unwrap_or((body, b""));
        let mut parsed = Record {
            facility,
            level: (priority & 7) as u8,
            sequence,
            usec,
            continuation: flags.contains(&b'c'),
            text: decode(text),
            subsystem: None,
            device: None,
        };
        for line in rest.split(|byte| *byte == b'\n') {
            match line.strip_prefix(b" ").and_then(|pair| split_once(pair, b'=')) {
                Some((b"SUBSYSTEM", value)) => parsed.subsystem = Some(decode(value)),
                Some((b"DEVICE", value)) => parsed.device = Some(decode(value)),
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// What PID 1 says when the journal is dead: facility 3 and the prefix `systemd[1]: `, which is taken off.
    ///
    /// Any root process can write this, so [`crate::Classifier::classify`] ignores such records. A caller that
    /// wants them classifies the text as a journal line of `systemd` and keeps the result apart.
    #[must_use]
    pub fn said_by_pid1(&self) -> Option<&str> {
        self.text.strip_prefix("systemd[1]: ").filter(|_| self.facility == 3)
    }
}

/// How many messages a rate limit held back, and at which site: `<site>: <n> callbacks suppressed`.
///
/// The kernel says so only when the site speaks again, hence late or never.
#[must_use]
pub fn suppressed(text: &str) -> Option<(&str, u64)> {
    let counted = text.strip_suffix(" callbacks suppressed")?;
    let (site, count) = counted.rsplit_once(": ")?;
    Some((site, count.parse().ok()?))
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn number(field: Option<&[u8]>, name: &'static str) -> Result<u64, RecordError> {
    let digits = field.and_then(|field| str::from_utf8(field).ok()).filter(|field| !field.starts_with('+'));
    digits.and_then(|digits| digits.parse().ok()).ok_or(RecordError::Header(name))
}

/// Undoes `\xNN` once. Most records have none and are borrowed.
fn decode(escaped: &[u8]) -> Cow<'_, str> {
    if !escaped.contains(&b'\\') {
        return String::from_utf8_lossy(escaped);
    }
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(byte) = escape(rest) {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

fn escape(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.strip_prefix(br"\x")?.get(..2)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Record, RecordError, suppressed};
    use proptest::prelude::*;

    #[test]
    fn reads_a_record_with_its_device() {
        let raw = b"6,2347,45181213,-;usb 1-2: New USB device\n SUBSYSTEM=usb\n DEVICE=c189:3\n";
        let record = Record::parse(raw).expect("a record");
        assert_eq!((record.facility, record.level, record.sequence, record.usec), (0, 6, 2347, 45_181_213));
        assert!(!record.continuation);
        assert_eq!(record.text, "usb 1-2: New USB device");
        assert_eq!(record.subsystem.as_deref(), Some("usb"));
        assert_eq!(record.device.as_deref(), Some("c189:3"));
    }

    #[test]
    fn tolerates_header_fields_to_come_and_semicolons_in_the_text() {
        let record = Record::parse(b"28,1,2,c,caller=T1,new=7;a;b=c\n").expect("a record");
        assert_eq!((record.facility, record.level, record.continuation), (3, 4, true));
        assert_eq!(record.text, "a;b=c");
    }

    #[test]
    fn decodes_escapes_once_and_keeps_newlines_in_the_text() {
        let raw = br"3,1,2,-;CIFS: VFS: \x5c\x5cnas\x0atwo \x5cx41 \xzz \xc3\xa9\xff\x5";
        let record = Record::parse(raw).expect("a record");
        assert_eq!(record.text, "CIFS: VFS: \\\\nas\ntwo \\x41 \\xzz \u{e9}\u{fffd}\\x5");
    }

    #[test]
    fn refuses_what_is_no_record() {
        assert_eq!(Record::parse(b""), Err(RecordError::NoText));
        assert_eq!(Record::parse(b"6,1,2,-"), Err(RecordError::NoText));
        assert_eq!(Record::parse(b"six,1,2,-;x"), Err(RecordError::Header("priority")));
        assert_eq!(Record::parse(b"6,,2,-;x"), Err(RecordError::Header("sequence number")));
        assert_eq!(Record::parse(b"6,1;x"), Err(RecordError::Header("time stamp")));
        assert_eq!(Record::parse(b"99999,1,2,-;x"), Err(RecordError::Header("facility")));
    }

    #[test]
    fn pid1_is_told_from_those_who_imitate_it() {
        let said = |raw: &'static [u8]| Record::parse(raw).expect("a record").said_by_pid1().map(str::to_owned);
        assert_eq!(said(b"27,1,2,-;systemd[1]: x\n").as_deref(), Some("x"));
        assert_eq!(said(b"11,1,2,-;systemd[1]: x\n"), None);
        assert_eq!(said(b"27,1,2,-;systemd[2]: x\n"), None);
    }

    #[test]
    fn reads_what_a_rate_limit_held_back() {
        assert_eq!(suppressed("dmar_fault: 7 callbacks suppressed"), Some(("dmar_fault", 7)));
        assert_eq!(suppressed("EXT4-fs error: 12 callbacks suppressed"), Some(("EXT4-fs error", 12)));
        assert_eq!(suppressed("dmar_fault: many callbacks suppressed"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(raw in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Record::parse(&raw);
        }

        #[test]
        fn what_the_kernel_escapes_comes_back(text in any::<String>(), priority in 0u64..2048, sequence in any::<u64>()) {
            let mut raw = format!("{priority},{sequence},0,-;").into_bytes();
            for byte in text.bytes() {
                match byte {
                    b' '..=b'~' if byte != b'\\' => raw.push(byte),
                    _ => raw.extend(format!("\\x{byte:02x}").bytes()),
                }
            }
            raw.push(b'\n');
            let record = Record::parse(&raw).expect("a record");
            prop_assert_eq!(record.text, text);
            prop_assert_eq!(u64::from(record.facility) << 3 | u64::from(record.level), priority);
            prop_assert_eq!(record.sequence, sequence);
        }
    }
}

//! Entries of the journal as `journalctl --output=json` writes them: an object a line, fields as
//! `systemd.journal-fields(7)` names them.

mod lines;
mod patterns;

pub use lines::{Found, Lines, MAX_LINE_BYTES};
pub use patterns::{Match, Pattern, PatternError, Patterns};

use crate::{Line, Source};
use serde_json::{Map, Value};

/// The fields an [`Entry`] is made of, for `--output-fields`; the cursor and the time always come.
pub const FIELDS: &str = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID,_SYSTEMD_UNIT,_TRANSPORT,_UID";

/// The units whose word is taken for the program's of that name, whichever user it runs as. Only root can put a
/// process into a unit of the system.
const TRUSTED_UNITS: [(&str, &str); 3] =
    [("systemd-oomd.service", "systemd-oomd"), ("earlyoom.service", "earlyoom"), ("tailscaled.service", "tailscaled")];

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Where in the journal it is; opaque.
    pub cursor: String,
    /// When it was written, in microseconds since 1970.
    pub realtime_usec: Option<u64>,
    /// What was said. Absent when it has none, or is too long for `journalctl` to show.
    pub message: Option<String>,
    /// Whether it is too long: more than 4 KiB, for which `journalctl` writes `null`.
    pub too_long: bool,
    /// 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// How it came into the journal: `kernel`, `journal`, `stdout`, `syslog`, ...
    pub transport: Option<String>,
    /// What the writer calls itself; anybody can claim anything.
    pub identifier: Option<String>,
    /// The unit the writer runs in, by journald.
    pub unit: Option<String>,
    /// The writer's process name, by journald; its user can choose it.
    comm: Option<String>,
    pid: Option<String>,
    uid: Option<String>,
}

/// Why a line is no entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Nothing says where it was.
    #[error("the field __CURSOR is missing")]
    NoCursor,
}

impl Entry {
    /// Reads a line of `journalctl --output=json`.
    ///
    /// # Errors
    /// [`EntryError`] if it is no object or has no cursor. Other fields are absent when they are not understood.
    pub fn parse(line: &[u8]) -> Result<Self, EntryError> {
        let mut fields: Map<String, Value> = serde_json::from_slice(line)?;
        let too_long = fields.get("MESSAGE").is_some_and(Value::is_null);
        let mut take = |name: &str| fields.remove(name).and_then(text);
        Ok(Self {
            cursor: take("__CURSOR").filter(|cursor| !cursor.is_empty()).ok_or(EntryError::NoCursor)?,
            realtime_usec: take("__REALTIME_TIMESTAMP").and_then(|usec| usec.parse().ok()),
            message: take("MESSAGE"),
            too_long,
            priority: take("PRIORITY").and_then(|priority| priority.parse().ok()),
            transport: take("_TRANSPORT"),
            identifier: take("SYSLOG_IDENTIFIER"),
            unit: take("_SYSTEMD_UNIT"),
            comm: take("_COMM"),
            pid: take("_PID"),
            uid: take("_UID"),
        })
    }

    /// Whether it is a copy of a line of the kernel's log.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        self.transport.as_deref() == Some("kernel")
    }

    /// The program that wrote it, as far as journald vouches for it: PID 1 is `systemd`, a known unit is its program,
    /// and of the rest root's processes have the name they bear. A name of anybody else's proves nothing.
    #[must_use]
    pub fn ident(&self) -> Option<&str> {
        if self.pid.as_deref() == Some("1") {
            return Some("systemd");
        }
        let unit = self.unit.as_deref();
        if let Some((_, program)) = TRUSTED_UNITS.iter().find(|(known, _)| unit == Some(known)) {
            return Some(program);
        }
        let by_root = self.uid.as_deref() == Some("0");
        // Only PID 1 speaks for units; a root user's own manager is called systemd, too.
        self.comm.as_deref().filter(|comm| by_root && *comm != "systemd")
    }

    /// What the classifier is asked, if there is a message and it is not the kernel's.
    #[must_use]
    pub fn line(&self) -> Option<Line<'_>> {
        let text = self.message.as_deref().filter(|_| !self.is_kernel())?;
        Some(Line { text, source: Source::Journal, facility: None, priority: self.priority, ident: self.ident() })
    }
}

/// The value of a field: a string, the bytes of one that is no text, or the first of several.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(values) => match values.first()? {
            Value::Number(_) => bytes(&values),
            _ => values.into_iter().next().and_then(text_of_one),
        },
        _ => None,
    }
}

fn text_of_one(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(values) => bytes(&values),
        _ => None,
    }
}

fn bytes(values: &[Value]) -> Option<String> {
    let bytes: Option<Vec<u8>> = values.iter().map(|value| value.as_u64()?.try_into().ok()).collect();
    Some(String::from_utf8_lossy(&bytes?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Entry, EntryError};
    use crate::{Classifier, Kind};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn entry(fields: &Value) -> Entry {
        let mut fields = fields.clone();
        fields["__CURSOR"] = json!("s=1;i=2");
        Entry::parse(fields.to_string().as_bytes()).expect("an entry")
    }

    #[test]
    fn a_message_is_text_bytes_or_the_first_of_several() {
        let message = |value: Value| entry(&json!({"MESSAGE": value})).message;
        assert_eq!(message(json!("text")).as_deref(), Some("text"));
        assert_eq!(message(json!([104, 105, 255])).as_deref(), Some("hi\u{fffd}"));
        assert_eq!(message(json!(["one", "two"])).as_deref(), Some("one"));
        assert_eq!(message(json!([[104, 105], "two"])).as_deref(), Some("hi"));
        for none in [json!(null), json!([]), json!([300]), json!([1, "x"]), json!({"a": 1}), json!(true)] {
            assert_eq!(message(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn what_systemd_252_writes_is_read() {
        let recorded = include_bytes!("../../tests/fixtures/journalctl-252.jsonl").trim_ascii_end();
        let lines = recorded.split(|byte| *byte == b'\n');
        let entries: Vec<Entry> = lines.map(|line| Entry::parse(line).expect("an entry")).collect();
        let idents: Vec<Option<&str>> = entries.iter().map(Entry::ident).collect();
        assert_eq!(idents, [Some("systemd"), Some("bash"), None]);
        assert_eq!(entries[1].message.as_deref(), Some("vm 101: updating scsi0"));
        assert_eq!((entries[1].unit.as_deref(), entries[0].priority), (Some("reconciler.service"), Some(4)));
        assert_eq!(entries[1].realtime_usec, Some(1_795_399_142_000_000));
        assert!(entries[2].is_kernel() && entries[2].line().is_none());
        assert!(entries.iter().all(|entry| entry.cursor.starts_with("s=6908127b")));
    }

    #[test]
    fn an_entry_without_a_place_is_none() {
        assert!(matches!(Entry::parse(b"{}"), Err(EntryError::NoCursor)));
        for line in [&b""[..], b"[]", b"-- No entries --", b"{\"__CURSOR\":"] {
            assert!(matches!(Entry::parse(line), Err(EntryError::Syntax(_))));
        }
    }

    #[test]
    fn names_are_believed_only_when_journald_vouches_for_them() {
        let ident = |fields: Value| entry(&fields).ident().map(str::to_owned);
        assert_eq!(ident(json!({"_PID": "1", "_COMM": "systemd", "_UID": "0"})).as_deref(), Some("systemd"));
        assert_eq!(ident(json!({"_PID": "900", "_COMM": "systemd", "_UID": "1000"})), None);
        assert_eq!(ident(json!({"_PID": "900", "_COMM": "systemd", "_UID": "0"})), None);
        // Debian's earlyoom runs as a user made for it.
        let earlyoom = json!({"_COMM": "earlyoom", "_UID": "64321", "_SYSTEMD_UNIT": "earlyoom.service"});
        assert_eq!(ident(earlyoom).as_deref(), Some("earlyoom"));
        assert_eq!(ident(json!({"_COMM": "earlyoom", "_UID": "1000", "_SYSTEMD_UNIT": "user@1000.service"})), None);
        assert_eq!(ident(json!({"_COMM": "earlyoom", "_UID": "0"})).as_deref(), Some("earlyoom"));
        assert_eq!(ident(json!({"SYSLOG_IDENTIFIER": "systemd"})), None);
    }

    #[test]
    fn the_kernel_s_lines_are_left_to_the_kernel_s_log() {
        let classifier = Classifier::new().expect("the tables");
        let failed = "x.service: Failed with result 'exit-code'.";
        let said = |fields: Value| entry(&fields).line().and_then(|line| classifier.classify(&line).map(|e| e.kind));
        assert_eq!(said(json!({"MESSAGE": failed, "_PID": "1"})), Some(Kind::SystemdUnitFailed));
        assert_eq!(said(json!({"MESSAGE": failed, "_PID": "1", "_TRANSPORT": "kernel"})), None);
        assert_eq!(said(json!({"MESSAGE": failed, "SYSLOG_IDENTIFIER": "systemd", "_PID": "77"})), None);
        assert_eq!(said(json!({"_PID": "1"})), None);
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Entry::parse(&line);
        }

        #[test]
        fn what_was_written_is_read(message in any::<String>(), comm in "\\PC{0,15}", usec in any::<u64>(), as_bytes: bool) {
            let value = if as_bytes && !message.is_empty() { json!(message.as_bytes()) } else { json!(message) };
            let entry = entry(&json!({
                "MESSAGE": value, "_COMM": comm, "_UID": "0", "__REALTIME_TIMESTAMP": usec.to_string(),
            }));
            prop_assert_eq!(entry.message, Some(message));
            prop_assert_eq!(entry.realtime_usec, Some(usec));
        }
    }
}

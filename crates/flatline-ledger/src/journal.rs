//! What `journalctl --list-boots` prints, as JSON (systemd 251 and later, with `--output=json`) and as text.
//!
//! Ask with `--utc --no-pager --quiet`: the text form names time zones by abbreviations, which are ambiguous, so only UTC
//! and numeric offsets are understood there. Weekdays may be in any language and are skipped.

use crate::boot::{Boot, BootId, Ending, MAX_BOOTS, Source};
use crate::error::Problem;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;
use std::time::Duration;

/// A boot the journal has entries of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalBoot {
    /// Which.
    pub boot: BootId,
    /// Its first entry.
    pub first: Timestamp,
    /// Its last entry; before the first one when the clock was set back in between.
    pub last: Timestamp,
}

impl JournalBoot {
    /// The boot for the ledger. How it ended nobody knows.
    pub(crate) fn to_boot(self) -> Boot {
        let lasted = Duration::try_from(self.last.duration_since(self.first)).ok();
        Boot {
            boot: self.boot,
            source: Source::Journal,
            ended: Ending::Unknown,
            reason: None,
            start: self.first.min(self.last),
            uptime: lasted.unwrap_or(Duration::ZERO),
            first_seen: None,
            kernel: None,
            command_line: None,
            clock_steps: u32::from(lasted.is_none()),
        }
    }
}

/// Parses either form; oldest first, as journalctl lists them, the latest [`MAX_BOOTS`]. What can't be understood is skipped and reported.
#[must_use]
pub fn parse_list_boots(content: &[u8]) -> (Vec<JournalBoot>, Vec<Problem>) {
    let (mut boots, problems) =
        if content.trim_ascii_start().first() == Some(&b'[') { parse_json(content) } else { parse_text(content) };
    let excess = boots.len().saturating_sub(MAX_BOOTS);
    boots.drain(..excess);
    (boots, problems)
}

#[derive(Deserialize)]
struct Row {
    boot_id: BootId,
    /// Microseconds since the epoch.
    first_entry: i64,
    last_entry: i64,
}

/// `[{"index":0,"boot_id":"...","first_entry":1767542256000000,"last_entry":...},...]`; in a problem, the line is the
/// element. The index is not needed, and has had several names.
fn parse_json(content: &[u8]) -> (Vec<JournalBoot>, Vec<Problem>) {
    match serde_json::from_slice::<Vec<serde_json::Value>>(content) {
        Ok(rows) => sorted_out(rows.into_iter().map(|row| {
            let row = Row::deserialize(row).map_err(|error| error.to_string())?;
            let time = |microseconds| Timestamp::from_microsecond(microseconds).map_err(|error| error.to_string());
            Ok(Some(JournalBoot { boot: row.boot_id, first: time(row.first_entry)?, last: time(row.last_entry)? }))
        })),
        Err(error) => (Vec::new(), vec![Problem { line: error.line(), detail: error.to_string() }]),
    }
}

fn sorted_out(rows: impl Iterator<Item = Result<Option<JournalBoot>, String>>) -> (Vec<JournalBoot>, Vec<Problem>) {
    let (mut boots, mut problems) = (Vec::new(), Vec::new());
    for (row, line) in rows.zip(1..) {
        match row {
            Ok(boot) => boots.extend(boot),
            Err(detail) => problems.push(Problem { line, detail }),
        }
    }
    (boots, problems)
}

fn parse_text(content: &[u8]) -> (Vec<JournalBoot>, Vec<Problem>) {
    sorted_out(content.split(|byte| *byte == b'\n').map(|line| match std::str::from_utf8(line) {
        Ok(line) => parse_line(line),
        Err(_) => Err("not UTF-8".to_owned()),
    }))
}

/// `-1 <id> Mon 2026-06-08 12:00:01 UTC—Mon 2026-06-08 14:02:11 UTC`; newer ones have a blank for the dash, and a
/// heading. `None` for the heading and for empty lines.
fn parse_line(line: &str) -> Result<Option<JournalBoot>, String> {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || c == '—').filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [] => Ok(None),
        ["IDX" | "#", ..] => Ok(None),
        [_, id, _, first_day, first_time, first_zone, _, last_day, last_time, last_zone] => Ok(Some(JournalBoot {
            boot: id.parse().map_err(|error| format!("{id}: {error}"))?,
            first: time(first_day, first_time, first_zone)?,
            last: time(last_day, last_time, last_zone)?,
        })),
        _ => Err(format!("expected an index, an id and two times, found {} words", words.len())),
    }
}

fn time(day: &str, time: &str, zone: &str) -> Result<Timestamp, String> {
    let text = format!("{day}T{time}");
    let civil: DateTime = text.parse().map_err(|_| format!("{text}: not a time"))?;
    let offset = offset(zone).ok_or_else(|| format!("{zone}: not UTC; ask journalctl with --utc"))?;
    TimeZone::fixed(offset).to_timestamp(civil).map_err(|error| error.to_string())
}

/// UTC by its names, or what glibc prints for zones without one: `+03`, `-0330`.
fn offset(zone: &str) -> Option<Offset> {
    if matches!(zone, "UTC" | "GMT" | "Z") {
        return Some(Offset::UTC);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &zone[1..];
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn json() {
        // Four boots of a machine without a battery clock, from systemd's own test of this listing.
        let content = include_bytes!("../../../fixtures/boots/journal/list-boots.json");
        let (boots, problems) = parse_list_boots(content);
        assert_eq!((boots.len(), problems.len()), (4, 0));
        assert_eq!(boots[0].boot.to_string(), "5ea5fc4f82a14186b5332a788ef9435e");
        assert_eq!(boots[0].first, at("2022-10-24T00:00:00.994371Z"));
        assert_eq!(boots[0].last, at("2022-10-24T04:04:26.223608Z"));
        assert_eq!(boots[3].last, at("2022-10-24T04:07:18.086856Z"));
    }

    #[test]
    fn json_rows_stand_alone() {
        let content = br##"[{"#":"-1","boot_id":"39d66eb1925f4d01b8464d502650a714","first_entry":1,"last_entry":2},
            {"boot_id":"none","first_entry":1,"last_entry":2},
            {"boot_id":"39d66eb1925f4d01b8464d502650a714","first_entry":1,"last_entry":9223372036854775807},7]"##;
        let (boots, problems) = parse_list_boots(content);
        assert_eq!(boots.len(), 1, "{problems:?}");
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(parse_list_boots(b"[{\"boot_id\":").1.len(), 1, "cut off");
    }

    #[test]
    fn text_of_both_ages() {
        for (content, count) in [
            (include_bytes!("../../../fixtures/boots/hemma/list-boots.txt").as_slice(), 9),
            (include_bytes!("../../../fixtures/boots/journal/list-boots-table.txt").as_slice(), 5),
        ] {
            let (boots, problems) = parse_list_boots(content);
            assert_eq!((boots.len(), problems), (count, vec![]));
        }
        let line =
            " 0 bde6e48dd6084030856f26129514ee03 So 2020-10-12 21:56:18 +0330\u{2014}Mon 2020-10-12 21:56:36 -02";
        let (boots, problems) = parse_list_boots(line.as_bytes());
        assert_eq!(problems, []);
        assert_eq!((boots[0].first, boots[0].last), (at("2020-10-12T18:26:18Z"), at("2020-10-12T23:56:36Z")));
    }

    #[test]
    fn an_ambiguous_zone_is_refused_with_the_remedy() {
        // github.com/systemd/systemd/issues/17326
        let line =
            "-2 9ed946320a354306b6d94071198f130b Mon 2020-10-12 21:43:58 CEST\u{2014}Mon 2020-10-12 21:45:42 CEST";
        let (boots, problems) = parse_list_boots(line.as_bytes());
        assert!(boots.is_empty());
        assert_eq!(problems, [Problem { line: 1, detail: "CEST: not UTC; ask journalctl with --utc".into() }]);
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_negative_time() {
        let boot = JournalBoot { boot: BootId(1), first: at("2023-04-26T18:47:58Z"), last: at("2023-04-26T16:50:59Z") };
        let boot = boot.to_boot();
        assert_eq!((boot.start, boot.uptime, boot.clock_steps), (at("2023-04-26T16:50:59Z"), Duration::ZERO, 1));
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let (boots, _) = parse_list_boots(&bytes);
            prop_assert!(boots.is_empty());
        }

        #[test]
        fn survives_any_text(text in "( ?-?[0-9]{1,2} [0-9a-f]{32}( |\u{2014}|[MTW][a-z]{2}|20[0-9]{2}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2}|UTC|[+-][0-9]{0,5}){0,16}\n){0,3}") {
            let _ = parse_list_boots(text.as_bytes());
        }

        #[test]
        fn survives_any_json(text in "\\[(\\{\"boot_id\":\"[0-9a-f]{32}\",\"first_entry\":-?[0-9]{1,20},\"last_entry\":-?[0-9]{1,20}\\},?){0,3}\\]?") {
            let (boots, _) = parse_list_boots(text.as_bytes());
            for boot in boots {
                let _ = boot.to_boot();
            }
        }
    }
}

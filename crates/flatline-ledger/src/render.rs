//! Windows for people and for programs.

use crate::boot::Ending;
use crate::windows::{Near, Window};
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use std::time::Duration;

/// A table for a terminal, one boot per row, without colours. Times are UTC, to the second.
#[must_use]
pub fn table(windows: &[Window]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["START", "END", "LASTED", "ENDED", "DOWN", "KERNEL", "CAPTURE BEFORE", "CAPTURE AFTER", "NOTES"]);
    for window in windows {
        table.add_row(row(window));
    }
    let mut text: String = table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]).collect();
    if windows.is_empty() {
        text.push_str("no boots are known yet\n");
    }
    text
}

fn row(window: &Window) -> [String; 9] {
    [
        time(window.start),
        if window.ended == Ending::Running { "-".to_owned() } else { time(window.end) },
        optional(window.duration),
        ending(window.ended).to_owned(),
        optional(window.down),
        window.kernel.as_deref().map_or_else(|| "-".to_owned(), printable),
        window.before.as_ref().map_or_else(|| "-".to_owned(), near),
        window.after.as_ref().map_or_else(|| "-".to_owned(), near),
        notes(window),
    ]
}

const fn ending(ended: Ending) -> &'static str {
    match ended {
        Ending::Running => "running",
        Ending::Clean => "clean",
        Ending::Unclean => "unclean",
        Ending::Unknown => "unknown",
    }
}

fn notes(window: &Window) -> String {
    let notes = [
        (window.short, "short boot"),
        (window.kernel_changed == Some(true), "kernel changed"),
        (!window.clock_trusted, "clock not trusted"),
    ];
    notes.into_iter().filter_map(|(said, note)| said.then_some(note)).collect::<Vec<_>>().join(", ")
}

/// `incident-20260105-065819.log (1s, empty)`
fn near(near: &Near) -> String {
    let name = near.path.file_name().unwrap_or(near.path.as_os_str());
    let lag = near.lag.unsigned_abs();
    let empty = if near.empty { ", empty" } else { "" };
    format!("{} ({}{empty})", printable(&name.to_string_lossy()), brief(lag))
}

/// A file's name is text of whoever wrote the file: no escape sequence of it reaches the terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn optional(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), brief)
}

/// `4m21s`, `3h36m`, `2d04h`: the two largest units, cut off, not rounded, as people write it in reports.
#[must_use]
pub fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// The windows as a JSON array: times in RFC 3339, durations in seconds, `null` for what is not known.
#[must_use]
pub fn json(windows: &[Window]) -> String {
    // Text, numbers and times always have a JSON form.
    serde_json::to_string_pretty(windows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_in_reports() {
        let written = [0, 1, 74, 261, 1209, 3600, 6292, 12_998, 86_400, 187_200].map(|s| brief(Duration::from_secs(s)));
        assert_eq!(written, ["0s", "1s", "1m14s", "4m21s", "20m09s", "1h00m", "1h44m", "3h36m", "1d00h", "2d04h"]);
    }

    #[test]
    fn an_escape_sequence_is_shown_not_sent() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}ä"), "a\\u{1b}[2Jb\\u{9b}ä");
    }

    #[test]
    fn nothing_known_is_said() {
        assert!(table(&[]).contains("no boots are known yet"));
        assert_eq!(json(&[]), "[]");
    }
}

//! The table of hemma's report, which took a person an evening, from the same windows and the same file names.

use flatline_ledger::jiff::tz::TimeZone;
use flatline_ledger::{
    BootId, Capture, DatedBy, Ledger, NameTime, Options, SHORT_BOOT, Window, brief, json, parse_list_boots, table,
    windows,
};
use std::path::Path;

const BOOTS: &[u8] = include_bytes!("../../../fixtures/boots/hemma/list-boots.txt");
const CAPTURES: &str = include_str!("../../../fixtures/boots/hemma/captures.txt");
const LATER: &str = include_str!("../../../fixtures/boots/hemma/captures-later.txt");
const TABLE: &str = include_str!("../../../fixtures/boots/hemma/windows.txt");

fn captures(listing: &str) -> Vec<Capture> {
    let names = NameTime::new("incident-%Y%m%d-%H%M%S", TimeZone::UTC).expect("a format");
    let capture = |line: &str| {
        let (name, note) = line.split_once(' ').unwrap_or((line, ""));
        let time = names.parse(name.as_bytes()).expect("a time in the name");
        let path = Path::new("/root/logs").join(name);
        Capture { time, dated_by: DatedBy::Name, path, bytes: u64::from(note != "empty") }
    };
    listing.lines().map(capture).collect()
}

fn hemma(captures: &[Capture]) -> Vec<Window> {
    let (journal, problems) = parse_list_boots(BOOTS);
    assert_eq!(problems, []);
    let mut ledger = Ledger::default();
    ledger.seed(&journal, BootId(0), SHORT_BOOT);
    windows(&ledger, captures, Options::default())
}

/// Start, end, short, and the nearest captures with their lags, as the report has them. Where it cuts a lag off at the
/// minute ("39m") the second is what the two times give.
const REPORT: [(&str, &str, bool, &str, &str); 9] = [
    ("01-04T15:57:36", "01-04T17:23:52", false, "20260104-153900-154030 1h44m", "20260104-180334 39m42s"),
    ("01-04T17:42:32", "01-05T00:31:28", false, "20260105-002707 4m21s", "20260105-003707 5m39s"),
    ("01-05T00:32:05", "01-05T06:58:20", false, "20260105-065819 1s empty", "20260105-103458 3h36m"),
    ("01-05T10:29:56", "01-05T14:03:17", false, "20260105-140203 1m14s", "20260105-145549 52m32s"),
    ("01-05T14:33:08", "01-05T14:35:40", true, "20260105-140203 33m37s", "20260105-145549 20m09s"),
    ("01-05T14:50:47", "01-06T01:29:38", false, "20260106-012620 3m18s", "20260106-021300 43m22s"),
    ("01-06T02:07:30", "01-06T06:26:57", false, "20260106-062318 3m39s", "20260106-063246 5m49s"),
    ("01-06T06:27:44", "01-06T09:03:33", false, "20260106-090000 3m33s", "20260106-091948 16m15s"),
    ("01-06T09:14:48", "01-06T09:30:48", true, "20260106-093048 0s", "none"),
];

fn near(near: Option<&flatline_ledger::Near>) -> String {
    near.map_or_else(
        || "none".to_owned(),
        |near| {
            let name = near.path.file_stem().expect("a name").to_string_lossy().replace("incident-", "");
            format!("{name} {}{}", brief(near.lag.unsigned_abs()), if near.empty { " empty" } else { "" })
        },
    )
}

#[test]
fn the_same_windows_short_boots_and_lags() {
    let windows = hemma(&captures(CAPTURES));
    assert_eq!(windows.len(), REPORT.len());
    for (window, (start, end, short, before, after)) in windows.iter().zip(REPORT) {
        assert_eq!(window.start.to_string(), format!("2026-{start}Z"));
        assert_eq!(window.end.to_string(), format!("2026-{end}Z"));
        assert_eq!(window.short, short, "{end}");
        assert_eq!(near(window.before.as_ref()), before, "{end}");
        assert_eq!(near(window.after.as_ref()), after, "{end}");
        assert!(window.before.as_ref().is_none_or(|near| !near.lag.is_positive()));
        assert!(window.after.as_ref().is_none_or(|near| near.lag.is_positive()));
        assert!(window.clock_trusted);
    }
    let down: Vec<_> = windows.iter().map(|window| window.down.map(brief)).map(Option::unwrap_or_default).collect();
    assert_eq!(down, ["18m40s", "37s", "3h31m", "29m51s", "15m07s", "37m52s", "47s", "11m15s", ""]);
}

#[test]
fn a_later_capture_is_the_one_after_the_last_boot() {
    let mut all = captures(LATER);
    all.extend(captures(CAPTURES));
    let windows = hemma(&all);
    assert_eq!(near(windows[8].after.as_ref()), "20260106-104321 1h12m");
    assert_eq!(near(windows[7].after.as_ref()), REPORT[7].4, "the others stay");
}

#[test]
fn the_printed_table() {
    let printed = table(&hemma(&captures(CAPTURES)));
    if std::env::var_os("FLATLINE_WRITE_FIXTURES").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/boots/hemma/windows.txt"), &printed)
            .expect("written");
    }
    assert_eq!(printed, TABLE);
}

#[test]
fn the_json_says_the_same() {
    let windows = hemma(&captures(CAPTURES));
    let parsed: serde_json::Value = serde_json::from_str(&json(&windows)).expect("JSON");
    let third = &parsed[2];
    assert_eq!(third["start"], "2026-01-05T00:32:05Z");
    assert_eq!(third["duration_seconds"], 23_175.0);
    assert_eq!(third["ended"], "unknown");
    assert_eq!(third["source"], "journal");
    assert_eq!(third["before"]["path"], "/root/logs/incident-20260105-065819.log");
    assert_eq!(third["before"]["lag_seconds"], -1.0);
    assert_eq!(third["before"]["empty"], true);
    assert_eq!(third["before"]["dated_by"], "name");
    assert_eq!(third["after"]["lag_seconds"], 12_998.0);
    assert_eq!(parsed[8]["after"], serde_json::Value::Null);
    assert_eq!(parsed[8]["down_seconds"], serde_json::Value::Null);
    assert_eq!(parsed[4]["short"], true);
}

#[test]
fn a_journal_whose_clock_was_set_back_is_not_believed_about_those_boots() {
    let (journal, _) = parse_list_boots(include_bytes!("../../../fixtures/boots/journal/list-boots-table.txt"));
    let mut ledger = Ledger::default();
    ledger.seed(&journal, BootId(0), SHORT_BOOT);
    let windows = windows(&ledger, &[], Options::default());
    let trusted: Vec<_> = windows.iter().map(|window| (window.clock_trusted, window.duration.map(brief))).collect();
    let lasted = |text: &str| Some(text.to_owned());
    assert_eq!(
        trusted,
        [(true, lasted("3m11s")), (true, lasted("3m00s")), (true, lasted("20m37s")), (false, None), (false, None)]
    );
}

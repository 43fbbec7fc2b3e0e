//! What has been counted, and up to which entry. Pure: lines in, numbers out.

use flatline_events::Classifier;
use flatline_events::journal::{Entry, Patterns};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The value that stands for those beyond a pattern's bound.
const OTHER: &str = "other";

/// What a scrape shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) tally: Tally,
    pub(super) following: bool,
    pub(super) restarts: u64,
}

/// Counts that survive restarts of the exporter, kept by name so that a newer one with more kinds can go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    /// The last entry that was counted.
    pub(super) cursor: Option<String>,
    pub(super) kinds: BTreeMap<String, Seen>,
    pub(super) patterns: BTreeMap<String, Matched>,
    pub(super) entries: u64,
    pub(super) unreadable: u64,
}

/// How often, and when last (Unix time).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) last: Option<f64>,
}

/// How often by what was captured, and when last (Unix time).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Matched {
    pub(super) values: BTreeMap<String, u64>,
    pub(super) last: Option<f64>,
}

impl Tally {
    /// Goes on with these patterns: a new one begins at 0, one that is gone is forgotten.
    pub(super) fn resume(&mut self, patterns: &Patterns) {
        self.patterns.retain(|name, _| patterns.iter().any(|pattern| pattern.name == *name));
        for pattern in patterns.iter() {
            let matched = self.patterns.entry(pattern.name.clone()).or_default();
            if !pattern.has_value() {
                matched.values.retain(|value, _| value.is_empty());
                matched.values.entry(String::new()).or_default();
            }
        }
    }

    /// Counts a line of `journalctl --output=json`; whether it was an entry.
    pub(super) fn take(&mut self, line: &[u8], classifier: &Classifier, patterns: &mut Patterns) -> bool {
        let Ok(entry) = Entry::parse(line) else {
            self.unreadable += 1;
            return false;
        };
        self.entries += 1;
        self.unreadable += u64::from(entry.too_long);
        self.count(&entry, classifier, patterns);
        self.cursor = Some(entry.cursor);
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
    fn count(&mut self, entry: &Entry, classifier: &Classifier, patterns: &mut Patterns) {
        let at = entry.realtime_usec.map(|usec| usec as f64 / 1e6);
        if let Some(event) = entry.line().and_then(|line| classifier.classify(&line)) {
            let seen = self.kinds.entry(event.kind.name().to_owned()).or_default();
            seen.count = seen.count.saturating_add(event.count);
            seen.last = at.or(seen.last);
        }
        for found in patterns.matches(entry) {
            let Some(matched) = self.patterns.get_mut(&found.pattern.name) else { continue };
            let room = matched.values.len() < found.pattern.max_values;
            let value = if room || matched.values.contains_key(&*found.value) { &*found.value } else { OTHER };
            *matched.values.entry(value.to_owned()).or_default() += 1;
            matched.last = at.or(matched.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use flatline_events::Classifier;
    use flatline_events::journal::Patterns;

    fn patterns(specs: &[&str]) -> Patterns {
        Patterns::new(specs.iter().map(|spec| spec.parse().expect("a pattern")).collect()).expect("patterns")
    }

    fn line(number: u32, message: &str) -> String {
        format!(
            r#"{{"__CURSOR":"c{number}","__REALTIME_TIMESTAMP":"{number}000000","_PID":"1","MESSAGE":"{message}"}}"#
        )
    }

    #[test]
    fn entries_are_counted_and_the_last_one_remembered() {
        let classifier = Classifier::new().expect("the tables");
        let mut patterns = patterns(&["any=regex=result"]);
        let mut tally = Tally::default();
        tally.resume(&patterns);
        assert_eq!(tally.patterns["any"].values[""], 0, "never is known to be never");
        for number in 1..=3 {
            let failed = line(number, "x.service: Failed with result 'exit-code'.");
            assert!(tally.take(failed.as_bytes(), &classifier, &mut patterns));
        }
        assert!(!tally.take(b"garbage", &classifier, &mut patterns));
        assert_eq!((tally.entries, tally.unreadable, tally.cursor.as_deref()), (3, 1, Some("c3")));
        assert!(tally.take(br#"{"__CURSOR":"c4","MESSAGE":null}"#, &classifier, &mut patterns), "of over 4 KiB");
        assert_eq!((tally.entries, tally.unreadable, tally.cursor.as_deref()), (4, 2, Some("c4")));
        let seen = tally.kinds["systemd_unit_failed"];
        assert_eq!((seen.count, seen.last), (3, Some(3.0)));
        assert_eq!((tally.patterns["any"].values[""], tally.patterns["any"].last), (3, Some(3.0)));
    }

    #[test]
    fn values_are_bounded_and_patterns_come_and_go() {
        let classifier = Classifier::new().expect("the tables");
        let mut with = patterns(&["disk=max-values=2;regex=updating (?P<value>\\w+)", "gone=regex=x"]);
        let mut tally = Tally::default();
        tally.resume(&with);
        for (number, disk) in (0..).zip(["a", "b", "c", "d", "a"]) {
            tally.take(line(number, &format!("updating {disk}")).as_bytes(), &classifier, &mut with);
        }
        let counts: Vec<(&str, u64)> =
            tally.patterns["disk"].values.iter().map(|(value, count)| (value.as_str(), *count)).collect();
        assert_eq!(counts, [("a", 2), ("b", 1), ("other", 2)]);
        tally.resume(&patterns(&["disk=regex=updating"]));
        assert_eq!(tally.patterns["disk"].values.len(), 1, "a label that is gone is not exported any more");
        assert!(!tally.patterns.contains_key("gone"));
    }
}

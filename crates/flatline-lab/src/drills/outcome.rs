//! What came of a scenario, as it is kept and reported.

use serde::{Deserialize, Serialize};

/// A scenario that has been run. Times are seconds since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: String,
    /// When it began, in UTC.
    pub began: String,
    /// How long it took.
    pub seconds: f64,
    /// What the machines ran on: kernel, QEMU, accelerator.
    pub machine: String,
    /// How often was scraped and evaluated, in words.
    pub pace: String,
    /// Why it failed; none: it passed.
    pub failures: Vec<String>,
    /// What happened.
    pub events: Vec<Event>,
    /// What Slack was told.
    pub messages: Vec<Message>,
    /// How the exporters answered, from the onset on.
    pub scrapes: Vec<Scrapes>,
    /// The signals over time.
    pub plots: Vec<Plotted>,
    /// What the rules of others said of the same machines; none: they were not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OthersSaid>,
}

/// What the rules of somebody else said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OthersSaid {
    /// Whose: the file's name.
    pub by: String,
    /// The alerts that fired.
    pub alerts: Vec<OtherAlert>,
}

/// An alert of somebody else's that fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherAlert {
    /// Its name.
    pub alert: String,
    /// Its severity.
    pub severity: String,
    /// When its expression became true.
    pub began: f64,
    /// When it fired.
    pub fired: f64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: f64,
    /// What.
    pub kind: EventKind,
    /// In words: what was done, or the alert's name.
    pub what: String,
    /// The alert's severity.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub severity: String,
}

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Something was set up.
    Step,
    /// The machine was broken.
    Onset,
    /// The machine was repaired.
    Relief,
    /// An alert's expression has become true.
    Pending,
    /// An alert fires.
    Firing,
    /// An alert is over.
    Resolved,
    /// Slack was told.
    Slack,
}

/// What Slack would have shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// When it came.
    pub at: f64,
    /// The channel.
    pub channel: String,
    /// The title.
    pub title: String,
    /// The text.
    pub text: String,
}

/// How one exporter answered Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scrapes {
    /// The scrape job.
    pub job: String,
    /// How many scrapes there were.
    pub count: usize,
    /// How many of them failed.
    pub missed: usize,
    /// Half of those that succeeded took no more, in seconds; none, where none did.
    pub p50: Option<f64>,
    /// All but one of a hundred took no more.
    pub p99: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

/// A signal over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plotted {
    /// What it is.
    pub title: String,
    /// Its series.
    pub series: Vec<Series>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its labels, those that tell it from the others.
    pub name: String,
    /// Time and value.
    pub points: Vec<(f64, f64)>,
}

impl Outcome {
    /// Whether it came as promised.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// When the machine was broken.
    #[must_use]
    pub fn onset(&self) -> Option<f64> {
        self.events.iter().find(|event| event.kind == EventKind::Onset).map(|event| event.at)
    }

    /// How long after the onset this first happened to the alert, in seconds.
    #[must_use]
    pub fn seconds_to(&self, kind: EventKind, alert: &str) -> Option<f64> {
        let onset = self.onset()?;
        let first = self.events.iter().find(|event| event.kind == kind && event.what == alert && event.at >= onset)?;
        Some(first.at - onset)
    }

    /// The alerts of somebody else's that began and fired after the onset, each once: name and seconds from the onset.
    #[must_use]
    pub fn seen_by<'a>(&self, others: &'a OthersSaid) -> Vec<(&'a str, f64)> {
        let onset = self.onset().unwrap_or_default();
        let mut seen: Vec<(&str, f64)> = Vec::new();
        for alert in others.alerts.iter().filter(|alert| alert.began >= onset) {
            if !seen.iter().any(|(name, _)| *name == alert.alert) {
                seen.push((&alert.alert, alert.fired - onset));
            }
        }
        seen
    }

    /// The alerts that fired, in the order of their firing.
    #[must_use]
    pub fn fired(&self) -> Vec<&Event> {
        let mut fired: Vec<&Event> = Vec::new();
        for event in self.events.iter().filter(|event| event.kind == EventKind::Firing) {
            if !fired.iter().any(|known| known.what == event.what) {
                fired.push(event);
            }
        }
        fired
    }
}

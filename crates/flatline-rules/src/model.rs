//! What a signal declares.

use std::fmt::Write as _;

use flatline_catalog::{Family, Label};

use crate::config::{Config, Severity};
use crate::prometheus::{ALERTNAME, ALERTS, UP};
use crate::promql::{Expr, quote};
use crate::span::Span;

/// One signal: everything that follows from watching one thing.
#[derive(Debug, Clone)]
pub struct Signal {
    /// The name of its rule group and of its test file.
    pub name: &'static str,
    /// What its alerts have computed beforehand.
    pub records: Vec<Record>,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// What makes them fire and what must not.
    pub cases: Vec<Case>,
    /// How many scrapes lie between two evaluations in its tests: more than 1 where they last for hours.
    pub test_stride: u64,
    /// Its cells in the overview's table, which has one row per host.
    pub columns: Vec<Column>,
    /// Its graphs below that table.
    pub graphs: Vec<Graph>,
}

impl Signal {
    /// Whether an alert of this signal, or what is recorded for it, asks whether it fires.
    #[must_use]
    pub fn remembers(&self, alert: &Alert) -> bool {
        let itself = format!("{}{{{}=\"{}\"", ALERTS.name, ALERTNAME.name, alert.name);
        self.expressions_of(alert).any(|expr| expr.to_string().contains(&itself))
    }

    /// What the alert has computed beforehand.
    pub fn records_of<'a>(&'a self, alert: &'a Alert) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(|record| record.alert == alert.name)
    }

    /// The alert's own expression, and those it has computed beforehand.
    pub fn expressions_of<'a>(&'a self, alert: &'a Alert) -> impl Iterator<Item = &'a Expr> {
        self.records_of(alert).map(|record| &record.expr).chain([&alert.expr])
    }
}

/// One column of the overview: a value per `instance`.
#[derive(Debug, Clone)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// The value; its series carry `instance` only.
    pub expr: Expr,
    /// What the value means.
    pub scale: Scale,
}

/// One graph: a panel with lines or states over time.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The heading.
    pub title: &'static str,
    /// What one sees, and what would be bad.
    pub description: &'static str,
    /// What is drawn.
    pub expr: Expr,
    /// The name of a line; `{label}` stands for the series' label of that name.
    pub legend: &'static str,
    /// What the value means.
    pub scale: Scale,
}

/// What a displayed value means, and when it is bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// 1 is good and 0 is bad, by these words.
    State {
        /// What 1 is called.
        good: &'static str,
        /// What 0 is called.
        bad: &'static str,
    },
    /// A share of time: worrying above one limit, bad above another.
    Share(f64, f64),
    /// A number of things, bad from this on.
    Count(f64),
    /// Events per second.
    PerSecond,
    /// Seconds, bad above this.
    Seconds(f64),
    /// Seconds, neither good nor bad.
    Duration,
    /// A plain number, neither good nor bad.
    Amount,
    /// Bytes, neither good nor bad.
    Bytes,
    /// Watts, neither good nor bad.
    Watts,
    /// Degrees Celsius, bad above this.
    Celsius(f64),
    /// Things that happened, counted between two points of the graph.
    Events,
    /// Processors kept busy.
    Processors,
    /// 1 is so, by this word; what is not so has no series.
    Fact(&'static str),
    /// 1 is bad, by this word; what is good has no series.
    Alarm(&'static str),
}

/// One recording rule: a series computed at every evaluation, before the alert that needs it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The series, declared in [`crate::prometheus`].
    pub family: &'static Family,
    /// Its value.
    pub expr: Expr,
    /// The alert that needs it.
    pub alert: &'static str,
}

/// One alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The name, `CamelCase`.
    pub name: &'static str,
    /// Who is woken, unless the configuration says otherwise.
    pub severity: Severity,
    /// When it is true.
    pub expr: Expr,
    /// For how long it must be true (`for`).
    pub hold: Span,
    /// One sentence for 3 a.m. `{label}` stands for the alert's label of that name.
    pub summary: &'static str,
    /// What it means for whoever is woken.
    pub meaning: &'static str,
    /// What to do first.
    pub first: &'static str,
    /// Where it comes from.
    pub incident: &'static str,
}

impl Alert {
    /// The description as rule files carry it: the meaning, and what to do first.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{} First: {}", self.meaning, self.first)
    }

    /// The severity in force.
    #[must_use]
    pub fn severity(&self, config: &Config) -> Severity {
        config.alerts.get(self.name).and_then(|changed| changed.severity).unwrap_or(self.severity)
    }

    /// Whether the configuration leaves the alert on.
    #[must_use]
    pub fn enabled(&self, config: &Config) -> bool {
        config.alerts.get(self.name).and_then(|changed| changed.enabled).unwrap_or(true)
    }

    /// For how long it goes on firing after it has stopped being true.
    #[must_use]
    pub fn keep_firing_for(&self, config: &Config) -> Span {
        config.alerts.get(self.name).map(|changed| changed.keep_firing_for).unwrap_or_default()
    }

    /// Whether it fires and ends when its unit tests say: not if the configuration gives it times of its own.
    #[must_use]
    pub fn keeps_its_times(&self, config: &Config) -> bool {
        config.alerts.get(self.name).is_none_or(|changed| changed.hold.is_none() && changed.keep_firing_for.is_zero())
    }

    /// The address of its runbook page.
    #[must_use]
    pub fn runbook_url(&self, config: &Config) -> String {
        format!("{}/{}.md", config.runbook_base_url.trim_end_matches('/'), self.name)
    }
}

/// Replaces every `{label}` of an alert's text.
#[must_use]
pub fn fill(text: &str, mut label: impl FnMut(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(&label(name));
        rest = after;
    }
    filled + rest
}

/// One unit test: series over time, and when the alert fires.
#[derive(Debug, Clone)]
pub struct Case {
    /// What happens, in a few words.
    pub name: String,
    /// The alert that is tested.
    pub alert: &'static str,
    /// The time between two samples, and between two evaluations.
    pub step: Span,
    /// What Prometheus scrapes.
    pub series: Vec<Series>,
    /// What must be true when.
    pub expectations: Vec<Expectation>,
}

/// Something that must be true at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// Exactly these alerts fire at that time, by the labels of their series.
    Firing(Span, Vec<Vec<(String, String)>>),
    /// None has fired from the start to that time.
    NeverUntil(Span),
}

/// One series of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its metric.
    pub family: &'static Family,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its samples, one per step.
    pub samples: Samples,
}

impl Series {
    /// The series as promtool reads it.
    #[must_use]
    pub fn selector(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
        format!("{}{{{}}}", self.family.name, labels.join(","))
    }
}

impl Case {
    /// A test of an alert, scraped and evaluated as often as the configuration says.
    #[must_use]
    pub fn new(config: &Config, alert: &'static str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            alert,
            step: config.scrape_interval,
            series: Vec::new(),
            expectations: Vec::new(),
        }
    }

    /// Adds a series of a target.
    #[must_use]
    pub fn series(
        mut self,
        family: &'static Family,
        (job, instance): (&str, &str),
        labels: &[(&Label, &str)],
        samples: Samples,
    ) -> Self {
        let target = [("job", job), ("instance", instance)];
        let own = labels.iter().map(|(label, value)| (label.name, *value));
        let labels = target.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.series.push(Series { family, labels, samples });
        self
    }

    /// Adds `up` of a target.
    #[must_use]
    pub fn up(self, target: (&str, &str), samples: Samples) -> Self {
        self.series(&UP, target, &[], samples)
    }

    /// At that time exactly these alerts fire.
    #[must_use]
    pub fn fires(mut self, at: Span, alerts: &[&[(&str, &str)]]) -> Self {
        let owned = |labels: &&[(&str, &str)]| {
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        self.expectations.push(Expectation::Firing(at, alerts.iter().map(owned).collect()));
        self
    }

    /// From that time on exactly these alerts fire, and none before.
    #[must_use]
    pub fn fires_from(self, at: Span, alerts: &[&[(&str, &str)]]) -> Self {
        let before = at - self.step;
        self.never_until(before).fires(at, alerts)
    }

    /// Nothing fires at that time.
    #[must_use]
    pub fn quiet(self, at: Span) -> Self {
        self.fires(at, &[])
    }

    /// Nothing fires from the start to that time.
    #[must_use]
    pub fn never_until(mut self, end: Span) -> Self {
        self.expectations.push(Expectation::NeverUntil(end));
        self
    }
}

/// Samples at a fixed pace, in promtool's notation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    last: f64,
    text: String,
}

impl Samples {
    /// `count` samples of one value.
    #[must_use]
    pub fn flat(value: f64, count: u64) -> Self {
        Self::default().then(value, count)
    }

    /// A counter that starts at a value and then grows by `by` at every sample.
    #[must_use]
    pub fn rising(start: f64, by: f64, count: u64) -> Self {
        Self::flat(start, 1).climb(by, count.saturating_sub(1))
    }

    /// Then `count` samples of another value.
    #[must_use]
    pub fn then(mut self, value: f64, count: u64) -> Self {
        match count {
            0 => return self,
            1 => self.push(format_args!("{value}")),
            _ => self.push(format_args!("{value}x{}", count - 1)),
        }
        self.last = value;
        self
    }

    /// Then the last value `count` times more.
    #[must_use]
    pub fn hold(self, count: u64) -> Self {
        let last = self.last;
        self.then(last, count)
    }

    /// Then `count` samples, each greater than the one before by `by`.
    #[must_use]
    pub fn climb(mut self, by: f64, count: u64) -> Self {
        if count == 0 {
            return self;
        }
        self.push(format_args!("{}+{by}x{}", self.last + by, count - 1));
        // One by one, as promtool does: a rounding difference would be a counter reset.
        for _ in 0..count {
            self.last += by;
        }
        self
    }

    /// Then nothing for `count` samples: the target could not be scraped, or was not asked.
    #[must_use]
    pub fn gap(mut self, count: u64) -> Self {
        if count > 0 {
            self.push(format_args!("_x{count}"));
        }
        self
    }

    /// Then the series ends: its target or cgroup is gone.
    #[must_use]
    pub fn gone(mut self) -> Self {
        self.push(format_args!("stale"));
        self
    }

    fn push(&mut self, item: std::fmt::Arguments<'_>) {
        let space = if self.text.is_empty() { "" } else { " " };
        let _ = write!(self.text, "{space}{item}");
    }

    /// In promtool's notation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::{Samples, fill};

    #[test]
    fn samples_speak_promtool() {
        let samples = Samples::flat(1.0, 3).then(0.0, 1).hold(2).gap(4).climb(0.5, 3).climb(1.0, 1).gone();
        assert_eq!(samples.as_str(), "1x2 0 0x1 _x4 0.5+0.5x2 2.5+1x0 stale");
        assert_eq!(Samples::rising(0.0, 2.0, 4).as_str(), "0 2+2x2");
    }

    #[test]
    fn labels_are_filled_in() {
        assert_eq!(fill("{a} on {b}.", str::to_uppercase), "A on B.");
        assert_eq!(fill("nothing", str::to_uppercase), "nothing");
    }
}

//! One run of a scenario: what is done to the machines, and what the chain makes of it, on one clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::outcome::{Event, EventKind, Message, OtherAlert, OthersSaid, Outcome, Plotted, Scrapes, Series};
use super::stage::{Pace, Stage, Watched};
use super::{Drill, Plot, Terms};
use crate::others::RULES_OF;
use crate::{Alert, AlertState, Error, Guest, Result};

/// Between two looks at the alerts.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// On a busy machine Prometheus may be slow to answer for a while; longer than this, and nothing is known of the alerts.
const UNANSWERED: Duration = Duration::from_secs(120);
/// It fires always, by design.
const ALWAYS: &str = "FlatlineDeadMansSwitch";
/// At most so many points are kept of a series.
const POINTS: f64 = 240.0;

/// A scenario that is being run.
pub struct Session<'a> {
    drill: &'static Drill,
    pace: Pace,
    terms: &'a Terms,
    say: &'a mut dyn FnMut(&str),
    began: SystemTime,
    clock: Instant,
    machine: String,
    stage: Option<Stage>,
    events: Vec<Event>,
    failures: Vec<String>,
    known: BTreeMap<String, (String, String, AlertState)>,
    summaries: BTreeMap<String, String>,
    others: BTreeMap<String, Other>,
    told: usize,
    answered: Instant,
}

/// An alert of somebody else's, by its labels. One that ends and comes back is the same.
struct Other {
    by: String,
    alert: String,
    severity: String,
    began: f64,
    fired: Option<f64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(drill: &'static Drill, terms: &'a Terms, say: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            drill,
            pace: terms.pace.unwrap_or(drill.pace),
            terms,
            say,
            began: SystemTime::now(),
            clock: Instant::now(),
            machine: String::new(),
            stage: None,
            events: Vec::new(),
            failures: Vec::new(),
            known: BTreeMap::new(),
            summaries: BTreeMap::new(),
            others: BTreeMap::new(),
            told: 0,
            answered: Instant::now(),
        }
    }

    /// Tells what is being done.
    pub fn step(&mut self, what: &str) {
        self.enter(EventKind::Step, what, "");
    }

    /// The machine is up; what it runs on goes into the outcome.
    pub fn machine(&mut self, guest: &Guest) {
        let kernel = &guest.kernel().release;
        self.machine = format!("Linux {kernel} on {}", guest.hypervisor());
        self.step(&format!("the guest is up after {:.0} s: {}", guest.boot_time().as_secs_f64(), self.machine));
    }

    /// Starts the chain.
    pub fn watch(&mut self, targets: &[Watched]) -> Result<()> {
        self.step("Prometheus, Alertmanager and a recording Slack are started");
        self.stage = Some(Stage::over(self.pace, targets, &self.terms.others)?);
        let instances: Vec<_> = targets.iter().map(|target| target.instance).collect();
        self.answered = Instant::now();
        self.step(&format!("scraped: {}", instances.join(", ")));
        Ok(())
    }

    /// The machine is broken now.
    pub fn onset(&mut self, what: &str) {
        self.enter(EventKind::Onset, what, "");
    }

    /// The machine is repaired now.
    pub fn relief(&mut self, what: &str) {
        self.enter(EventKind::Relief, what, "");
    }

    /// Looks on for three scrapes, so that it is known how it is when all is well.
    pub fn settle(&mut self) -> Result<()> {
        self.look_on(self.pace.interval() * 3)
    }

    /// Looks on for a while.
    pub fn look_on(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look()?;
        }
        Ok(())
    }

    /// Looks on until Slack has been told of all the alerts that are expected, and as long after the onset as the terms
    /// ask for. That Slack is not told is a failure of the drill.
    pub fn until_told(&mut self, within: Duration) -> Result<()> {
        for alert in self.drill.expects {
            self.until(&format!("Slack is told of {alert}"), within, |session| session.has(EventKind::Slack, alert))?;
        }
        let onset = self.events.iter().rfind(|event| event.kind == EventKind::Onset).map_or(0.0, |event| event.at);
        let broken_for = Duration::from_secs_f64(self.now() - onset);
        self.look_on(self.terms.hold.saturating_sub(broken_for))
    }

    /// Looks on until the alert fires.
    pub fn until_firing(&mut self, alert: &str, within: Duration) -> Result<()> {
        self.until(&format!("{alert} fires"), within, |session| session.has(EventKind::Firing, alert))
    }

    /// Looks on until the alert is over.
    pub fn until_over(&mut self, alert: &str, within: Duration) -> Result<()> {
        self.until(&format!("{alert} is over"), within, |session| session.has(EventKind::Resolved, alert))
    }

    /// Looks on until an expression yields something.
    pub fn until_true(&mut self, expression: &str, within: Duration) -> Result<()> {
        self.until(expression, within, |session| {
            let found = session.stage().and_then(|stage| stage.prometheus().query(expression));
            found.is_ok_and(|samples| !samples.is_empty())
        })
    }

    fn until(&mut self, what: &str, within: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + within;
        while !done(self) {
            if Instant::now() >= end {
                self.failures.push(format!("{what}: not within {} s", within.as_secs()));
                return Ok(());
            }
            self.look()?;
        }
        Ok(())
    }

    fn has(&self, kind: EventKind, alert: &str) -> bool {
        let same = |event: &Event| event.kind == kind && event.what == alert;
        self.events.iter().any(same)
    }

    fn stage(&self) -> Result<&Stage> {
        self.stage.as_ref().ok_or_else(|| Error::peer("scenario")("nobody watches yet"))
    }

    fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    fn enter(&mut self, kind: EventKind, what: &str, severity: &str) {
        let event = Event { at: self.now(), kind, what: what.to_owned(), severity: severity.to_owned() };
        (self.say)(&line(&event));
        self.events.push(event);
    }

    /// Notes what has changed since the last look.
    fn look(&mut self) -> Result<()> {
        std::thread::sleep(LOOK_EVERY);
        let stage = self.stage()?;
        let messages = stage.slack().messages();
        let alerts = match stage.prometheus().alerts() {
            Err(_) if self.answered.elapsed() < UNANSWERED => return Ok(()),
            answer => answer?.into_iter().filter(|alert| alert.name != ALWAYS),
        };
        self.answered = Instant::now();
        let (others, ours): (Vec<Alert>, _) = alerts.partition(|alert| alert.labels.contains_key(RULES_OF));
        self.note_others(others);
        self.note_alerts(ours);
        for message in messages.iter().skip(self.told) {
            (self.say)(&format!("            Slack: {}", message.title()));
            for alert in self.told_as_firing(&message.payload) {
                self.enter(EventKind::Slack, &alert, "");
            }
        }
        self.told = messages.len();
        Ok(())
    }

    /// The alerts that a message says are firing. A title names one alone, the text has the summary of each.
    fn told_as_firing(&self, payload: &Value) -> Vec<String> {
        let text = payload["attachments"][0]["text"].as_str().unwrap_or_default();
        let told = self.summaries.iter().filter(|(summary, _)| text.contains(&format!("*{summary}*\n*Since*")));
        let mut names: Vec<_> = told.map(|(_, name)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn note_others(&mut self, alerts: Vec<Alert>) {
        let now = self.now();
        for alert in alerts {
            let label = |name: &str| alert.labels.get(name).cloned().unwrap_or_default();
            let (by, severity) = (label(RULES_OF), label("severity"));
            let known = self.others.entry(format!("{:?}", alert.labels));
            let other = known.or_insert_with(|| Other { by, alert: alert.name, severity, began: now, fired: None });
            if alert.state == AlertState::Firing {
                other.fired.get_or_insert(now);
            }
        }
    }

    /// What each of the others said, in the order of firing.
    fn others_said(&mut self) -> Vec<OthersSaid> {
        let fired = |other: Other| {
            let (began, fired) = (round(other.began), round(other.fired?));
            Some((other.by, OtherAlert { alert: other.alert, severity: other.severity, began, fired }))
        };
        let mut fired: Vec<_> = std::mem::take(&mut self.others).into_values().filter_map(fired).collect();
        fired.sort_by(|(_, one), (_, other)| one.fired.total_cmp(&other.fired));
        let said = |by: &str| fired.iter().filter(|(whose, _)| whose == by).map(|(_, alert)| alert.clone()).collect();
        let others = self.terms.others.iter();
        others.map(|others| OthersSaid { by: others.name().to_owned(), alerts: said(others.name()) }).collect()
    }

    fn note_alerts(&mut self, alerts: Vec<Alert>) {
        let mut now = BTreeMap::new();
        for alert in alerts {
            if let Some(summary) = alert.annotations.get("summary") {
                self.summaries.insert(summary.clone(), alert.name.clone());
            }
            let severity = alert.labels.get("severity").cloned().unwrap_or_default();
            now.insert(format!("{:?}", alert.labels), (alert.name, severity, alert.state));
        }
        let before = std::mem::take(&mut self.known);
        for (labels, (name, severity, state)) in &now {
            match (before.get(labels).map(|known| known.2), state) {
                (known, state) if known == Some(*state) => {}
                (_, AlertState::Pending) => self.enter(EventKind::Pending, name, severity),
                (_, AlertState::Firing) => self.enter(EventKind::Firing, name, severity),
            }
        }
        for (labels, (name, severity, state)) in before {
            if state == AlertState::Firing && !now.contains_key(&labels) {
                self.enter(EventKind::Resolved, &name, &severity);
            }
        }
        self.known = now;
    }

    /// Judges, and takes what is to be drawn.
    pub(super) fn finish(mut self) -> Result<Outcome> {
        let seconds = self.now();
        self.judge();
        let others = self.others_said();
        let stage = self.stage()?;
        let onset = self.events.iter().find(|event| event.kind == EventKind::Onset).map_or(0.0, |event| event.at);
        let range = Range { prometheus: stage, began: self.began, end: seconds, step: (seconds / POINTS).max(1.0) };
        let plots = self.drill.plots.iter().map(|plot| range.plot(plot)).collect::<Result<_>>()?;
        let scrapes = stage.jobs().iter().map(|job| range.scrapes(job, onset)).collect::<Result<_>>()?;
        let messages = stage.slack().messages().iter().map(|message| shown(message, self.began)).collect();
        Ok(Outcome {
            scenario: self.drill.name.to_owned(),
            began: humantime::format_rfc3339_seconds(self.began).to_string(),
            seconds,
            machine: self.machine,
            pace: self.pace.words().to_owned(),
            failures: self.failures,
            events: self.events,
            messages,
            scrapes,
            plots,
            others,
        })
    }

    fn judge(&mut self) {
        let allowed = |name: &String| {
            let drill = self.drill;
            drill.expects.iter().chain(drill.tolerates).any(|known| known == name)
        };
        let loud = self.events.iter().filter(|event| event.kind == EventKind::Firing && event.severity != "info");
        let mut unexpected: Vec<String> = loud.map(|event| event.what.clone()).filter(|name| !allowed(name)).collect();
        unexpected.sort_unstable();
        unexpected.dedup();
        self.failures.extend(unexpected.into_iter().map(|name| format!("{name} fired, and should not have")));
    }
}

/// A line of the timeline.
fn line(event: &Event) -> String {
    let what = &event.what;
    let said = match event.kind {
        EventKind::Step => what.clone(),
        EventKind::Onset => format!("BROKEN: {what}"),
        EventKind::Relief => format!("REPAIRED: {what}"),
        EventKind::Pending => format!("{what} is pending"),
        EventKind::Firing => format!("{what} FIRES ({})", event.severity),
        EventKind::Resolved => format!("{what} is over"),
        EventKind::Slack => format!("Slack is told of {what}"),
    };
    format!("{:>8.1} s  {said}", event.at)
}

fn shown(message: &crate::SlackMessage, began: SystemTime) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Message {
        at: message.received.duration_since(began).unwrap_or_default().as_secs_f64(),
        channel: text(&message.payload["channel"]),
        title: message.title().to_owned(),
        text: text(&message.payload["attachments"][0]["text"]),
    }
}

/// What Prometheus has recorded of the run.
struct Range<'a> {
    prometheus: &'a Stage,
    began: SystemTime,
    end: f64,
    step: f64,
}

impl Range<'_> {
    fn unix(&self) -> f64 {
        self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    fn plot(&self, plot: &Plot) -> Result<Plotted> {
        let (start, end) = (self.unix(), self.unix() + self.end);
        let parameters =
            [("start", start), ("end", end), ("step", self.step)].map(|(name, value)| (name, value.to_string()));
        let mut query = vec![("query", plot.query)];
        query.extend(parameters.iter().map(|(name, value)| (*name, value.as_str())));
        let data = self.prometheus.prometheus().api("query_range", &query)?;
        let series = data["result"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|result| Series { name: name(&result["metric"]), points: points(&result["values"], start) });
        Ok(Plotted { title: plot.title.to_owned(), series: series.collect() })
    }

    /// From the samples as they were scraped.
    fn scrapes(&self, job: &str, onset: f64) -> Result<Scrapes> {
        let seconds = (self.end - onset).ceil().max(1.0);
        let raw = |metric: &str| -> Result<Vec<f64>> {
            let query = format!("{metric}{{job=\"{job}\"}}[{seconds}s]");
            let data = self.prometheus.prometheus().api("query", &[("query", &query)])?;
            let values =
                data["result"].as_array().into_iter().flatten().flat_map(|result| points(&result["values"], 0.0));
            Ok(values.map(|(_, value)| value).collect())
        };
        let (up, durations) = (raw("up")?, raw("scrape_duration_seconds")?);
        let mut took: Vec<f64> = up.iter().zip(durations).filter(|(up, _)| **up > 0.0).map(|(_, took)| took).collect();
        took.sort_by(f64::total_cmp);
        let missed = up.iter().filter(|up| **up == 0.0).count();
        let of = |share: f64| quantile(&took, share);
        Ok(Scrapes { job: job.to_owned(), count: up.len(), missed, p50: of(0.5), p99: of(0.99), max: of(1.0) })
    }
}

/// The least value that this share of the sorted values does not exceed.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few values"
)]
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// What tells a series from the others of its plot.
fn name(labels: &Value) -> String {
    let apart = ["__name__", "instance"];
    let shown = labels.as_object().into_iter().flatten().filter(|(name, _)| !apart.contains(&name.as_str()));
    let shown: Vec<&str> = shown.filter_map(|(_, value)| value.as_str()).collect();
    shown.join(" ")
}

fn points(values: &Value, start: f64) -> Vec<(f64, f64)> {
    let point = |pair: &Value| Some((pair[0].as_f64()? - start, pair[1].as_str()?.parse().ok()?));
    values
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(point)
        .map(|(at, value): (f64, f64)| (round(at), round(value)))
        .collect()
}

/// To a thousandth: more is noise, and takes room in the files that are kept.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{name, points, quantile};
    use serde_json::json;

    #[test]
    fn quantiles_are_values_that_were_there() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.99), Some(4.0));
        assert_eq!(quantile(&[5.0], 0.5), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn series_are_read_as_prometheus_writes_them() {
        assert_eq!(points(&json!([[10.0, "1"], [12.5, "NaN"], [13, 4]]), 10.0)[0], (0.0, 1.0));
        assert_eq!(name(&json!({ "__name__": "a", "job": "b", "vm": "devvm", "disk": "scsi0" })), "scsi0 b devvm");
    }
}

//! The landing page: what works and what doesn't, at a glance.

use crate::scheduler::{Report, State};
use crate::version;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::time::Duration;

/// Renders the page.
pub(super) fn page(reports: &[Report], telemetry_path: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Flatline exporter" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Flatline exporter" }
                    p { (summary(reports)) }
                    nav {
                        a href=(telemetry_path) { "Metrics" } " · "
                        a href="/-/healthy" { "Health" } " · "
                        a href="/-/ready" { "Readiness" }
                    }
                }
                table {
                    thead { tr { th { "Collector" } th { "State" } th { "What it sees, or why not" } th.number { "Took" } th.number { "Age" } th.number { "Dropped" } } }
                    tbody { @for report in reports { (row(report)) } }
                }
                footer { "Version " (version::VERSION) " · revision " (version::REVISION) " · rustc " (version::RUSTC) }
            }
        }
    }
}

fn summary(reports: &[Report]) -> String {
    let count = |wanted: Verdict| reports.iter().filter(|report| Verdict::of(report) == wanted).count();
    let (well, off) = (count(Verdict::Well), count(Verdict::Off));
    match reports.len() - well - off {
        0 => format!("{well} collectors answer, {off} off."),
        ill => format!("{well} collectors answer, {ill} in trouble, {off} off."),
    }
}

/// How a collector does, as a colour and a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Well,
    Off,
    Late,
    Failed,
    Starting,
}

impl Verdict {
    fn of(report: &Report) -> Self {
        match &report.state {
            State::Off(_) => Self::Off,
            State::Failed(_) => Self::Failed,
            State::Starting => Self::Starting,
            State::On if report.reading.is_some() => Self::Well,
            State::On if report.stuck > Duration::ZERO => Self::Late,
            State::On => Self::Failed,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Well => "on",
            Self::Off => "off",
            Self::Late => "stuck",
            Self::Failed => "failed",
            Self::Starting => "starting",
        }
    }
}

fn row(report: &Report) -> Markup {
    let verdict = Verdict::of(report);
    html! {
        tr {
            td { code { (report.descriptor.name) } }
            td { span.state.(verdict.word()) { (verdict.word()) } }
            td { (explanation(report, verdict)) }
            td.number { (report.duration.map(short).unwrap_or_default()) }
            td.number { (report.age.map(short).unwrap_or_default()) }
            td.number { @if report.series_dropped > 0 { (report.series_dropped) } }
        }
    }
}

fn explanation(report: &Report, verdict: Verdict) -> Markup {
    let faults: u64 = report.faults.iter().sum();
    html! {
        @match verdict {
            Verdict::Well => { (report.descriptor.help) }
            Verdict::Off | Verdict::Starting => { span.quiet { (report.state.reason()) } }
            Verdict::Late => { "A read has been in flight for " (short(report.stuck)) " and has not returned." }
            Verdict::Failed => { (report.error.as_deref().unwrap_or(report.state.reason())) }
        }
        @if faults > 0 { span.quiet { " " (faults) " unreadable source" @if faults > 1 { "s" } ", see the log." } }
    }
}

fn short(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --quiet: #777; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2.5rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { margin: 0; font-size: 1.6rem; }
header p { margin: .2rem 0; font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; margin: 1.5rem 0; }
th, td { text-align: left; padding: .45rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-size: .85rem; color: var(--quiet); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.quiet, footer { color: var(--quiet); }
.state { display: inline-block; min-width: 4.2rem; text-align: center; border-radius: .4rem; padding: 0 .5rem; color: #fff; background: #6b7280; }
.state.on { background: #15803d; } .state.stuck, .state.failed { background: #b91c1c; } .state.starting { background: #b45309; }
footer { font-size: .85rem; }
";

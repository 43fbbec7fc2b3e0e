//! The page about the incidents in `docs/incidents.md`.

use std::fmt::Write as _;

use super::{ORIGIN, runbook_link};
use crate::incidents::Incident;
use crate::span::Span;

/// A table of all, and a section on each.
#[must_use]
pub fn to_markdown(incidents: &[Incident]) -> String {
    let mut page = format!(
        "<!-- {ORIGIN} -->\n\n# The incidents, and when Flatline would have told\n\n\
         The real incidents that Flatline exists for, replayed from the timelines of their reports: promtool evaluates all\n\
         rules, with default settings, on the series an exporter would have served, and the tests of flatline-rules fail when\n\
         an alert comes a scrape earlier or later than here, or one that is not here. [detection.md](detection.md) has the\n\
         same kinds of failure, provoked on real machines.\n\n\
         Reports seldom say when somebody first noticed; what is given is when somebody had acted.\n\n\
         | incident | began | somebody had acted after | Flatline tells after | first alert |\n|---|---|---|---|---|\n"
    );
    for incident in incidents {
        let Some((alert, after)) = in_order(incident).into_iter().next() else { continue };
        let _ = writeln!(
            page,
            "| [{}](#{}) | {} | {} | {} | {} |",
            incident.title,
            anchor(incident.title),
            incident.began,
            incident.noticed,
            soon(after),
            runbook_link(alert),
        );
    }
    page += "\nGive or take a scrape (15 s). Slack hears of a page ten seconds after that (`group_wait`).\n";
    for incident in incidents {
        page += &section(incident);
    }
    page + UNTIMED
}

/// Of this one there is no timeline to replay.
const UNTIMED: &str = "\n## devvm crawls into its swap\n\n\
    2026-06-22, in the morning: load 60, 13.9 of 14 GiB swap in use, tasks blocked everywhere; it was killed by hand. The\n\
    report has no times, so nothing is replayed. `SwapThrash` is made for such a morning; how soon it comes on a real\n\
    machine that thrashes is in [detection.md](detection.md). The share of time in which tasks wait for memory and disk is\n\
    on the overview (`Mem. wait`, `Disk wait`), `DevvmDown` comes when it no longer answers scrapes, and\n\
    `TasksStuckInKernel` when single tasks no longer move at all. What made it possible, users' slices without a limit, is\n\
    told by `WorkloadUncapped`.\n";

fn section(incident: &Incident) -> String {
    let mut text = format!(
        "\n## {}\n\n{}: {}.\n\nSomebody had acted after {}: {}.\n\nMeanwhile, by the report: {}.\n\n| after | alert |\n|---|---|\n",
        incident.title, incident.began, incident.what, incident.noticed, incident.how, incident.others
    );
    for alert in incident.standing {
        let _ = writeln!(text, "| before | {} |", runbook_link(alert));
    }
    for (alert, after) in in_order(incident) {
        let _ = writeln!(text, "| {} | {} |", soon(after), runbook_link(alert));
    }
    let _ = writeln!(text, "\nAssumed: {}.\n\nNot seen: {}", incident.assumed, incident.blind);
    text
}

fn in_order(incident: &Incident) -> Vec<(&'static str, Span)> {
    let mut told = incident.told.clone();
    told.sort_by_key(|(_, after)| *after);
    told
}

fn soon(after: Span) -> String {
    if after.is_zero() { "at the next scrape".to_owned() } else { after.to_string() }
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

//! Which dashboards there are: an overview, one per group of signals, one per class of incident, and the timeline of
//! boots and crashes. How they are drawn is [`crate::outputs`]' business.
//!
//! A signal brings its graphs and its cells of the overview in its own file. [`group_of`] says on which dashboard they
//! stand; one that it does not name stands on the dashboard of the hosts.

mod incidents;

use flatline_catalog::{Label, memcg, vm};

use crate::config::Config;
use crate::model::{Column, Graph, Scale, Signal};
use crate::prometheus::{ALERTNAME, ALERTS, ALERTSTATE};
use crate::promql::{Expr, Select, by, select};
use crate::signals::chain::DEAD_MANS_SWITCH;

/// The overview's uid.
pub const OVERVIEW: &str = "flatline-overview";

/// The uid of the timeline of boots and crashes.
pub const TIMELINE: &str = "flatline-timeline";

/// A dashboard.
#[derive(Debug)]
pub struct Board {
    /// Its name in Grafana's addresses, and that of its file.
    pub uid: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Labels that can be chosen beside job and instance, each with a metric that has it.
    pub choices: Vec<Choice>,
    /// The table of hosts on top: the columns, each with the dashboard that has the details.
    pub columns: Vec<(Column, &'static str)>,
    /// The panels in their order.
    pub pictures: Vec<Picture>,
    /// How they stand.
    pub layout: Layout,
    /// Moments that are marked beside the alerts: series whose values are Unix times in milliseconds.
    pub moments: Vec<Moment>,
}

/// How panels stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Side by side.
    Pairs,
    /// One above the other, so that all share one time axis.
    Stack,
}

/// A label that can be chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The label.
    pub label: &'static Label,
    /// Its heading.
    pub title: &'static str,
    /// A metric that tells its values.
    pub family: &'static flatline_catalog::Family,
}

/// A panel.
#[derive(Debug)]
pub struct Picture {
    /// The heading.
    pub title: &'static str,
    /// What one sees, and what would be bad.
    pub description: &'static str,
    /// What is drawn: expressions, and the names of their lines.
    pub lines: Vec<(Expr, &'static str)>,
    /// What the values mean.
    pub scale: Scale,
    /// The alerts that look at the same; their runbooks are linked.
    pub alerts: Vec<&'static str>,
}

/// A mark on the time axis.
#[derive(Debug)]
pub struct Moment {
    /// What happened.
    pub name: &'static str,
    /// Series whose values are the times, in milliseconds since 1970.
    pub expr: Expr,
    /// The text of the mark, in Grafana's notation.
    pub text: &'static str,
}

impl Picture {
    fn of(graph: &Graph, signal: &Signal) -> Self {
        Self {
            title: graph.title,
            description: graph.description,
            lines: vec![(graph.expr.clone(), graph.legend)],
            scale: graph.scale,
            alerts: signal.alerts.iter().map(|alert| alert.name).collect(),
        }
    }
}

/// Every dashboard.
#[must_use]
pub fn all(signals: &[Signal], config: &Config) -> Vec<Board> {
    let groups = GROUPS.iter().filter_map(|group| group.board(signals));
    std::iter::once(overview(signals)).chain(groups).chain(incidents::all(signals, config)).collect()
}

/// Which of my machines is dead but looks alive?
fn overview(signals: &[Signal]) -> Board {
    let columns = signals
        .iter()
        .flat_map(|signal| signal.columns.iter().map(|column| (column.clone(), group_of(signal.name))))
        .collect();
    let answers = signals.iter().find(|signal| signal.name == "exporter");
    let mut pictures: Vec<Picture> = firing(
        "Alerts",
        "Every alert of Flatline that fires, by host. What began first is most often the cause of what follows.",
        // The one that always fires says nothing about a host.
        &signals
            .iter()
            .flat_map(|signal| &signal.alerts)
            .map(|alert| alert.name)
            .filter(|name| *name != DEAD_MANS_SWITCH)
            .collect::<Vec<_>>(),
    )
    .into_iter()
    .collect();
    pictures
        .extend(answers.into_iter().flat_map(|signal| signal.graphs.iter().map(|graph| Picture::of(graph, signal))));
    Board {
        uid: OVERVIEW,
        title: "Flatline: which of my machines is dead but looks alive?",
        description: "One row per host, one cell per thing that can be dead. A click on a cell leads to the dashboard with the details of that host.",
        choices: Vec::new(),
        columns,
        pictures,
        layout: Layout::Stack,
        moments: Vec::new(),
    }
}

/// What fires of these alerts; nothing where there are none (all are switched off).
fn firing(title: &'static str, description: &'static str, alerts: &[&'static str]) -> Option<Picture> {
    (!alerts.is_empty()).then(|| Picture {
        title,
        description,
        lines: vec![(
            // One row per alert and host, however many disks or cgroups it is about.
            by("max", &[ALERTNAME.name, "instance"], fires(alerts)),
            "{alertname} {instance}",
        )],
        scale: Scale::Alarm("fires"),
        alerts: alerts.to_vec(),
    })
}

/// The series of these alerts while they fire.
#[must_use]
pub fn fires(alerts: &[&str]) -> Select {
    select(&ALERTS).with(&ALERTSTATE, "firing").like(&ALERTNAME, &alerts.join("|")).chosen()
}

impl Board {
    /// The alerts of its panels.
    #[must_use]
    pub fn alerts(&self) -> Vec<&'static str> {
        let mut alerts: Vec<&str> = Vec::new();
        for alert in self.pictures.iter().flat_map(|picture| &picture.alerts) {
            if !alerts.contains(alert) {
                alerts.push(alert);
            }
        }
        alerts
    }
}

/// Signals on one dashboard.
struct Group {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    signals: &'static [&'static str],
    choices: &'static [Choice],
}

const VM: Choice = Choice { label: &vm::VM, title: "VM", family: &vm::QMP_UP };
const CGROUP: Choice = Choice { label: &memcg::CGROUP, title: "Cgroup", family: &memcg::POPULATED };

/// The dashboard of signals that no other group names.
const HOSTS: &str = "flatline-hosts";

const GROUPS: &[Group] = &[
    Group {
        uid: HOSTS,
        title: "Flatline: hosts and their exporters",
        description: "Whether each host answers, and whether what it says can be trusted: collectors that are blind, reads that hang.",
        signals: &[],
        choices: &[],
    },
    Group {
        uid: "flatline-memory",
        title: "Flatline: memory, pressure and blocked tasks",
        description: "Who waits for what: the host's pressure, cgroups that are throttled, tasks stuck in the kernel.",
        signals: &["pressure", "memcg", "tasks"],
        choices: &[CGROUP],
    },
    Group {
        uid: "flatline-vms",
        title: "Flatline: virtual machines",
        description: "Virtual machines as their QEMU sees them: requests in flight, completions, the monitor's answers.",
        signals: &["vm", "vm_writes"],
        choices: &[VM],
    },
    Group {
        uid: "flatline-crashes",
        title: "Flatline: boots, watchdogs and crash capture",
        description: "Whether hosts crash, whether they would recover by themselves, and whether a crash would leave evidence.",
        signals: &["watchdog", "boots", "crash_capture"],
        choices: &[],
    },
    Group {
        uid: "flatline-logs",
        title: "Flatline: kernel log and journal",
        description: "What the kernel and the services complain about, sorted by what it means.",
        signals: &["kernel_log", "kernel_faults", "journal", "netconsole"],
        choices: &[],
    },
    Group {
        uid: "flatline-hardware",
        title: "Flatline: GPUs and drives",
        description: "Hardware that vanishes, hangs, overheats or wears out.",
        signals: &["gpu", "drives"],
        choices: &[],
    },
    Group {
        uid: "flatline-services",
        title: "Flatline: mounts, probes and services",
        description: "What the host depends on and what depends on it: network mounts, endpoints, units.",
        signals: &["mounts", "probes", "units", "reachability"],
        choices: &[],
    },
];

/// The uid of the dashboard that a signal's graphs stand on.
#[must_use]
pub fn group_of(signal: &str) -> &'static str {
    GROUPS.iter().find(|group| group.signals.contains(&signal)).map_or(HOSTS, |group| group.uid)
}

impl Group {
    /// Its dashboard, unless its signals have nothing to draw.
    fn board(&self, signals: &[Signal]) -> Option<Board> {
        let own = || signals.iter().filter(|signal| group_of(signal.name) == self.uid);
        let alerts: Vec<&str> = own().flat_map(|signal| &signal.alerts).map(|alert| alert.name).collect();
        let graphs = own().flat_map(|signal| signal.graphs.iter().map(|graph| Picture::of(graph, signal)));
        let mut pictures: Vec<Picture> = graphs.collect();
        if pictures.is_empty() {
            return None;
        }
        let alerts = firing("Alerts", "The alerts of these signals that fire.", &alerts);
        pictures.splice(0..0, alerts);
        Some(Board {
            uid: self.uid,
            title: self.title,
            description: self.description,
            choices: self.choices.to_vec(),
            columns: Vec::new(),
            pictures,
            layout: Layout::Pairs,
            moments: Vec::new(),
        })
    }
}

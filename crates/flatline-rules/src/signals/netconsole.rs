//! The last words of other hosts: where a panic can be seen, since a host that panics answers nobody.

use flatline_catalog::netconsole;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, Range, increase, select, since};
use crate::span::Span;

const REMOTE: &str = "RemoteKernelTrouble";
/// What ends a host, or is about to. The rest is told by the host's own exporter while it lives.
const KINDS: [&str; 9] = [
    "kernel_panic",
    "kernel_bug_or_oops",
    "bad_page_state",
    "soft_lockup",
    "hard_lockup",
    "rcu_stall",
    "workqueue_lockup",
    "hung_task",
    "mce_hardware_error",
];

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "netconsole",
        records: Vec::new(),
        alerts: vec![remote(config)],
        cases: cases(config),
        test_stride: 1,
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "Since other hosts' kernels last spoke",
            description: "How long ago each host last sent a kernel message over netconsole. A line that falls to 0 in the middle of the night is a host's last word.",
            expr: since(select(&netconsole::LAST_TIMESTAMP).chosen()),
            legend: "{sender} to {instance}",
            scale: Scale::Duration,
        }],
    }
}

fn remote(config: &Config) -> Alert {
    let window = config.netconsole.said_within;
    let events = || select(&netconsole::EVENTS).like(&netconsole::KIND, &KINDS.join("|"));
    let first = Expr::from(events()).unless(Matching::All, select(&netconsole::EVENTS).ago(window)).and(
        Matching::ignoring(&[&netconsole::KIND]),
        since(select(&netconsole::LAST_TIMESTAMP))
            .below(window.as_seconds())
            .note("and it has just spoken, so that it is not only Prometheus that is new"),
    );
    Alert {
        name: REMOTE,
        severity: Severity::Page,
        expr: increase(events(), Range::Fixed(window))
            .above(0.0)
            .note("it was said again")
            .or(first.note("or for the first time: a kind is not there before it is said")),
        hold: Span::ZERO,
        summary: "The kernel of {sender} cried for help ({kind}): it is dying or dead",
        meaning: "{sender} sent it over netconsole to {instance}, which kept its words. After kernel_panic the host is dead and answers nothing, ping included, until it is reset or resets itself.",
        first: "read its last words: they are in the state directory of the exporter on {instance}, below netconsole. Then see whether {sender} still answers.",
        incident: "hemma, January 2026: nine crashes, and not a word of any of them was left on its disk",
    }
}

const TARGET: (&str, &str) = ("flatline", "witness:10120");

fn cases(config: &Config) -> Vec<Case> {
    let (step, window) = (config.scrape_interval, config.netconsole.said_within);
    let long = window.steps(step) + 12;
    let end = step * long;
    let case = |name| Case::new(config, REMOTE, name);
    let hemma = (&netconsole::SENDER, "hemma");
    let events = |case: Case, kind, samples| {
        case.series(&netconsole::EVENTS, TARGET, &[hemma, (&netconsole::KIND, kind)], samples)
    };
    let spoke = |case: Case, at: Span| {
        case.series(&netconsole::LAST_TIMESTAMP, TARGET, &[hemma], Samples::flat(at.as_seconds(), long))
    };
    let told = |kind| [("job", TARGET.0), ("instance", TARGET.1), ("sender", "hemma"), ("kind", kind)];
    let every = KINDS.map(told);
    let every: Vec<&[(&str, &str)]> = every.iter().map(<[_; 4]>::as_slice).collect();
    let panic: &[&[(&str, &str)]] = &[&told("kernel_panic")];
    let onset = step * 4;
    let first_words = || Samples::default().gap(4).then(1.0, long);
    let silent = |case: Case| {
        case.series(&netconsole::LAST_TIMESTAMP, TARGET, &[hemma], Samples::flat(window.as_seconds() * -1.4, long))
            .never_until(end)
    };
    vec![
        spoke(
            KINDS
                .iter()
                .fold(case("its last words, each for the first time"), |c, kind| events(c, kind, first_words())),
            onset,
        )
        .fires_from(onset, &every)
        .fires(onset + window - step, &every)
        .quiet(onset + window),
        events(
            case("once more, and when it last spoke is not known"),
            "kernel_panic",
            Samples::flat(1.0, 4).then(2.0, long),
        )
        .fires_from(onset, panic)
        .quiet(onset + window),
        events(
            case("once more, after the exporter restarted and forgot"),
            "kernel_panic",
            Samples::flat(5.0, 4).gap(2).then(1.0, long),
        )
        .fires(step * 6, panic),
        spoke(
            events(
                case("it spoke of it before the window, and speaks of something else"),
                "kernel_panic",
                Samples::flat(3.0, long * 2),
            ),
            end,
        )
        .quiet(end),
        spoke(
            events(case("it speaks of something else"), "link_down", Samples::default().gap(4).climb(1.0, long)),
            onset,
        )
        .never_until(end),
        silent(events(case("Prometheus is new, the words are old"), "kernel_panic", first_words())),
        silent(events(case("the exporter restarts"), "kernel_panic", Samples::flat(3.0, 4).gap(3).then(3.0, long))),
    ]
}

//! The last words of other hosts: where a panic can be seen, since a host that panics answers nobody.

use flatline_catalog::netconsole;

use super::told::Log;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{select, since};
use crate::span::Span;

const REMOTE: &str = "RemoteKernelTrouble";
const LOG: Log = Log { events: &netconsole::EVENTS, last: &netconsole::EVENT_LAST_TIMESTAMP, kind: &netconsole::KIND };
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
    Alert {
        name: REMOTE,
        severity: Severity::Page,
        expr: LOG.told(&KINDS, config.netconsole.said_within),
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
    let last = |case: Case, kind, samples| {
        case.series(&netconsole::EVENT_LAST_TIMESTAMP, TARGET, &[hemma, (&netconsole::KIND, kind)], samples)
    };
    let told = |kind| [("job", TARGET.0), ("instance", TARGET.1), ("sender", "hemma"), ("kind", kind)];
    let every = KINDS.map(told);
    let every: Vec<&[(&str, &str)]> = every.iter().map(<[_; 4]>::as_slice).collect();
    let panic: &[&[(&str, &str)]] = &[&told("kernel_panic")];
    let onset = step * 4;
    let from = |start: u64, value| Samples::default().gap(start).then(value, long);
    let last_words = KINDS.iter().fold(case("its last words, each for the first time"), |case, kind| {
        last(events(case, kind, from(4, 1.0)), kind, from(4, onset.as_seconds()))
    });
    // Test time begins at 0.
    let long_ago = || Samples::flat(window.as_seconds() * -1.4, long * 2);
    vec![
        last_words.fires_from(onset, &every).fires(onset + window - step, &every).quiet(onset + window),
        events(case("once more, and when is not known"), "kernel_panic", Samples::flat(1.0, long).then(2.0, long))
            .quiet(step * (long - 1))
            .fires(end, panic),
        last(
            events(
                case("once more, after the exporter restarted and forgot"),
                "kernel_panic",
                Samples::flat(5.0, 4).gap(2).then(1.0, long),
            ),
            "kernel_panic",
            from(6, (step * 6).as_seconds()),
        )
        .fires_from(step * 6, panic),
        last(
            events(
                last(
                    events(
                        case("long ago, and now it speaks of something else"),
                        "kernel_panic",
                        Samples::flat(3.0, long * 2),
                    ),
                    "kernel_panic",
                    long_ago(),
                ),
                "link_down",
                Samples::flat(0.0, 4).climb(1.0, long),
            ),
            "link_down",
            from(4, onset.as_seconds()),
        )
        .never_until(end),
        last(
            events(case("Prometheus is new, the words are old"), "kernel_panic", from(4, 1.0)),
            "kernel_panic",
            long_ago(),
        )
        .never_until(end),
        last(
            events(
                case("the exporter is away for a while"),
                "kernel_panic",
                Samples::flat(3.0, 4).gap(3).then(3.0, long),
            ),
            "kernel_panic",
            long_ago(),
        )
        .never_until(end),
    ]
}

//! Programs that accept nobody any more, and hosts that can't be reached.
//!
//! Incidents: the terminal whose accept queue rotted on devvm, and the health gate of hemma's runbook.

use flatline_catalog::reachability as net;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, Range, by, resets, select};

const ROTTING: &str = "AcceptQueueRotting";
const GATE: &str = "HealthGateFailing";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "reachability",
        records: Vec::new(),
        alerts: vec![rotting(config), gate(config)],
        cases: [rotting_cases(config), gate_cases(config)].concat(),
        test_stride: 1,
        columns: vec![Column {
            title: "Health gate",
            expr: by("min", &["instance"], select(&net::GATE).chosen()),
            scale: Scale::State { good: "passes", bad: "fails" },
        }],
        graphs: vec![
            Graph {
                title: "Connections nobody accepts",
                description: "Connections that wait in each listening socket's accept queue. A program that works takes them at once; a line that only rises, or stays at its limit, is one that accepts nobody.",
                expr: Expr::from(select(&net::LISTEN_BACKLOG).chosen()).above(0.0),
                legend: "{instance} {address}:{port}",
                scale: Scale::Amount,
            },
            Graph {
                title: "Parts of the health gate",
                description: "1 while the part passes, 0 while it fails: a default route, its link, its gateway, the ports that must listen.",
                expr: select(&net::GATE_PART).chosen().into(),
                legend: "{instance} {part}",
                scale: Scale::State { good: "passes", bad: "fails" },
            },
        ],
    }
}

fn rotting(config: &Config) -> Alert {
    let window = Range::Fixed(config.reachability.rotting_window);
    let never_fell = resets(select(&net::LISTEN_BACKLOG), window).equals(0.0);
    Alert {
        name: ROTTING,
        severity: Severity::Warning,
        expr: Expr::from(select(&net::LISTEN_BACKLOG))
            .above(0.0)
            .and(Matching::All, never_fell.note("whoever accepts now and then is slow, not dead")),
        hold: config.reachability.rotting_for,
        summary: "Nobody accepts connections to {address} port {port} on {instance}",
        meaning: "Connections are open, wait to be accepted, and nobody has accepted one for minutes: the program that listens is stuck, starved or suspended, while its port looks open to every check that only connects. Once the queue is full (flatline_listen_backlog_limit) clients hang. flatline_listen_owner_info says whose port it is.",
        first: "see what the program waits for before you restart it: `ss -ltnp 'sport = :{port}'`, then `cat /proc/PID/wchan` and `cat /sys/fs/cgroup$(cut -d: -f3 /proc/PID/cgroup)/memory.pressure`.",
        incident: "devvm memcg livelock, 2026-07-02: the terminal's event loop starved and its accept queue rotted, 53 minutes",
    }
}

fn gate(config: &Config) -> Alert {
    Alert {
        name: GATE,
        severity: Severity::Page,
        expr: Expr::from(select(&net::GATE_PART)).equals(0.0),
        hold: config.reachability.gate_for,
        summary: "{instance} fails the health gate: {part}",
        meaning: "Something that must hold for the host to be reached has stopped to hold: there is no default route (default_route), its link passes nothing (link), the gateway is silent (gateway), or a port that must listen, such as sshd's, does not (listening). A health-gated watchdog resets the host for the same reason. This alert arrives only where Prometheus has another way to the host.",
        first: "`ip route`, `ip -br link`, `ip neigh`, `ss -ltn` on the host, over its console if need be: which of them went, and when (`journalctl -b -u NetworkManager -u systemd-networkd -u ssh`).",
        incident: "hemma's runbook: the gate whose failure lets the hardware watchdog reset the host",
    }
}

const TARGET: (&str, &str) = ("flatline", "devvm:10120");
const PLACE: [(&str, &str); 2] = [("address", "127.0.0.1"), ("port", "3000")];
const ROTS: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), PLACE[0], PLACE[1]]];
const FAILS: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("part", "gateway")]];

fn rotting_cases(config: &Config) -> Vec<Case> {
    let (step, hold, window) =
        (config.scrape_interval, config.reachability.rotting_for, config.reachability.rotting_window);
    let (steps, seen) = (hold.steps(step), window.steps(step));
    let long = steps + seen * 3 + 16;
    let case = |name| Case::new(config, ROTTING, name);
    let on_port = |case: Case, port, samples| {
        let labels = [(&net::ADDRESS, PLACE[0].1), (&net::PORT, port)];
        case.series(&net::LISTEN_BACKLOG, TARGET, &labels, samples)
    };
    let queue = |case, samples| on_port(case, PLACE[1].1, samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        queue(
            case("it fills up to its limit, then somebody kills the hog"),
            Samples::flat(0.0, 4).then(1.0, 2).then(7.0, steps / 2).then(129.0, steps + 8).then(0.0, 4),
        )
        .fires_from(step * 4 + hold, ROTS)
        .quiet(step * (4 + 2 + steps / 2 + steps + 8)),
        queue(case("one client waits for ever"), Samples::flat(0.0, 4).then(1.0, long))
            .fires_from(step * 4 + hold, ROTS),
        queue(case("it fell long before"), Samples::flat(5.0, 2).then(0.0, 1).then(3.0, long))
            // The fall leaves the window `window` after the sample that fell.
            .quiet(step * 3 + hold)
            .fires(step * 2 + window + step + hold, ROTS),
        on_port(
            queue(case("another port's queue moves"), Samples::flat(2.0, long)),
            "443",
            (0..long / 2).fold(Samples::default(), |samples, _| samples.then(3.0, 1).then(1.0, 1)),
        )
        .fires_from(hold, ROTS),
        never(queue(
            case("busy: looked at, somebody always waits, and is accepted"),
            (0..long / 4).fold(Samples::default(), |samples, _| samples.then(1.0, 1).then(4.0, 1).then(2.0, 2)),
        )),
        never(queue(
            case("accepted now and then"),
            (0..long / seen + 1).fold(Samples::default(), |samples, _| samples.then(9.0, seen - 1).then(8.0, 1)),
        )),
        never(queue(case("a burst that ends in time"), Samples::flat(0.0, 4).then(50.0, steps).then(0.0, long))),
        never(queue(case("idle"), Samples::flat(0.0, long))),
        never(case("nothing listens").up(TARGET, Samples::flat(1.0, long))),
    ]
}

fn gate_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.reachability.gate_for);
    let (steps, long) = (hold.steps(step), hold.steps(step) + 12);
    let case = |name| Case::new(config, GATE, name);
    let part = |case: Case, part, samples| case.series(&net::GATE_PART, TARGET, &[(&net::PART, part)], samples);
    let gateway = |case, samples| part(case, "gateway", samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        part(
            gateway(case("the gateway dies and comes back"), Samples::flat(1.0, 4).then(0.0, long).then(1.0, 4)),
            "link",
            Samples::flat(1.0, long + 8),
        )
        .fires_from(step * (4 + steps), FAILS)
        .quiet(step * (long + 4)),
        never(gateway(case("a router that restarts"), Samples::flat(1.0, 4).then(0.0, steps).then(1.0, 12))),
        never(gateway(case("everything passes"), Samples::flat(1.0, long))),
        never(case("nothing can be judged").up(TARGET, Samples::flat(1.0, long))),
    ]
}

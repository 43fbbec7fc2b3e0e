//! What is asked over the network, and the certificates seen on the way.

use flatline_catalog::probes;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, select, since};
use crate::span::Span;

const FAILING: &str = "ProbeFailing";
const EXPIRING: &str = "CertificateExpiring";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "probes",
        records: Vec::new(),
        alerts: vec![failing(config), expiring(config)],
        cases: [failing_cases(config), expiring_cases(config)].concat(),
        test_stride: 1,
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "Probes that fail",
            description: "1 while a probe gets a good answer, 0 while it does not. Why it fails is in flatline_probe_failures_total.",
            expr: select(&probes::SUCCESS).chosen().into(),
            legend: "{probe} from {instance}",
            scale: Scale::State { good: "answers", bad: "fails" },
        }],
    }
}

fn failing(config: &Config) -> Alert {
    Alert {
        name: FAILING,
        severity: Severity::Warning,
        expr: Expr::from(select(&probes::SUCCESS)).equals(0.0),
        hold: config.probes.failing_for,
        summary: "{probe} does not answer {instance} as it should",
        meaning: "Probe after probe fails: no connection, no answer in time, the wrong status or body, or a certificate that is not to be trusted. flatline_probe_failures_total says which of these, flatline_probe_info whom it asks. Both the target and the way to it may be to blame.",
        first: "ask it yourself from {instance} with `curl -v --noproxy '*' --max-time 5 URL`, and from another host: is it the target or the way?",
        incident: "hemma: llama-server whose process ran and whose port was open, while the GPU behind it was gone",
    }
}

fn expiring(config: &Config) -> Alert {
    Alert {
        name: EXPIRING,
        severity: Severity::Warning,
        expr: since(select(&probes::EXPIRY)).above(-config.probes.certificate_within.as_seconds()),
        hold: Span::ZERO,
        summary: "The certificate of {probe} ends soon, or has ended",
        meaning: "The certificate that the target shows to {instance} ends within the time in which it should long have been renewed. After its end nobody who checks it can connect.",
        first: "see what renews it (`systemctl list-timers`, certbot, acme.sh, pvenode) and why it has not; a renewed certificate must also be loaded by the server.",
        incident: "every certificate whose renewal failed in silence until the morning nobody could log in",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const PROBE: &str = "llama";
const FIRING: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("probe", PROBE)]];

fn failing_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.probes.failing_for);
    let long = hold.steps(step) + 12;
    let case = |name| Case::new(config, FAILING, name);
    let success = |case: Case, samples| case.series(&probes::SUCCESS, TARGET, &[(&probes::PROBE, PROBE)], samples);
    vec![
        success(case("it answered, then no more"), Samples::flat(1.0, 4).then(0.0, long).then(1.0, 4))
            .fires_from(step * 4 + hold, FIRING)
            .quiet(step * (long + 4)),
        success(case("it answers"), Samples::flat(1.0, long)).never_until(step * long),
        success(case("it is back in time"), Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 12))
            .never_until(step * long),
        case("nothing is probed").up(TARGET, Samples::flat(1.0, long)).never_until(step * long),
    ]
}

fn expiring_cases(config: &Config) -> Vec<Case> {
    let (step, within) = (config.scrape_interval, config.probes.certificate_within.as_seconds());
    let case = |name| Case::new(config, EXPIRING, name);
    // Test time begins at 0.
    let ends = |case: Case, at: f64, count| {
        case.series(&probes::EXPIRY, TARGET, &[(&probes::PROBE, PROBE)], Samples::flat(at, count))
    };
    vec![
        ends(case("it comes near"), within + (step * 3).as_seconds(), 8)
            .quiet(step * 3)
            .fires(step * 4, FIRING)
            .fires(step * 7, FIRING),
        ends(case("it ends in a few days"), within * 0.7, 8).fires(Span::ZERO, FIRING),
        ends(case("it has ended"), -3600.0, 8).fires(Span::ZERO, FIRING),
        ends(case("it holds for longer"), within * 1.5, 8).never_until(step * 7),
        case("no certificate has been seen").up(TARGET, Samples::flat(1.0, 8)).never_until(step * 7),
    ]
}

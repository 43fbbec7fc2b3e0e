//! What changed with the last boot. Incident: hemma came up with another kernel, and its GPU's driver failed.

use flatline_catalog::{boots, host_facts};

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, select};
use crate::span::Span;

const CHANGED: &str = "KernelOrDriverChanged";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "host_facts",
        records: Vec::new(),
        alerts: vec![changed(config)],
        cases: changed_cases(config),
        test_stride: 1,
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "Changed with the last boot",
            description: "How many versions of each kind are other than in the boot before: kernel, drivers, firmware, microcode. flatline_host_fact_change_info says which.",
            expr: select(&host_facts::CHANGED).chosen().into(),
            legend: "{instance} {fact}",
            scale: Scale::Amount,
        }],
    }
}

fn changed(config: &Config) -> Alert {
    let facts = [&host_facts::FACT, &host_facts::NAME, &host_facts::VALUE, &host_facts::BEFORE];
    Alert {
        name: CHANGED,
        severity: Severity::Info,
        expr: Expr::from(select(&host_facts::CHANGE))
            .unless(Matching::ignoring(&facts), super::boots::up_for_long(config)),
        hold: Span::ZERO,
        summary: "{instance} now has {fact} {name} {value}; before this boot it was {before}",
        meaning: "This boot runs on another kernel, driver, firmware or microcode than the one before. Nothing is wrong by itself; drivers built for the old kernel may be missing, and what goes wrong from now on may be its doing.",
        first: "was it meant? If not, see which update brought it, and whether out-of-tree drivers (`dkms status`) were built for this kernel.",
        incident: "hemma, 2026-01-06 11:46: another kernel, and the GPU's driver failed with error -22",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");

fn changed_cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let news = config.boots.recent.steps(step);
    let case = |name| Case::new(config, CHANGED, name);
    let labels = [
        (&host_facts::FACT, "kernel"),
        (&host_facts::NAME, "release"),
        (&host_facts::VALUE, "6.8.0-90-generic"),
        (&host_facts::BEFORE, "6.14.0-37-generic"),
    ];
    let change = |case: Case| case.series(&host_facts::CHANGE, TARGET, &labels, Samples::flat(1.0, news + 8));
    let booted = |case: Case, share| {
        let at = super::boots::booted(config, share);
        case.series(&boots::BOOT_TIME, TARGET, &[], Samples::flat(at, news + 8))
    };
    let [(_, fact), (_, name), (_, value), (_, before)] = labels;
    let [job, instance] = [("job", TARGET.0), ("instance", TARGET.1)];
    let firing: &[&[(&str, &str)]] =
        &[&[job, instance, ("fact", fact), ("name", name), ("value", value), ("before", before)]];
    vec![
        booted(change(case("another kernel a while ago")), 0.9)
            .fires(Span::ZERO, firing)
            .quiet(step * news.div_ceil(10)),
        booted(change(case("another kernel, just now")), 0.0).fires(step * (news - 1), firing).quiet(step * news),
        change(case("another kernel, when it booted is not known")).fires(step, firing),
        booted(change(case("another kernel, and no news")), 1.5).never_until(step * 7),
        booted(case("the same as before"), 0.0).never_until(step * 7),
    ]
}

//! Drives that say themselves that they are failing, or that lose sectors.

use flatline_catalog::drives;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, select};
use crate::span::Span;

const FAILING: &str = "DriveFailing";
/// Warnings of an NVMe drive that is at its end. One that is too hot is not.
const AT_ITS_END: &str = "spare_low|unreliable|read_only";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "drives",
        records: Vec::new(),
        alerts: vec![failing()],
        cases: cases(config),
        test_stride: 1,
        columns: Vec::new(),
        graphs: vec![
            Graph {
                title: "The drives' own verdict",
                description: "What each drive says of its own health. A drive that says failing has little time left; one that says nothing has not been asked or does not answer.",
                expr: select(&drives::SMART_HEALTHY).chosen().into(),
                legend: "{instance} {device}",
                scale: Scale::State { good: "healthy", bad: "failing" },
            },
            Graph {
                title: "Sectors that can't be read",
                description: "Sectors each drive could not read and waits to be written anew. Any growth is a reason to look at the backups.",
                expr: select(&drives::PENDING).chosen().into(),
                legend: "{instance} {device}",
                scale: Scale::Count(1.0),
            },
        ],
    }
}

fn failing() -> Alert {
    let count = |family| Expr::from(select(family)).above(0.0);
    Alert {
        name: FAILING,
        severity: Severity::Warning,
        expr: Expr::from(select(&drives::SMART_HEALTHY))
            .equals(0.0)
            .note("the drive itself says that it is failing")
            .or(count(&drives::PENDING).note("or sectors can't be read"))
            .or(count(&drives::UNCORRECTABLE).note("or its own test has found such"))
            .or(Expr::from(select(&drives::CRITICAL_WARNING).like(&drives::WARNING, AT_ITS_END))
                .equals(1.0)
                .note("or an NVMe drive is at its end")),
        hold: Span::ZERO,
        summary: "Drive {device} of {instance} is failing: check the backup, then replace it",
        meaning: "The drive says itself that it is failing, or there are sectors on it that it can't read, or its spare blocks are used up. What fails next are reads, then the file system, then whatever waits for them.",
        first: "check that the backup is good before anything else. Then `smartctl -x /dev/{device}`, and order a replacement.",
        incident: "the class of faults in which a machine answers and can't keep anything",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");

fn cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let case = |name: &str| Case::new(config, FAILING, name);
    let of = |case: Case, family, device, samples| case.series(family, TARGET, &[(&drives::DEVICE, device)], samples);
    let warning = |case: Case, warning, samples| {
        case.series(
            &drives::CRITICAL_WARNING,
            TARGET,
            &[(&drives::DEVICE, "nvme0"), (&drives::WARNING, warning)],
            samples,
        )
    };
    let firing =
        |device| -> [(&'static str, &str); 3] { [("job", TARGET.0), ("instance", TARGET.1), ("device", device)] };
    let flat = |value| Samples::flat(value, 8);
    let mut cases = vec![
        of(
            of(
                case("one of two drives fails, and is replaced"),
                &drives::SMART_HEALTHY,
                "sda",
                Samples::flat(1.0, 4).then(0.0, 4).then(1.0, 4),
            ),
            &drives::SMART_HEALTHY,
            "sdb",
            Samples::flat(1.0, 12),
        )
        .fires_from(step * 4, &[&firing("sda")])
        .quiet(step * 8),
        of(case("sectors can't be read"), &drives::PENDING, "sda", Samples::flat(0.0, 4).then(1.0, 4))
            .fires_from(step * 4, &[&firing("sda")]),
        of(
            case("the drive's test has found bad sectors"),
            &drives::UNCORRECTABLE,
            "sda",
            Samples::flat(0.0, 4).then(3.0, 4),
        )
        .fires_from(step * 4, &[&firing("sda")]),
        warning(case("an NVMe drive is too hot"), "temperature", flat(1.0)).never_until(step * 7),
        of(
            of(
                of(case("a healthy drive with some sectors replaced"), &drives::SMART_HEALTHY, "sda", flat(1.0)),
                &drives::PENDING,
                "sda",
                flat(0.0),
            ),
            &drives::REALLOCATED,
            "sda",
            flat(8.0),
        )
        .never_until(step * 7),
        case("nothing is asked").up(TARGET, flat(1.0)).never_until(step * 7),
    ];
    for name in AT_ITS_END.split('|') {
        let labels = [("job", TARGET.0), ("instance", TARGET.1), ("device", "nvme0"), ("warning", name)];
        let told = case(&format!("an NVMe drive warns: {name}"));
        cases.push(warning(told, name, Samples::flat(0.0, 4).then(1.0, 4)).fires_from(step * 4, &[&labels]));
    }
    cases
}

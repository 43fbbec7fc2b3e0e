//! Faults the kernel counts itself. No alerts of its own yet; the overview shows it.

use flatline_catalog::kernel_faults;

use crate::model::{Column, Graph, Scale, Signal};
use crate::promql::{Range, by, increase, select};
use crate::span::Span;

pub(super) fn signal() -> Signal {
    let faults = || select(&kernel_faults::FAULTS).chosen();
    Signal {
        name: "kernel_faults",
        records: Vec::new(),
        alerts: Vec::new(),
        cases: Vec::new(),
        test_stride: 1,
        columns: vec![Column {
            title: "Faults 24h",
            expr: by("sum", &["instance"], increase(faults(), Range::Fixed(Span::hours(24)))),
            scale: Scale::Count(1.0),
        }],
        graphs: vec![Graph {
            title: "Kernel faults",
            description: "Oopses, warnings, stalls, lockups, hung tasks and OOM kills within the hour before, as the kernel counts them. Any of them deserves a look at the kernel log of that minute.",
            expr: increase(faults(), Range::Fixed(Span::hours(1))),
            legend: "{instance} {kind}",
            scale: Scale::Count(1.0),
        }],
    }
}

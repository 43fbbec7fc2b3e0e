//! The host's pressure stall information. No alerts of its own yet; the overview shows it.

use flatline_catalog::pressure;

use crate::model::{Column, Graph, Scale, Signal};
use crate::promql::{Range, Select, by, rate, select};

pub(super) fn signal() -> Signal {
    let waiting = || select(&pressure::WAITING_SECONDS).chosen();
    let column = |title, resource| Column {
        title,
        expr: by("max", &["instance"], rate(Select::with(waiting(), &pressure::RESOURCE, resource), Range::Panel)),
        scale: Scale::Share(0.2, 0.6),
    };
    let graph = |title, description, family| Graph {
        title,
        description,
        expr: rate(select(family).chosen(), Range::Panel),
        legend: "{instance} {resource}",
        scale: Scale::Share(0.2, 0.6),
    };
    Signal {
        name: "pressure",
        records: Vec::new(),
        alerts: Vec::new(),
        cases: Vec::new(),
        test_stride: 1,
        columns: vec![column("Mem. wait", "memory"), column("Disk wait", "io")],
        graphs: vec![
            graph(
                "Somebody waits",
                "Share of time in which at least one task of the host waited for the resource (PSI some). Some waiting is normal; near 100 % somebody always waits.",
                &pressure::WAITING_SECONDS,
            ),
            graph(
                "Everybody waits",
                "Share of time in which all tasks with something to do waited at once (PSI full). Near 100 % the host does no work at all, however alive it looks.",
                &pressure::STALLED_SECONDS,
            ),
        ],
    }
}

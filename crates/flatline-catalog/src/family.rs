//! What a metric family is.

/// One metric family: everything the exposition, the rules and the documentation say about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The name as PromQL sees it: counters with `_total`, infos with `_info`.
    pub name: &'static str,
    /// Counter, gauge or info.
    pub kind: Kind,
    /// The base unit, [`Unit::None`] for counts, flags and ratios without one.
    pub unit: Unit,
    /// One sentence an operator understands at 3 a.m.; no newline, backslash or quote.
    pub help: &'static str,
    /// The label names in the order samples give their values.
    pub labels: &'static [Label],
}

impl Family {
    pub(crate) const fn counter(name: &'static str, unit: Unit, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit, help, labels }
    }

    pub(crate) const fn gauge(name: &'static str, unit: Unit, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit, help, labels }
    }

    pub(crate) const fn info(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Kind::Info, unit: Unit::None, help, labels }
    }

    pub(crate) const fn histogram(
        name: &'static str,
        unit: Unit,
        labels: &'static [Label],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram, unit, help, labels }
    }

    /// The OpenMetrics family name: [`Family::name`] without `_total` or `_info`.
    #[must_use]
    pub fn base_name(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    /// Whether samples of this family carry the label.
    #[must_use]
    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.name == name)
    }
}

/// The type of a family.
///
/// OpenMetrics state sets are gauges here, one sample per state with the value 0 or 1: that is how every
/// Prometheus exporter shows them, and neither Prometheus nor `prometheus-client` knows the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, except when what it counts starts anew (a boot, a new cgroup of the same name).
    Counter,
    /// Goes up and down.
    Gauge,
    /// Constant 1; the labels are the information.
    Info,
    /// How often something took how long: PromQL sees `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// Prometheus base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count, a flag, or a family whose name cannot end in its unit.
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Memory pages (4 KiB on most machines).
    Pages,
}

impl Unit {
    /// The word OpenMetrics uses, if the family has a unit.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Seconds => Some("seconds"),
            Self::Bytes => Some("bytes"),
            Self::Pages => Some("pages"),
        }
    }
}

/// A label name and what keeps the number of its values finite.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// The label name.
    pub name: &'static str,
    /// What bounds its values: the listed values, or the cap that applies.
    pub bound: &'static str,
}

impl Label {
    pub(crate) const fn new(name: &'static str, bound: &'static str) -> Self {
        Self { name, bound }
    }
}

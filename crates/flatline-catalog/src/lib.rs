//! Every metric family Flatline exports, declared once: name, type, unit, help, labels and their bound.
//!
//! The exporter emits only families declared here and the rules may only query families declared here,
//! so a rule that names a metric or label nobody exports fails a unit test instead of staying silent.
//! One module per signal; a module lists its families in `FAMILIES`, and [`all`] joins them.
//! No I/O and no dependencies.

mod family;

pub mod boots;
pub mod crash_capture;
pub mod drives;
pub mod exporter;
pub mod gpu;
pub mod host_facts;
pub mod journal;
pub mod kernel_faults;
pub mod kernel_log;
pub mod memcg;
pub mod mounts;
pub mod netconsole;
pub mod pressure;
pub mod probes;
pub mod reachability;
pub mod tasks;
pub mod vm;
pub mod watchdog;

pub use family::{Family, Kind, Label, Unit};

/// The families of every signal, signal by signal, in the order of the documentation.
pub const SIGNALS: &[(&str, &[&Family])] = &[
    ("pressure", pressure::FAMILIES),
    ("memcg", memcg::FAMILIES),
    ("vm", vm::FAMILIES),
    ("tasks", tasks::FAMILIES),
    ("gpu", gpu::FAMILIES),
    ("watchdog", watchdog::FAMILIES),
    ("kernel_faults", kernel_faults::FAMILIES),
    ("crash_capture", crash_capture::FAMILIES),
    ("mounts", mounts::FAMILIES),
    ("drives", drives::FAMILIES),
    ("kernel_log", kernel_log::FAMILIES),
    ("journal", journal::FAMILIES),
    ("netconsole", netconsole::FAMILIES),
    ("boots", boots::FAMILIES),
    ("host_facts", host_facts::FAMILIES),
    ("probes", probes::FAMILIES),
    ("reachability", reachability::FAMILIES),
    ("exporter", exporter::FAMILIES),
];

/// Every family, in the order of [`SIGNALS`].
pub fn all() -> impl Iterator<Item = &'static Family> {
    SIGNALS.iter().flat_map(|(_, families)| families.iter().copied())
}

/// Finds a family by the name PromQL uses (`_total` and `_info` included).
#[must_use]
pub fn find(name: &str) -> Option<&'static Family> {
    all().find(|family| family.name == name)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Unit, all};
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_legal() {
        let mut seen = HashSet::new();
        for family in all() {
            assert!(seen.insert(family.name), "{} is declared twice", family.name);
            assert!(
                family.name.starts_with("flatline_") || family.name.starts_with("process_"),
                "{} lacks the prefix",
                family.name
            );
            assert!(
                family.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{} has an illegal character",
                family.name
            );
        }
    }

    #[test]
    fn suffixes_follow_the_kind() {
        for family in all() {
            let name = family.name;
            assert_eq!(family.kind == Kind::Counter, name.ends_with("_total"), "{name}: counters end in _total");
            assert_eq!(family.kind == Kind::Info, name.ends_with("_info"), "{name}: infos end in _info");
        }
    }

    #[test]
    fn openmetrics_names_end_in_their_unit() {
        for family in all() {
            if let Some(unit) = family.unit.as_str() {
                assert!(
                    family.base_name().ends_with(&format!("_{unit}")),
                    "{}: OpenMetrics wants the unit `{unit}` at the end of the name",
                    family.name
                );
            }
            assert!(!(family.kind == Kind::Info && family.unit != Unit::None), "{}: infos have no unit", family.name);
        }
    }

    /// `prometheus-client` writes help texts raw: one newline breaks the whole scrape.
    #[test]
    fn help_texts_are_one_line_and_say_something() {
        for family in all() {
            assert!(family.help.len() > 20, "{}: help is too short to help", family.name);
            assert!(
                !family.help.contains(['\n', '\r', '\\', '"']),
                "{}: help holds a character that needs escaping",
                family.name
            );
            assert!(family.help.ends_with('.'), "{}: help is a sentence", family.name);
        }
    }

    #[test]
    fn labels_are_legal_and_bounded() {
        for family in all() {
            for label in family.labels {
                assert!(!label.bound.is_empty(), "{}: label {} has no stated bound", family.name, label.name);
                assert!(!label.name.starts_with("__") && !["le", "quantile", "job", "instance"].contains(&label.name));
            }
        }
    }
}

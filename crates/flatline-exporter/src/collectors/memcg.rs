//! Memory cgroups: who is throttled, who waits, who was killed, and whose limits can only end in a livelock.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use crate::flags::value;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use flatline_catalog::{Family, memcg as catalog};
use flatline_sources::SourceError;
use flatline_sources::memcg::{self as source, Cgroup, Events, Filter, Mode, Options, V1Cgroup};
use flatline_sources::psi::Psi;
use flatline_sources::value::Limit;
use std::fmt;
use std::sync::Arc;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "memcg",
    help: "Memory of every cgroup: throttled, waiting, killed, and limits that can only end in a livelock.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const INCLUDE: &str = "collector.memcg.include";
const EXCLUDE: &str = "collector.memcg.exclude";
const MAX_DEPTH: &str = "collector.memcg.max-depth";
const MAX_SERIES: &str = "collector.memcg.max-series";
const MAX_HELD_FILES: &str = "collector.memcg.max-held-files";

fn flags() -> Vec<Arg> {
    let pattern = |name, help| value(name, "GLOB", help).action(ArgAction::Append).value_parser(checked_pattern);
    vec![
        pattern(
            INCLUDE,
            "Look only at cgroups whose path (/system.slice/cron.service) matches; ** crosses levels; repeatable",
        ),
        pattern(EXCLUDE, "Leave out cgroups whose path matches; repeatable"),
        value(MAX_DEPTH, "N", "Levels below the root that are looked at")
            .default_value("8")
            .value_parser(value_parser!(u32).range(0..=i64::from(Options::DEPTH_BOUND))),
        value(MAX_SERIES, "N", "Series before the deepest and idlest cgroups are left out and counted")
            .default_value("200000")
            .value_parser(value_parser!(u64)),
        value(MAX_HELD_FILES, "N", "Files held open between scrapes; each costs about 4 KiB of kernel memory")
            .default_value("16384")
            .value_parser(value_parser!(usize)),
    ]
}

fn checked_pattern(pattern: &str) -> Result<String, String> {
    Filter::new(&[pattern], &[]).map(|_| pattern.to_owned()).map_err(|error| error.detail)
}

fn options(flags: &ArgMatches, fd_budget: usize) -> Result<Options, String> {
    let patterns = |name| flags.get_many::<String>(name).into_iter().flatten().collect::<Vec<_>>();
    let filter =
        Filter::new(&patterns(INCLUDE), &patterns(EXCLUDE)).map_err(|error| format!("cgroup pattern {error}"))?;
    let defaults = Options::default();
    Ok(Options {
        filter,
        max_depth: flags.get_one(MAX_DEPTH).copied().unwrap_or(defaults.max_depth),
        max_series: flags.get_one(MAX_SERIES).copied().unwrap_or(defaults.max_series),
        max_held_files: flags.get_one(MAX_HELD_FILES).copied().unwrap_or(defaults.max_held_files).min(fd_budget),
    })
}

fn init(environment: &Environment) -> Init {
    let options = match options(&environment.flags, environment.fd_budget) {
        Ok(options) => options,
        Err(reason) => return Init::Failed(reason),
    };
    source::Reader::probe(&environment.roots, &options)
        .map(|reader| Memcg { reader, readings: Recycler::default() })
        .into()
}

struct Memcg {
    reader: source::Reader,
    readings: Recycler<source::Reading>,
}

impl Collector for Memcg {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        self.readings.fill(|reading| self.reader.read(reading, &mut |fault| faults.report(fault)))
    }
}

impl Reading for source::Reading {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        emit_pressure(&self.cgroups, out)?;
        emit_events(&catalog::EVENTS, &self.cgroups, |cgroup| cgroup.events.as_ref(), out)?;
        emit_events(&catalog::LOCAL_EVENTS, &self.cgroups, |cgroup| cgroup.local_events.as_ref(), out)?;
        for (family, value) in NUMBERS {
            emit_each(family, &self.cgroups, |cgroup| &cgroup.path, value, out)?;
        }
        emit_refaults(&self.cgroups, out)?;
        for (family, value) in V1_NUMBERS {
            emit_each(family, &self.v1, |cgroup| &cgroup.path, value, out)?;
        }
        emit_host(self, out)
    }

    fn series_dropped(&self) -> u64 {
        self.dropped_series
    }
}

/// A number of a cgroup and the family that shows it.
type Number<C> = (&'static Family, fn(&C) -> Option<u64>);

const NUMBERS: [Number<Cgroup>; 15] = [
    (&catalog::CURRENT_BYTES, |cgroup| cgroup.current),
    (&catalog::SWAP_CURRENT_BYTES, |cgroup| cgroup.swap_current),
    (&catalog::HIGH_BYTES, |cgroup| cgroup.high.and_then(Limit::bytes)),
    (&catalog::MAX_BYTES, |cgroup| cgroup.max.and_then(Limit::bytes)),
    (&catalog::SWAP_MAX_BYTES, |cgroup| cgroup.swap_max.and_then(Limit::bytes)),
    (&catalog::ANON_BYTES, |cgroup| cgroup.stat.anon),
    (&catalog::FILE_BYTES, |cgroup| cgroup.stat.file),
    (&catalog::RECLAIM_SCANNED_PAGES, |cgroup| cgroup.stat.pgscan),
    (&catalog::RECLAIM_RECLAIMED_PAGES, |cgroup| cgroup.stat.pgsteal),
    (&catalog::PIDS, |cgroup| cgroup.pids),
    (&catalog::CHILDREN_MAX_BYTES, |cgroup| cgroup.max_bytes_sum),
    (&catalog::POPULATED, |cgroup| cgroup.populated.map(u64::from)),
    (&catalog::FROZEN, |cgroup| cgroup.frozen.map(u64::from)),
    (&catalog::LIVELOCK_BAND, |cgroup| cgroup.livelock_band.map(u64::from)),
    (&catalog::UNCAPPED, |cgroup| cgroup.uncapped.map(u64::from)),
];

const V1_NUMBERS: [Number<V1Cgroup>; 4] = [
    (&catalog::V1_USAGE_BYTES, |cgroup| cgroup.usage),
    (&catalog::V1_LIMIT_BYTES, |cgroup| cgroup.limit.and_then(Limit::bytes)),
    (&catalog::V1_FAILURES, |cgroup| cgroup.limit_hits),
    (&catalog::V1_OOM_KILLS, |cgroup| cgroup.oom_kills),
];

/// A line of a pressure file and the family that shows it.
type Pressure = (&'static Family, fn(&Psi) -> Option<f64>);

const PRESSURES: [Pressure; 2] =
    [(&catalog::WAITING_SECONDS, Psi::waiting_seconds), (&catalog::STALLED_SECONDS, Psi::stalled_seconds)];

fn emit_each<C>(
    family: &'static Family,
    cgroups: &[C],
    path: fn(&C) -> &str,
    value: fn(&C) -> Option<u64>,
    out: &mut Emitter<'_>,
) -> fmt::Result {
    out.family(family, |samples| {
        cgroups.iter().try_for_each(|cgroup| samples.push_some(&[path(cgroup)], value(cgroup)))
    })
}

fn emit_events(
    family: &'static Family,
    cgroups: &[Cgroup],
    events: fn(&Cgroup) -> Option<&Events>,
    out: &mut Emitter<'_>,
) -> fmt::Result {
    out.family(family, |samples| {
        for cgroup in cgroups {
            for (event, count) in events(cgroup).into_iter().flat_map(Events::counts) {
                samples.push_some(&[&cgroup.path, event], count)?;
            }
        }
        Ok(())
    })
}

fn emit_pressure(cgroups: &[Cgroup], out: &mut Emitter<'_>) -> fmt::Result {
    for (family, line) in PRESSURES {
        out.family(family, |samples| {
            for cgroup in cgroups {
                let resources =
                    [("cpu", cgroup.cpu_pressure), ("io", cgroup.io_pressure), ("memory", cgroup.memory_pressure)];
                for (resource, psi) in resources {
                    samples.push_some(&[&cgroup.path, resource], psi.as_ref().and_then(line))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn emit_refaults(cgroups: &[Cgroup], out: &mut Emitter<'_>) -> fmt::Result {
    out.family(&catalog::REFAULTED_PAGES, |samples| {
        for cgroup in cgroups {
            samples.push_some(&[&cgroup.path, "anon"], cgroup.stat.refault_anon)?;
            samples.push_some(&[&cgroup.path, "file"], cgroup.stat.refault_file)?;
        }
        Ok(())
    })
}

fn emit_host(reading: &source::Reading, out: &mut Emitter<'_>) -> fmt::Result {
    out.single(&catalog::REMOVED, reading.removed_total)?;
    out.single(&catalog::CGROUPS, reading.found)?;
    out.family(&catalog::MODE_STATE, |samples| {
        reading.mode.iter().try_for_each(|current| {
            Mode::ALL.into_iter().try_for_each(|mode| samples.push(&[mode.label()], mode == *current))
        })
    })?;
    out.family(&catalog::HOST_MEMORY_BYTES, |samples| samples.push_some(&[], reading.host_memory_bytes))
}

#[cfg(test)]
mod tests {
    use crate::exposition::{Format, encode};
    use flatline_sources::Roots;
    use flatline_sources::memcg::{Cgroup, Options, Reader, Reading};
    use std::path::Path;
    use std::sync::Arc;

    /// The series cap counts with `Cgroup::series`: it must say what is really written.
    #[test]
    fn the_cap_counts_what_is_written() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/host");
        let mut reader = Reader::probe(&Roots::under(&tree), &Options::default()).present().expect("a v2 tree");
        let mut reading = Reading::default();
        reader.read(&mut reading, &mut |fault| panic!("{fault}")).expect("readable");
        let counted: u32 = reading.cgroups.iter().map(Cgroup::series).sum();
        let mut text = String::new();
        encode(vec![Arc::new(reading)], Format::Text, &mut text).expect("a String takes everything");
        let written = text.lines().filter(|line| line.contains("cgroup=\"") || line.contains("parent=\"")).count();
        assert_eq!(usize::try_from(counted), Ok(written));
    }
}

//! systemd's units and timers.

mod bus;
mod unit;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::exposition::{Emitter, Reading, Value};
use crate::flags::value;
use bus::{Answer, Question, Sockets};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use flatline_catalog::{Family, units as catalog};
use flatline_sources::SourceError;
use flatline_sources::patterns::{GlobSet, of_names};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use unit::{State, Timer, Unit};

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "units",
    help: "systemd's units and timers: what failed, what restarts again and again, which timer has stopped to trigger.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const PATTERNS: &str = "collector.units.patterns";
const EXCLUDE: &str = "collector.units.exclude";
const MAX_UNITS: &str = "collector.units.max-units";
const TIMEOUT: &str = "collector.units.timeout";

/// Units that come and go with sessions and devices.
const EXCLUDED: &[&str] = &[
    "user@*.service",
    "user-runtime-dir@*.service",
    "getty@*.service",
    "serial-getty@*.service",
    "modprobe@*.service",
];

/// Units that have been shown stay shown while systemd has them loaded; of more than these that is not remembered.
const MAX_REMEMBERED: usize = 4096;

fn flags() -> Vec<Arg> {
    vec![
        value(PATTERNS, "UNIT", "Units by name (ssh.service; shown whatever they do) or pattern (*.timer; shown once they do something); repeatable, and replaces the default")
            .action(ArgAction::Append)
            .default_values(["*.service", "*.timer"]),
        value(EXCLUDE, "GLOB", "Units that patterns do not mean; repeatable, and replaces the built-in list")
            .action(ArgAction::Append)
            .default_values(EXCLUDED),
        value(MAX_UNITS, "N", "Units shown; further ones are counted only")
            .default_value("256")
            .value_parser(value_parser!(u16).range(1..)),
        value(TIMEOUT, "DURATION", "How long systemd may take to answer everything")
            .default_value("400ms")
            .value_parser(humantime::parse_duration),
    ]
}

fn question(flags: &ArgMatches) -> Question {
    let given: Vec<String> = flags.get_many::<String>(PATTERNS).into_iter().flatten().cloned().collect();
    let (patterns, names) = given.into_iter().partition(|unit| unit.contains(['*', '?', '[']));
    Question { names, patterns }
}

fn excluded(flags: &ArgMatches) -> Result<GlobSet, String> {
    let patterns: Vec<_> = flags.get_many::<String>(EXCLUDE).into_iter().flatten().collect();
    of_names(&patterns).map_err(|error| format!("--{EXCLUDE}: {error}"))
}

fn init(environment: &Environment) -> Init {
    // sd_booted(3): this directory is systemd's word that it runs the host.
    let booted = environment.roots.rootfs.join("run/systemd/system");
    if !booted.is_dir() {
        return Init::Off(format!("no {}: systemd does not run this host", booted.display()));
    }
    let excluded = match excluded(&environment.flags) {
        Ok(excluded) => excluded,
        Err(reason) => return Init::Failed(reason),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Init::Failed(format!("no event loop: {error}")),
    };
    Init::On(Box::new(Units {
        runtime,
        sockets: Sockets::below(&environment.roots.rootfs),
        question: question(&environment.flags),
        excluded,
        max_units: environment.flags.get_one::<u16>(MAX_UNITS).map_or(256, |most| usize::from(*most)),
        timeout: environment.flags.get_one::<Duration>(TIMEOUT).copied().unwrap_or(Duration::from_millis(400)),
        seen: HashSet::new(),
    }))
}

struct Units {
    runtime: tokio::runtime::Runtime,
    sockets: Sockets,
    question: Question,
    excluded: GlobSet,
    max_units: usize,
    timeout: Duration,
    /// Units that have done something since the exporter started.
    seen: HashSet<String>,
}

impl Collector for Units {
    fn collect(&mut self, _: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let Self { runtime, sockets, question, excluded, max_units, timeout, seen } = self;
        let choose = |name: &str, state: Option<State>| !excluded.is_match(name) && is_shown(seen, name, state);
        let answer = runtime.block_on(async {
            // Everything is awaited, connecting included, so the deadline holds whatever the other end does.
            tokio::time::timeout(*timeout, bus::ask(sockets, question, *max_units, choose)).await
        });
        let failed = |reason: String| SourceError::unanswered(sockets.bus(), reason);
        match answer {
            Ok(Ok(answer)) => Ok(Arc::new(answer)),
            Ok(Err(error)) => Err(failed(format!("systemd can't be asked over D-Bus: {error}"))),
            Err(_) => Err(failed(format!("systemd does not answer over D-Bus within {timeout:?}"))),
        }
    }
}

/// Hundreds of units are loaded and do nothing. One is shown from the first time it does something.
fn is_shown(seen: &mut HashSet<String>, name: &str, state: Option<State>) -> bool {
    if seen.contains(name) || name.ends_with(".timer") {
        return true;
    }
    let busy = state != Some(State::Inactive);
    if busy && seen.len() < MAX_REMEMBERED {
        seen.insert(name.to_owned());
    }
    busy
}

/// A time of a timer and the family that shows it.
type Time = (&'static Family, fn(&Timer) -> Option<Duration>);

impl Reading for Answer {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::SYSTEMD, |samples| {
            self.version.iter().try_for_each(|version| samples.push(&[version], 1_u64))
        })?;
        out.family(&catalog::FAILED, |samples| samples.push_some(&[], self.failed.map(u64::from)))?;
        out.single(&catalog::LEFT_OUT, self.left_out)?;
        out.family(&catalog::STATE_OF_UNIT, |samples| {
            self.units.iter().try_for_each(|unit| {
                let Some(now) = unit.state else { return Ok(()) };
                State::ALL.into_iter().try_for_each(|state| samples.push(&[&unit.name, state.label()], state == now))
            })
        })?;
        out.family(&catalog::INFO, |samples| {
            self.units.iter().try_for_each(|unit| {
                let result = unit.result.as_deref().unwrap_or_default();
                samples.push(&[&unit.name, &unit.load_state, &unit.sub_state, result], 1_u64)
            })
        })?;
        out.family(&catalog::RESTARTS, |samples| {
            self.units.iter().try_for_each(|unit| samples.push_some(&[&unit.name], unit.restarts.map(u64::from)))
        })?;
        self.emit_timers(out)
    }
}

impl Answer {
    fn emit_timers(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let timers = || self.units.iter().filter_map(|unit| Some((unit, unit.timer.as_ref()?)));
        let times: [Time; 2] =
            [(&catalog::LAST_TRIGGER, |timer| timer.last_trigger), (&catalog::DUE, |timer| timer.due)];
        for (family, time) in times {
            out.family(family, |samples| {
                timers().try_for_each(|(unit, timer)| samples.push_some(&[&unit.name], time(timer).map(Value::from)))
            })?;
        }
        out.family(&catalog::RUNNING, |samples| {
            let active = |unit: &Unit| unit.state == Some(State::Active);
            let mut timers = timers().filter(|(unit, _)| active(unit));
            timers
                .try_for_each(|(unit, timer)| samples.push(&[&unit.name], timer.recurs && unit.sub_state == "running"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_are_told_apart() {
        let parsed = |arguments: &[&str]| {
            let command = clap::Command::new("test").no_binary_name(true).args(flags());
            command.try_get_matches_from(arguments).expect("flags")
        };
        let asked =
            question(&parsed(&["--collector.units.patterns=ssh.service", "--collector.units.patterns=a*.timer"]));
        assert_eq!((asked.names, asked.patterns), (vec!["ssh.service".to_owned()], vec!["a*.timer".to_owned()]));
        assert_eq!(question(&parsed(&[])).patterns, ["*.service", "*.timer"]);
        assert!(excluded(&parsed(&[])).expect("patterns").is_match("user@1000.service"));
        assert!(excluded(&parsed(&["--collector.units.exclude=[a"])).expect_err("malformed").contains("`[a`"));
    }

    #[test]
    fn a_unit_is_shown_from_the_first_time_it_does_something() {
        let mut seen = HashSet::new();
        let mut shown = |name, state| is_shown(&mut seen, name, Some(state));
        assert!(!shown("app.service", State::Inactive));
        assert!(shown("app.service", State::Active));
        assert!(shown("app.service", State::Inactive), "stopped, and that is news");
        assert!(shown("broken.service", State::Failed));
        assert!(shown("idle.timer", State::Inactive));
    }
}

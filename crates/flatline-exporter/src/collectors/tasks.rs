//! Tasks stuck in the kernel: how many, in which function, and for how long.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use crate::flags::value;
use clap::{Arg, ArgMatches, value_parser};
use flatline_catalog::tasks as catalog;
use flatline_sources::SourceError;
use flatline_sources::tasks::{self as source, Options};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "tasks",
    help: "Tasks stuck in the kernel (D), threads included: in which function, and for how long.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const MAX_WCHANS: &str = "collector.tasks.max-wchans";
const MAX_TASKS: &str = "collector.tasks.max-tasks";
const MAX_DURATION: &str = "collector.tasks.max-duration";

fn flags() -> Vec<Arg> {
    vec![
        value(MAX_WCHANS, "N", "Kernel functions shown by name; tasks blocked in further ones are shown as other")
            .default_value("20")
            .value_parser(value_parser!(u16)),
        value(MAX_TASKS, "N", "Processes and threads looked at; further ones are counted only")
            .default_value("50000")
            .value_parser(value_parser!(u32).range(1..)),
        value(MAX_DURATION, "DURATION", "How long a scrape looks at tasks; a larger host is gone through in several")
            .default_value("200ms")
            .value_parser(humantime::parse_duration),
    ]
}

fn options(flags: &ArgMatches) -> Options {
    let defaults = Options::default();
    let max_tasks = flags.get_one::<u32>(MAX_TASKS).and_then(|max| usize::try_from(*max).ok());
    Options {
        max_tasks: max_tasks.unwrap_or(defaults.max_tasks),
        max_wchans: flags.get_one::<u16>(MAX_WCHANS).map_or(defaults.max_wchans, |max| usize::from(*max)),
        max_duration: flags.get_one::<Duration>(MAX_DURATION).copied().unwrap_or(defaults.max_duration),
    }
}

fn init(environment: &Environment) -> Init {
    source::Reader::probe(&environment.roots, &options(&environment.flags))
        .map(|reader| Tasks { reader, readings: Recycler::default() })
        .into()
}

struct Tasks {
    reader: source::Reader,
    readings: Recycler<source::Reading>,
}

impl Collector for Tasks {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        self.readings.fill(|reading| self.reader.read(reading, &mut |fault| faults.report(fault)))
    }
}

impl Reading for source::Reading {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        // Half a sweep would look like a host with fewer blocked tasks.
        let Some(age) = self.age else { return Ok(()) };
        out.family(&catalog::BLOCKED, |samples| {
            self.channels.iter().try_for_each(|channel| samples.push(&[&channel.wchan], channel.tasks))
        })?;
        out.family(&catalog::BLOCKED_OLDEST_SECONDS, |samples| {
            self.channels.iter().try_for_each(|channel| samples.push_some(&[&channel.wchan], channel.oldest))
        })?;
        out.family(&catalog::TASKS, |samples| {
            self.states().try_for_each(|(state, tasks)| samples.push(&[state.label()], tasks))
        })?;
        out.family(&catalog::WCHAN_READABLE, |samples| samples.push_some(&[], self.wchan_readable))?;
        out.single(&catalog::PROCESSES_VISIBLE, self.processes_visible)?;
        out.single(&catalog::SCANNED, self.scanned)?;
        out.family(&catalog::LEFT_OUT, |samples| {
            samples.push(&["bound"], self.beyond_bound)?;
            samples.push(&["unreadable"], self.unreadable)
        })?;
        out.single(&catalog::SWEEP_AGE_SECONDS, age)
    }
}

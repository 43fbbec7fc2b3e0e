//! Drives: their own verdict about themselves, asked now and then through smartctl, and their temperature.

mod asker;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::errands::Errands;
use crate::exposition::{Emitter, Reading, Value};
use crate::flags::{path, value};
use asker::{Asker, Known, Options, State};
use clap::Arg;
use flatline_catalog::{Family, drives as catalog};
use flatline_sources::drives::{self as source, Report, Temperature, Thermometer};
use flatline_sources::{Roots, SourceError};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "drives",
    help: "Drives: their SMART verdict and counters through smartctl, once an hour, and their temperature. Off by default.",
    activation: Activation::Off,
    families: catalog::FAMILIES,
    flags,
    init,
};

const PROGRAM: &str = "collector.drives.program";
const INTERVAL: &str = "collector.drives.interval";
const TIMEOUT: &str = "collector.drives.timeout";
/// How long a scrape waits for temperatures.
const PATIENCE: Duration = Duration::from_millis(200);

fn flags() -> Vec<Arg> {
    vec![
        path(PROGRAM, "What asks the drives; looked for in PATH").default_value("smartctl"),
        value(INTERVAL, "DURATION", "How long after a round the drives are asked again")
            .default_value("1h")
            .value_parser(humantime::parse_duration),
        value(TIMEOUT, "DURATION", "A smartctl that takes longer for a drive is killed")
            .default_value("30s")
            .value_parser(humantime::parse_duration),
    ]
}

fn init(environment: &Environment) -> Init {
    let roots = environment.roots.clone();
    if source::names(&roots).is_none_or(|names| names.is_empty()) {
        return Init::Off("no disk that may know SMART in /sys/block".to_owned());
    }
    let duration = |name, otherwise| environment.flags.get_one::<Duration>(name).copied().unwrap_or(otherwise);
    let options = Options {
        program: environment.flags.get_one::<PathBuf>(PROGRAM).cloned().unwrap_or_else(|| "smartctl".into()),
        interval: duration(INTERVAL, Duration::from_secs(3600)),
        timeout: duration(TIMEOUT, Duration::from_secs(30)),
    };
    match Asker::start(roots.clone(), options) {
        Ok(asker) => Init::On(Box::new(Drives { roots, asker, errands: Errands::apart("fl-drive-temp") })),
        Err(error) => Init::Failed(format!("no thread to ask the drives: {error}")),
    }
}

struct Drives {
    roots: Roots,
    asker: Asker,
    errands: Errands<Thermometer, Result<Vec<Temperature>, SourceError>>,
}

impl Collector for Drives {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        // Without it, the temperatures are there still.
        let (mut drives, running, problem) =
            self.asker.known().unwrap_or_else(|error| (BTreeMap::new(), Duration::ZERO, Some(error)));
        if let Some(problem) = problem {
            faults.report(&problem);
        }
        for name in source::names(&self.roots).unwrap_or_default() {
            drives.entry(name).or_insert(Known { state: State::NotAsked, answer: None });
        }
        Ok(Arc::new(Found { drives, running, temperatures: self.temperatures(faults) }))
    }
}

impl Drives {
    /// What answers now; a drive that hangs costs one thread and its temperature.
    fn temperatures(&mut self, faults: &mut Faults) -> BTreeMap<String, Vec<Temperature>> {
        // What came late is old.
        drop(self.errands.settled());
        let questions = source::thermometers(&self.roots).into_iter().map(|thermometer| {
            let directory = thermometer.directory.clone();
            (thermometer, move || source::read_temperatures(&directory))
        });
        let answers = self.errands.run(questions, PATIENCE).into_iter();
        let told = answers.filter_map(|(thermometer, answer)| {
            let temperatures = answer.map_err(|error| faults.report(&error)).ok()?;
            Some((thermometer.drive, temperatures))
        });
        told.collect()
    }
}

/// The drives as they are known.
#[derive(Debug)]
struct Found {
    drives: BTreeMap<String, Known>,
    running: Duration,
    temperatures: BTreeMap<String, Vec<Temperature>>,
}

/// A figure of a drive and the family that shows it.
type Figure = (&'static Family, fn(&Report) -> Option<Value>);

const FIGURES: [Figure; 9] = [
    (&catalog::SMART_HEALTHY, |report| report.healthy.map(Value::from)),
    (&catalog::REALLOCATED, |report| report.figures.reallocated.map(Value::from)),
    (&catalog::PENDING, |report| report.figures.pending.map(Value::from)),
    (&catalog::UNCORRECTABLE, |report| report.figures.uncorrectable.map(Value::from)),
    (&catalog::CRC_ERRORS, |report| report.figures.crc_errors.map(Value::from)),
    (&catalog::MEDIA_ERRORS, |report| report.figures.media_errors.map(Value::from)),
    (&catalog::WEAR, |report| report.figures.used.map(Value::from)),
    (&catalog::SPARE, |report| report.figures.spare.map(Value::from)),
    (&catalog::SPARE_THRESHOLD, |report| report.figures.spare_threshold.map(Value::from)),
];

impl Reading for Found {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let answers =
            || self.drives.iter().filter_map(|(name, known)| known.answer.as_ref().map(|answer| (name, answer)));
        out.family(&catalog::INFO, |samples| {
            answers().try_for_each(|(name, (report, _))| {
                samples.push(&[name, &report.protocol, &report.model, &report.serial, &report.firmware], true)
            })
        })?;
        out.family(&catalog::SMART_STATE, |samples| {
            self.drives.iter().try_for_each(|(name, known)| {
                State::ALL.into_iter().try_for_each(|state| samples.push(&[name, state.label()], state == known.state))
            })
        })?;
        out.family(&catalog::SMART_ANSWER, |samples| {
            answers().try_for_each(|(name, (_, at))| samples.push_some(&[name], at.duration_since(UNIX_EPOCH).ok()))
        })?;
        for (family, figure) in FIGURES {
            out.family(family, |samples| {
                answers().try_for_each(|(name, (report, _))| samples.push_some(&[name], figure(report)))
            })?;
        }
        out.family(&catalog::CRITICAL_WARNING, |samples| {
            answers().try_for_each(|(name, (report, _))| {
                report.critical_warnings().try_for_each(|(warning, set)| samples.push(&[name, warning], set))
            })
        })?;
        let sensors = || self.temperatures.iter().flat_map(|(name, sensors)| sensors.iter().map(move |s| (name, s)));
        out.family(&catalog::TEMPERATURE, |samples| {
            sensors().try_for_each(|(name, sensor)| samples.push_some(&[name, &sensor.sensor], sensor.celsius))
        })?;
        out.family(&catalog::TEMPERATURE_LIMIT, |samples| {
            sensors().try_for_each(|(name, sensor)| samples.push_some(&[name, &sensor.sensor], sensor.critical))
        })?;
        out.single(&catalog::SMARTCTL_SECONDS, self.running)
    }
}

//! Crash capture: whether the next crash would leave evidence, and what earlier ones left.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading, Value};
use crate::flags::value;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use flatline_catalog::{Family, crash_capture as catalog};
use flatline_sources::SourceError;
use flatline_sources::crash_capture::{
    self as source, Capture, Evidence, MAX_CHOICES, Options, Setting, Taint, Target, Verdict,
};
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "crash_capture",
    help: "Whether the next crash would leave evidence (pstore, kdump, netconsole), and what earlier ones left.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const DUMP_DIRS: &str = "collector.crash_capture.dump-dirs";
const REQUIRED_ARGUMENTS: &str = "collector.crash_capture.required-arguments";
const CAPTURES: &str = "collector.crash_capture.captures";

fn flags() -> Vec<Arg> {
    vec![
        value(DUMP_DIRS, "PATH", "Directories crash dumps are written to, on disks of this host; repeatable")
            .action(ArgAction::Append)
            .default_values(["/var/crash", "/var/lib/systemd/pstore"]),
        value(REQUIRED_ARGUMENTS, "NAME[=VALUE]", "What the kernel must have been started with; repeatable")
            .action(ArgAction::Append),
        value(CAPTURES, "NAME=GLOB", "Incident captures of your own, such as incident=/root/logs/*.log; repeatable")
            .action(ArgAction::Append)
            .value_parser(value_parser!(Capture)),
    ]
}

fn options(flags: &ArgMatches) -> Result<Options, String> {
    let texts = |name| flags.get_many::<String>(name).into_iter().flatten();
    let options = Options {
        dump_directories: texts(DUMP_DIRS).map(PathBuf::from).collect(),
        required_arguments: texts(REQUIRED_ARGUMENTS).cloned().collect(),
        captures: flags.get_many(CAPTURES).into_iter().flatten().cloned().collect(),
    };
    check(DUMP_DIRS, texts(DUMP_DIRS).map(String::as_str))?;
    check(REQUIRED_ARGUMENTS, texts(REQUIRED_ARGUMENTS).map(String::as_str))?;
    check(CAPTURES, options.captures.iter().map(Capture::name))?;
    Ok(options)
}

/// Each value becomes a label, so none may be there twice, and there must not be too many.
fn check<'f>(flag: &str, values: impl Iterator<Item = &'f str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(format!("--{flag}: {value} is there twice"));
        }
    }
    if seen.len() > MAX_CHOICES { Err(format!("--{flag}: more than {MAX_CHOICES}")) } else { Ok(()) }
}

fn init(environment: &Environment) -> Init {
    let options = match options(&environment.flags) {
        Ok(options) => options,
        Err(reason) => return Init::Failed(reason),
    };
    let names = Arc::new(Names::new(&options));
    source::Reader::probe(&environment.roots, &options)
        .map(|reader| CrashCapture { reader, names, readings: Recycler::default() })
        .into()
}

struct CrashCapture {
    reader: source::Reader,
    names: Arc<Names>,
    readings: Recycler<Found>,
}

/// What the operator asked for, as labels.
#[derive(Debug, Default)]
struct Names {
    dumps: Vec<String>,
    arguments: Vec<String>,
    captures: Vec<String>,
}

impl Names {
    fn new(options: &Options) -> Self {
        Self {
            dumps: options.dump_directories.iter().map(|path| path.display().to_string()).collect(),
            arguments: options.required_arguments.clone(),
            captures: options.captures.iter().map(|capture| capture.name().to_owned()).collect(),
        }
    }
}

/// A reading with the names of what was asked for.
#[derive(Debug, Default)]
struct Found {
    names: Arc<Names>,
    reading: source::Reading,
}

impl Collector for CrashCapture {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let Self { reader, names, readings } = self;
        readings.fill(|found| {
            found.names = Arc::clone(names);
            reader.read(&mut found.reading, &mut |fault| faults.report(fault));
            Ok(())
        })
    }
}

/// A number about files and the family that shows it.
type Number = (&'static Family, fn(&Evidence) -> Option<Value>);

const RECORDS: [Number; 3] = [
    (&catalog::PSTORE_RECORDS, |found| Some(found.count.into())),
    (&catalog::PSTORE_BYTES, |found| Some(found.bytes.into())),
    (&catalog::PSTORE_NEWEST, newest_timestamp),
];

const DUMPS: [Number; 2] =
    [(&catalog::DUMPS, |found| Some(found.count.into())), (&catalog::DUMP_NEWEST, newest_timestamp)];

const CAPTURED: [Number; 4] = [
    (&catalog::CAPTURES, |found| Some(found.count.into())),
    (&catalog::CAPTURES_EMPTY, |found| Some(found.empty.into())),
    (&catalog::CAPTURE_NEWEST, newest_timestamp),
    (&catalog::CAPTURE_NEWEST_BYTES, |found| found.newest.map(|(_, bytes)| bytes.into())),
];

fn newest_timestamp(found: &Evidence) -> Option<Value> {
    found.newest.map(|(modified, _)| modified.into())
}

impl Reading for Found {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let Self { names, reading } = self;
        emit_verdicts(reading, out)?;
        emit_pstore(&reading.pstore, out)?;
        out.family(&catalog::KDUMP_LOADED, |samples| samples.push_some(&[], reading.kdump.loaded))?;
        out.family(&catalog::KDUMP_RESERVED_BYTES, |samples| samples.push_some(&[], reading.kdump.reserved_bytes))?;
        emit_targets(&reading.targets, out)?;
        out.family(&catalog::SETTING_VALUE, |samples| {
            let mut settings = Setting::ALL.into_iter().zip(reading.settings);
            settings.try_for_each(|(setting, value)| samples.push_some(&[setting.label()], value.map(signed)))
        })?;
        out.family(&catalog::REQUIRED_ARGUMENT, |samples| {
            let mut arguments = names.arguments.iter().zip(&reading.arguments);
            arguments.try_for_each(|(argument, present)| samples.push(&[argument], *present))
        })?;
        out.family(&catalog::KERNEL_TAINT, |samples| {
            let mut reasons = reading.taint.into_iter().flat_map(Taint::reasons);
            reasons.try_for_each(|(reason, set)| samples.push(&[reason], set))
        })?;
        emit_files(&DUMPS, &names.dumps, &reading.dumps, out)?;
        emit_files(&CAPTURED, &names.captures, &reading.captures, out)
    }
}

/// Whole numbers are shown whole where they can be.
fn signed(value: i64) -> Value {
    u64::try_from(value).map_or(Value::Float(value as f64), Value::Integer)
}

fn emit_verdicts(reading: &source::Reading, out: &mut Emitter<'_>) -> fmt::Result {
    let verdicts = &reading.verdicts;
    out.family(&catalog::READY, |samples| {
        verdicts.iter().try_for_each(|(channel, verdict)| samples.push_some(&[channel.label()], verdict.is_ready()))
    })?;
    out.family(&catalog::REASON_INFO, |samples| {
        verdicts.iter().try_for_each(|(channel, verdict)| match verdict.reason() {
            Some(reason) => samples.push(&[channel.label(), reason.label()], true),
            None => Ok(()),
        })
    })
}

fn emit_pstore(pstore: &source::Pstore, out: &mut Emitter<'_>) -> fmt::Result {
    out.family(&catalog::PSTORE_BACKEND_INFO, |samples| {
        pstore.backend.iter().try_for_each(|backend| samples.push(&[backend], true))
    })?;
    out.family(&catalog::PSTORE_MOUNTED, |samples| samples.push_some(&[], pstore.mounted))?;
    for (family, number) in RECORDS {
        out.family(family, |samples| samples.push_some(&[], pstore.records.as_ref().and_then(number)))?;
    }
    Ok(())
}

fn emit_targets(targets: &[Target], out: &mut Emitter<'_>) -> fmt::Result {
    out.family(&catalog::NETCONSOLE_TARGET_READY, |samples| {
        targets.iter().try_for_each(|target| {
            samples.push_some(&[&target.name, &target.device], Verdict::is_ready(target.verdict()))
        })
    })
}

fn emit_files(
    numbers: &'static [Number],
    names: &[String],
    found: &[Option<Evidence>],
    out: &mut Emitter<'_>,
) -> fmt::Result {
    for (family, number) in numbers {
        out.family(family, |samples| {
            let mut files = names.iter().zip(found);
            files.try_for_each(|(name, found)| samples.push_some(&[name], found.as_ref().and_then(*number)))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        let command = clap::Command::new("test").no_binary_name(true).args(flags());
        options(&command.try_get_matches_from(arguments).map_err(|error| error.to_string())?)
    }

    #[test]
    fn defaults_are_where_the_distributions_write() {
        let options = parsed(&[]).expect("defaults");
        let directories: Vec<_> = options.dump_directories.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(directories, ["/var/crash", "/var/lib/systemd/pstore"]);
        assert!(options.required_arguments.is_empty() && options.captures.is_empty());
    }

    #[test]
    fn labels_are_unique_and_few() {
        let twice = parsed(&["--collector.crash_capture.captures=a=/x/*", "--collector.crash_capture.captures=a=/y/*"]);
        assert!(twice.expect_err("refused").contains("a is there twice"));
        let many: Vec<_> = (0..=MAX_CHOICES).map(|index| format!("--{REQUIRED_ARGUMENTS}=a{index}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(parsed(&many).expect_err("refused").contains("more than 64"));
        assert!(parsed(&many[1..]).is_ok());
    }

    #[test]
    fn settings_below_zero_keep_their_sign() {
        assert_eq!((signed(-1), signed(5)), (Value::Float(-1.0), Value::Integer(5)));
    }
}

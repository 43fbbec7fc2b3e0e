//! What user space said in the journal, followed by a `journalctl` of the host.
//!
//! This is the one process the exporter starts. The journal's format has compression, hashes and variants that come
//! with new versions of systemd, so its own reader is the one that always fits; and its files are mapped into memory,
//! where a dead disk kills or stalls whoever touches them, which must not be a thread of the exporter. There is one
//! child at a time, at low priority; one that can't be killed has no successor. It ends when its pipe is closed,
//! that is, with the exporter.

mod follower;
mod tally;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use crate::flags::{path, value};
use clap::{Arg, ArgAction};
use flatline_catalog::journal as catalog;
use flatline_events::journal::{Pattern, Patterns};
use flatline_events::{Classifier, Kind};
use flatline_sources::{Roots, SourceError};
use follower::{Follower, Reader};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tally::Snapshot;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "journal",
    help: "What user space says in the journal: failed units, OOM daemons, DNS failures, patterns of your own.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const PATTERNS: &str = "collector.journal.patterns";
const PROGRAM: &str = "collector.journal.program";
const MAX_SILENCE: &str = "collector.journal.max-silence";

fn flags() -> Vec<Arg> {
    vec![
        value(
            PATTERNS,
            "NAME=SPEC",
            "Entries to count: NAME=[unit=UNIT;][identifier=IDENT;][max-values=N;]regex=REGEX, a group (?P<value>...) \
             is the label; repeatable",
        )
        .action(ArgAction::Append)
        .value_parser(str::parse::<Pattern>),
        path(PROGRAM, "The journalctl that follows the journal").default_value("journalctl"),
        value(MAX_SILENCE, "DURATION", "A journalctl that says nothing for so long is started anew")
            .default_value("15m")
            .value_parser(humantime::parse_duration),
    ]
}

fn init(environment: &Environment) -> Init {
    if !has_journal(&environment.roots) {
        return Init::Off("no journal in /run/log/journal or /var/log/journal".to_owned());
    }
    match start(environment) {
        Ok(follower) => Init::On(Box::new(Journal { follower, readings: Recycler::default() })),
        Err(reason) => Init::Failed(reason),
    }
}

/// Whether a machine has written a journal here; a directory alone is only an offer.
fn has_journal(roots: &Roots) -> bool {
    let written = |directory: &str| roots.rootfs.join(directory).names(1).is_ok_and(|names| !names.is_empty());
    written("run/log/journal") || written("var/log/journal")
}

fn start(environment: &Environment) -> Result<Follower, String> {
    let flags = &environment.flags;
    let patterns = flags.get_many::<Pattern>(PATTERNS).into_iter().flatten().cloned().collect();
    let patterns = Patterns::new(patterns).map_err(|error| format!("--{PATTERNS}: {error}"))?;
    let classifier = Classifier::new().map_err(|error| error.to_string())?;
    let reader = Reader {
        program: flags.get_one::<PathBuf>(PROGRAM).cloned().ok_or("no program")?,
        root: environment.roots.elsewhere().map(Path::to_path_buf),
        max_silence: flags.get_one::<Duration>(MAX_SILENCE).copied().unwrap_or(Duration::from_secs(900)),
    };
    Follower::start(reader, classifier, patterns, environment.state.as_ref())
}

struct Journal {
    follower: Follower,
    readings: Recycler<Snapshot>,
}

impl Collector for Journal {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let follower = &self.follower;
        self.readings.fill(|reading| follower.snapshot(reading, faults))
    }
}

impl Reading for Snapshot {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let kinds = || Kind::ALL.iter().map(|kind| (kind, self.tally.kinds.get(kind.name())));
        out.family(&catalog::EVENTS, |samples| {
            kinds()
                .filter(|(kind, _)| !kind.is_kernel())
                .try_for_each(|(kind, seen)| samples.push(&[kind.name()], seen.map_or(0, |seen| seen.count)))
        })?;
        out.family(&catalog::LAST_TIMESTAMP, |samples| {
            kinds().try_for_each(|(kind, seen)| samples.push_some(&[kind.name()], seen.and_then(|seen| seen.last)))
        })?;
        out.family(&catalog::PATTERN_MATCHES, |samples| {
            for (name, matched) in &self.tally.patterns {
                matched.values.iter().try_for_each(|(value, count)| samples.push(&[name, value], *count))?;
            }
            Ok(())
        })?;
        out.family(&catalog::PATTERN_LAST, |samples| {
            let patterns = self.tally.patterns.iter();
            patterns.into_iter().try_for_each(|(name, matched)| samples.push_some(&[name], matched.last))
        })?;
        out.single(&catalog::ENTRIES, self.tally.entries)?;
        out.single(&catalog::UNREADABLE, self.tally.unreadable)?;
        out.single(&catalog::FOLLOWING, self.following)?;
        out.single(&catalog::RESTARTS, self.restarts)
    }
}

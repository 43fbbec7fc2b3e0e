//! Network mounts: whether each answers, since when it does not, and what the kernel's clients count.
//!
//! Each mount is asked by a thread of its own, which hangs when the mount does. It is not asked again until that thread
//! comes back, so that a mount costs one thread however long it hangs and however often it is scraped. The mounts of one
//! server hang together, so only a share of the threads is theirs.

mod reading;
mod track;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::errands::Errands;
use crate::exposition::Reading;
use crate::flags::{switch, switch_value, value};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use flatline_catalog::mounts as catalog;
use flatline_sources::mounts::{self as source, Clients, Device, Mount, Options};
use flatline_sources::{HostPath, Roots, SourceError};
use reading::{Found, Shown};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use track::{Reply, Track};

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "mounts",
    help: "Network mounts (SMB, NFS, FUSE, 9p, Ceph): which of them hang, since when, and how often their clients reconnect.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const FSTYPES: &str = "collector.mounts.fstypes";
const EXCLUDE: &str = "collector.mounts.exclude";
const MAX_MOUNTS: &str = "collector.mounts.max-mounts";
const TIMEOUT: &str = "collector.mounts.timeout";
const AUTOMOUNTED: &str = "collector.mounts.automounted";
const PATIENCE: &str = "collector.mounts.patience";

fn flags() -> Vec<Arg> {
    let mut flags = vec![
        value(FSTYPES, "GLOB", "Types of file systems that are asked; repeatable, and replaces the built-in list")
            .action(ArgAction::Append)
            .default_values(source::FSTYPES),
        value(EXCLUDE, "GLOB", "Mountpoints that are left alone, such as /run/user/**; repeatable")
            .action(ArgAction::Append),
        value(MAX_MOUNTS, "N", "Network mounts watched; further ones are counted only")
            .default_value("200")
            .value_parser(value_parser!(u16).range(1..)),
        value(TIMEOUT, "DURATION", "A mount that has not answered for so long counts as hung")
            .default_value("1s")
            .value_parser(humantime::parse_duration),
        value(PATIENCE, "DURATION", "How long a scrape waits for answers; later ones are told at the next scrape")
            .default_value("200ms")
            .value_parser(humantime::parse_duration),
    ];
    flags.extend(switch(AUTOMOUNTED, "Ask mounts that autofs made, too, which keeps them from expiring [default: on]"));
    flags
}

fn options(flags: &ArgMatches) -> Result<Options, String> {
    let texts = |name| flags.get_many::<String>(name).into_iter().flatten().collect::<Vec<_>>();
    let max_mounts = flags.get_one::<u16>(MAX_MOUNTS).map_or(200, |max| usize::from(*max));
    Options::new(&texts(FSTYPES), &texts(EXCLUDE), max_mounts, switch_value(flags, AUTOMOUNTED).unwrap_or(true))
}

fn init(environment: &Environment) -> Init {
    let options = match options(&environment.flags) {
        Ok(options) => options,
        Err(reason) => return Init::Failed(format!("--{FSTYPES} or --{EXCLUDE}: {reason}")),
    };
    let duration = |name, otherwise| environment.flags.get_one::<Duration>(name).copied().unwrap_or(otherwise);
    let timeout = duration(TIMEOUT, Duration::from_secs(1));
    let patience = duration(PATIENCE, Duration::from_millis(200));
    let roots = environment.roots.clone();
    source::Reader::probe(&environment.roots, options)
        .map(|reader| Mounts {
            reader,
            roots,
            timeout,
            patience,
            tracks: HashMap::new(),
            errands: Errands::apart("fl-mount").sharing(|one: &Question, other| one.server == other.server),
            client_errands: Errands::apart("fl-mount-stats"),
            clients: None,
        })
        .into()
}

/// A file system at a place: its number may later be another's.
type Identity = (Device, PathBuf);

/// A file system that is asked, and who is to answer for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    device: Device,
    server: String,
}

struct Mounts {
    reader: source::Reader,
    roots: Roots,
    timeout: Duration,
    patience: Duration,
    tracks: HashMap<Identity, Track>,
    errands: Errands<Question, Reply>,
    client_errands: Errands<(), (Clients, Vec<SourceError>)>,
    /// What the kernel's clients said; `None` when they do not answer, as what is old must not be shown as new.
    clients: Option<Clients>,
}

impl Collector for Mounts {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let base = self.reader.base().clone();
        let found = self.reader.read(&mut |fault| faults.report(fault))?.clone();
        self.keep(&found.mounts);
        self.ask(&base, &found.mounts);
        self.ask_clients(faults);
        let now = Instant::now();
        Ok(Arc::new(Found {
            mounts: found.mounts.iter().map(|mount| self.shown(mount, now)).collect(),
            beyond_bound: found.beyond_bound,
            alike: found.alike,
            in_flight: self.errands.out(),
            clients: self.clients.clone(),
        }))
    }
}

fn identity(mount: &Mount) -> Identity {
    (mount.device, mount.mountpoint.clone())
}

fn question(mount: &Mount) -> Question {
    Question { device: mount.device, server: mount.server().to_owned() }
}

impl Mounts {
    /// Forgets what is not mounted any more.
    fn keep(&mut self, mounts: &[Mount]) {
        let mut before = std::mem::take(&mut self.tracks);
        let kept = mounts.iter().map(|mount| {
            let identity = identity(mount);
            let track = before.remove(&identity).unwrap_or_default();
            (identity, track)
        });
        self.tracks = kept.collect();
    }

    fn ask(&mut self, base: &HostPath, mounts: &[Mount]) {
        let begun = Instant::now();
        let mut due: Vec<&Mount> = mounts.iter().filter(|mount| mount.unasked.is_none()).collect();
        // Those that there was no thread for come first, so that each has its turn.
        due.sort_by_key(|mount| self.tracks.get(&identity(mount)).is_some_and(|track| track.last().is_some()));
        let questions = due.iter().map(|mount| {
            let (base, mountpoint, device) = (base.clone(), mount.mountpoint.clone(), mount.device);
            let ask = move || {
                let asked = Instant::now();
                let answer = source::ask(&base, &mountpoint, device);
                Reply { mountpoint, answer, asked, took: asked.elapsed(), at: SystemTime::now() }
            };
            (question(mount), ask)
        });
        let replies = self.errands.run(questions, self.patience);
        let mut told = HashSet::new();
        for (Question { device, .. }, reply) in replies {
            let identity = (device, reply.mountpoint.clone());
            if let Some(track) = self.tracks.get_mut(&identity) {
                track.replied(reply, self.timeout);
                told.insert(identity);
            }
        }
        for mount in mounts {
            let identity = identity(mount);
            let Some(track) = self.tracks.get_mut(&identity) else { continue };
            match self.errands.is_out(&question(mount)) {
                out if out || told.contains(&identity) => track.is_out(out, begun),
                _ => track.was_not_asked(),
            }
        }
    }

    fn ask_clients(&mut self, faults: &mut Faults) {
        let roots = self.roots.clone();
        let mut back = self.client_errands.run([((), move || source::read_clients(&roots))], self.patience / 4);
        self.clients = back.pop().map(|((), (clients, errors))| {
            errors.iter().for_each(|error| faults.report(error));
            clients
        });
    }

    fn shown(&self, mount: &Mount, now: Instant) -> Shown {
        let nothing = Track::default();
        let track = self.tracks.get(&identity(mount)).unwrap_or(&nothing);
        let state = track.state(mount.unasked, now, self.timeout);
        Shown {
            labels: Arc::clone(&mount.labels),
            state,
            stuck: mount.unasked.is_none().then(|| track.stuck(now)),
            mountpoint: mount.mountpoint.clone(),
            answered: track.answered(),
            took: track.last().map(|reply| reply.took),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        let command = clap::Command::new("test").no_binary_name(true).args(flags());
        options(&command.try_get_matches_from(arguments).map_err(|error| error.to_string())?)
    }

    #[test]
    fn patterns_are_checked() {
        assert!(parsed(&[]).is_ok() && parsed(&["--no-collector.mounts.automounted"]).is_ok());
        assert!(parsed(&["--collector.mounts.exclude=/mnt/[a"]).expect_err("malformed").contains("/mnt/[a"));
    }
}

//! Whether the host can be reached: default routes, links, gateways, accept queues, and the health gate over them.
//!
//! Files are read here; what is asked of the kernel or of a gateway is asked on threads apart, because the kernel's
//! locks and other people's machines may let us wait.

mod gate;
mod gateways;
mod listeners;
mod reading;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::exposition::Reading;
use crate::flags::{source as source_of, switch, switch_value, value};
use crate::kept::Kept;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use flatline_catalog::reachability as catalog;
use flatline_sources::SourceError;
use flatline_sources::patterns::of_names;
use flatline_sources::reachability::{self as source, Source};
use gate::{Demands, Gate, Memory, Now};
use gateways::Gateways;
use listeners::Asker;
use reading::{Found, Owned};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "reachability",
    help: "Whether the host can be reached: default routes, links, gateways, accept queues that rot, the health gate.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const EXCLUDE: &str = "collector.reachability.exclude-interfaces";
const MAX_LISTENERS: &str = "collector.reachability.max-listeners";
const ECHO: &str = "collector.reachability.echo";
const GATE_INTERFACES: &str = "collector.reachability.gate-interfaces";
const GATE_PORTS: &str = "collector.reachability.gate-ports";
const PATIENCE: &str = "collector.reachability.patience";
const SNAPSHOT: &str = "reachability";

fn flags() -> Vec<Arg> {
    let mut flags = vec![
        value(EXCLUDE, "GLOB", "Interfaces that are not shown; repeatable, and replaces the built-in list")
            .action(ArgAction::Append)
            .default_values(source::EXCLUDED_INTERFACES),
        value(MAX_LISTENERS, "N", "Listening addresses shown; further ones are counted only")
            .default_value("256")
            .value_parser(value_parser!(u16).range(1..)),
        value(
            GATE_INTERFACES,
            "NAME",
            "Links that must be up for the health gate; repeatable [default: one that a default route leaves by]",
        )
        .action(ArgAction::Append),
        value(
            GATE_PORTS,
            "PORT",
            "TCP ports that must listen for the health gate; repeatable [default: 22, once it has]",
        )
        .action(ArgAction::Append)
        .value_parser(value_parser!(u16).range(1..)),
        value(PATIENCE, "DURATION", "How long a scrape waits for the kernel and the gateways")
            .default_value("200ms")
            .value_parser(humantime::parse_duration),
    ];
    flags.extend(switch(ECHO, "Send ICMP echoes to gateways the kernel has not heard of lately [default: on]"));
    flags
}

/// The port everybody needs when all else fails.
const SSH: u16 = 22;

fn demands(flags: &ArgMatches) -> Demands {
    let interfaces = flags.get_many::<String>(GATE_INTERFACES).into_iter().flatten().cloned().collect();
    let given = source_of(flags, GATE_PORTS).is_some_and(|source| source != ValueSource::DefaultValue);
    let ports = flags.get_many::<u16>(GATE_PORTS).into_iter().flatten().copied().collect();
    let usual_ports = if given { [].into() } else { [SSH].into() };
    Demands { interfaces, ports, usual_ports }
}

fn init(environment: &Environment) -> Init {
    let flags = &environment.flags;
    let excluded: Vec<_> = flags.get_many::<String>(EXCLUDE).into_iter().flatten().collect();
    let excluded = match of_names(&excluded) {
        Ok(excluded) => excluded,
        Err(reason) => return Init::Failed(format!("--{EXCLUDE}: {reason}")),
    };
    let most = flags.get_one::<u16>(MAX_LISTENERS).map_or(256, |most| usize::from(*most));
    let procfs = environment.roots.procfs.clone();
    let probe = source::Reader::probe(&environment.roots, excluded).map(|reader| {
        let mut kept = Kept::new(environment.state.as_ref(), SNAPSHOT);
        let live = reader.is_live();
        Reachability {
            listeners: Asker::new(procfs, if live { Source::Kernel } else { Source::Files }, most),
            gateways: live.then(|| Gateways::new(switch_value(flags, ECHO).unwrap_or(true))),
            demands: demands(flags),
            memory: kept.load(),
            kept,
            patience: flags.get_one::<Duration>(PATIENCE).copied().unwrap_or(Duration::from_millis(200)),
            reader,
        }
    });
    probe.into()
}

struct Reachability {
    reader: source::Reader,
    listeners: Asker,
    /// `None` in a recorded tree, whose gateways are not ours.
    gateways: Option<Gateways>,
    demands: Demands,
    memory: Memory,
    kept: Kept<Memory>,
    patience: Duration,
}

impl Collector for Reachability {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let network = self.reader.read(&mut |error| faults.report(error));
        // Where the routes can't be read, nobody knows which gateways there are.
        let known = match (&mut self.gateways, &network.routes) {
            (Some(gateways), Some(routes)) => gateways.update(routes, self.patience).clone(),
            _ => BTreeMap::new(),
        };
        let listeners = self.listeners.ask(self.patience, faults);
        let now = Now {
            network: Some(&network),
            gateways: known.values().map(gateways::Known::is_responding).collect(),
            listening: listeners
                .as_ref()
                // Where some are left out, nothing can be said of a port that is not among the others.
                .filter(|found| found.left_out == 0)
                .map(|found| found.listeners.iter().map(|listener| listener.address.port()).collect()),
        };
        let reader = &mut self.reader;
        let gate = Gate::judge(&self.demands, &mut self.memory, &now, &mut |name| {
            let shown = network.links.iter().flatten().find(|link| link.name == name);
            shown.map_or_else(|| reader.is_up(name, &mut |error| faults.report(error)), |link| link.up)
        });
        if self.kept.is_due() {
            self.kept.save(self.memory.clone());
        }
        let left_out = listeners.as_ref().map(|found| found.left_out);
        let owned = |found: source::Listeners| {
            let each = found.listeners.into_iter();
            each.map(|listener| Owned::new(listener, self.listeners.owner(listener.inode))).collect()
        };
        Ok(Arc::new(Found {
            gateways: known,
            echo_allowed: self.gateways.as_ref().and_then(Gateways::allowed),
            listeners: listeners.map(owned),
            left_out,
            gate,
            network,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_22_is_usual_and_named_ports_are_demanded() {
        let parsed = |arguments: &[&str]| {
            let command = clap::Command::new("test").no_binary_name(true).args(flags());
            demands(&command.try_get_matches_from(arguments).expect("flags"))
        };
        assert_eq!((parsed(&[]).ports, parsed(&[]).usual_ports), ([].into(), [22].into()));
        let named = parsed(&["--collector.reachability.gate-ports=443"]);
        assert_eq!((named.ports, named.usual_ports), ([443].into(), [].into()));
    }
}

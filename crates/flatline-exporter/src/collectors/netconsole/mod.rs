//! The last words of other hosts' kernels: netconsole packets received over UDP, counted and kept in files.
//!
//! A thread receives between scrapes and never waits for anything else: what is kept goes over a bounded queue to a
//! thread that may hang with the disk.

mod keeper;
mod receiver;
mod tally;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use crate::flags::value;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use flatline_catalog::netconsole as catalog;
use flatline_events::{Classifier, Kind};
use flatline_sources::{SourceError, udp_drops};
use receiver::Receiver;
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use tally::{Limits, Reason, Received};

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "netconsole",
    help: "Receives the kernel messages of other hosts (netconsole, UDP), so that one that dies mute still testifies.",
    activation: Activation::Off,
    families: catalog::FAMILIES,
    flags,
    init,
};

const LISTEN_ADDRESS: &str = "collector.netconsole.listen-address";
const SENDERS: &str = "collector.netconsole.senders";
const MAX_PACKETS: &str = "collector.netconsole.max-packets-per-second";
const MAX_BYTES: &str = "collector.netconsole.max-bytes-per-second";
const MAX_FILE_BYTES: &str = "collector.netconsole.max-file-bytes";
/// A receiver for more hosts than this should be several.
const MAX_SENDERS: usize = 256;

fn flags() -> Vec<Arg> {
    vec![
        value(LISTEN_ADDRESS, "ADDRESS", "Where to receive netconsole packets, IPv4 or IPv6 ([::]:6666)")
            .default_value("0.0.0.0:6666")
            .value_parser(value_parser!(SocketAddr)),
        value(SENDERS, "NAME=ADDRESS", "A host whose packets are taken, by its IP address; repeatable")
            .action(ArgAction::Append)
            .value_parser(str::parse::<Sender>),
        value(MAX_PACKETS, "N", "Packets taken of each sender, five times as many in a burst")
            .default_value("2000")
            .value_parser(value_parser!(u32).range(1..)),
        value(MAX_BYTES, "N", "Bytes taken of each sender a second, five times as many in a burst")
            .default_value("524288")
            .value_parser(value_parser!(u32).range(2048..)),
        value(MAX_FILE_BYTES, "N", "Size at which a sender's file begins anew; the one before is kept")
            .default_value("1048576")
            .value_parser(value_parser!(u64).range(4096..)),
    ]
}

/// A host whose word is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sender {
    name: String,
    address: IpAddr,
}

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or("must be NAME=ADDRESS")?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        // The name is a file's name, too.
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(legal) {
            return Err(format!("the name `{name}` must be of A-Z a-z 0-9 . _ -, at most 64 and no dot first"));
        }
        let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is no IP address"))?;
        Ok(Self { name: name.to_owned(), address: address.to_canonical() })
    }
}

fn senders(flags: &ArgMatches) -> Result<Vec<Sender>, String> {
    let senders: Vec<Sender> = flags.get_many(SENDERS).into_iter().flatten().cloned().collect();
    let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
    for sender in &senders {
        if !names.insert(&sender.name) || !addresses.insert(sender.address) {
            return Err(format!("--{SENDERS}: {}={} is there twice", sender.name, sender.address));
        }
    }
    match senders.len() {
        0 => Err(format!("nobody may send: give --{SENDERS}=NAME=ADDRESS")),
        1..=MAX_SENDERS => Ok(senders),
        _ => Err(format!("--{SENDERS}: more than {MAX_SENDERS}")),
    }
}

fn limits(flags: &ArgMatches) -> Limits {
    let number = |name: &str| flags.get_one::<u32>(name).copied().map_or(0.0, f64::from);
    Limits { packets_per_second: number(MAX_PACKETS), bytes_per_second: number(MAX_BYTES) }
}

fn init(environment: &Environment) -> Init {
    match start(environment) {
        Ok(netconsole) => Init::On(Box::new(netconsole)),
        Err(reason) => Init::Failed(reason),
    }
}

fn start(environment: &Environment) -> Result<Netconsole, String> {
    let flags = &environment.flags;
    let senders = senders(flags)?;
    let address = flags.get_one::<SocketAddr>(LISTEN_ADDRESS).copied().ok_or("no address to listen on")?;
    let socket = UdpSocket::bind(address).map_err(|error| format!("udp {address}: {error}"))?;
    let drops = udp_drops::Reader::new(&socket).map_err(|error| format!("udp {address}: {error}"))?;
    let classifier = Classifier::new().map_err(|error| error.to_string())?;
    let max_file_bytes = flags.get_one::<u64>(MAX_FILE_BYTES).copied().unwrap_or(1 << 20);
    let directory = environment.state.as_ref().map(|state| state.path().join("netconsole"));
    let receiver = Receiver::start(socket, classifier, &senders, limits(flags), directory, max_file_bytes)?;
    Ok(Netconsole { receiver, drops, readings: Recycler::default() })
}

struct Netconsole {
    receiver: Receiver,
    drops: udp_drops::Reader,
    readings: Recycler<Received>,
}

impl Collector for Netconsole {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let (receiver, drops) = (&self.receiver, &mut self.drops);
        let reading = self.readings.fill(|reading| {
            receiver.snapshot(reading)?;
            reading.dropped = drops.read().map_err(|error| faults.report(&error)).ok();
            Ok(())
        });
        // After the counts, so that a scrape that shows a line is lost has said why.
        if let Some(error) = self.receiver.file_error() {
            faults.report(&error);
        }
        reading
    }
}

impl Reading for Received {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::MESSAGES, |samples| {
            self.senders.iter().try_for_each(|sender| samples.push(&[&sender.name], sender.messages))
        })?;
        out.family(&catalog::EVENTS, |samples| {
            for sender in &self.senders {
                for kind in Kind::ALL.iter().filter(|kind| sender.events[kind.index()] > 0) {
                    samples.push(&[&sender.name, kind.name()], sender.events[kind.index()])?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::EVENT_LAST_TIMESTAMP, |samples| {
            for sender in &self.senders {
                for kind in Kind::ALL.iter().filter(|kind| sender.events[kind.index()] > 0) {
                    samples.push(&[&sender.name, kind.name()], sender.told[kind.index()])?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::LAST_TIMESTAMP, |samples| {
            self.senders.iter().try_for_each(|sender| samples.push_some(&[&sender.name], sender.last))
        })?;
        out.family(&catalog::LOST, |samples| {
            self.senders.iter().try_for_each(|sender| samples.push_some(&[&sender.name], sender.lost))
        })?;
        out.family(&catalog::REJECTED, |samples| {
            Reason::ALL.iter().try_for_each(|reason| samples.push(&[reason.label()], self.rejected[*reason as usize]))
        })?;
        out.family(&catalog::DROPPED, |samples| samples.push_some(&[], self.dropped))?;
        out.family(&catalog::KEPT_BYTES, |samples| {
            self.senders.iter().try_for_each(|sender| samples.push_some(&[&sender.name], sender.kept_bytes))
        })?;
        out.family(&catalog::UNKEPT, |samples| {
            self.senders.iter().try_for_each(|sender| samples.push(&[&sender.name], sender.unkept))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Sender;

    #[test]
    fn a_sender_is_a_name_fit_for_a_file_and_an_address() {
        let sender: Sender = "pve1=::ffff:10.0.0.5".parse().expect("a sender");
        assert_eq!((sender.name.as_str(), sender.address.to_string().as_str()), ("pve1", "10.0.0.5"));
        assert!("pve1=fe80::1".parse::<Sender>().is_ok());
        for refused in ["pve1", "=10.0.0.5", "..=10.0.0.5", "a/b=10.0.0.5", "pve1=pve1.example", "ü=10.0.0.5"] {
            assert!(refused.parse::<Sender>().is_err(), "{refused}");
        }
    }
}

//! Virtual machines: whether QEMU answers, what the guest is doing, and whether each disk makes progress.
//!
//! One poll asks all machines at once, each within the same deadline, so that a dead one costs the others nothing.
//! What may hang without a deadline, QEMU's command line and Proxmox's configuration, is read on threads of its own: on
//! some for each of the two, as all of `/etc/pve` hangs together when its file system does.

mod disks;
mod names;
mod reading;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::errands::Errands;
use crate::exposition::Reading;
use crate::flags::value;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use disks::{Details, Tracker};
use flatline_catalog::vm as catalog;
use flatline_qmp::{Memory, Poll, State};
use flatline_sources::vm::{self as source, Clients, CommandLine, Process, ProxmoxConfig, Source, Tap};
use flatline_sources::{Roots, SourceError};
use names::Names;
use reading::{Vm, Vms};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "vm",
    help: "QEMU virtual machines over their monitors: dead disks behind a live QMP, silent monitors, throttles.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const SOCKETS: &str = "collector.vm.sockets";
const TIMEOUT: &str = "collector.vm.timeout";
const MAX_VMS: &str = "collector.vm.max-vms";
/// How long a poll waits for command lines, and again for configurations; who is later is known at the next poll.
const ERRANDS_PATIENCE: Duration = Duration::from_millis(50);

fn flags() -> Vec<Arg> {
    vec![
        value(SOCKETS, "GLOB|NAME=PATH", "QMP sockets of virtual machines besides Proxmox's; repeatable")
            .action(ArgAction::Append)
            .value_parser(str::parse::<source::Pattern>),
        value(TIMEOUT, "DURATION", "How long a machine's monitor may take to answer")
            .default_value("300ms")
            .value_parser(humantime::parse_duration),
        value(MAX_VMS, "N", "Machines watched; further ones are counted only")
            .default_value("2000")
            .value_parser(value_parser!(u16).range(1..)),
    ]
}

fn options(flags: &ArgMatches) -> source::Options {
    let defaults = source::Options::default();
    source::Options {
        sockets: flags.get_many(SOCKETS).into_iter().flatten().cloned().collect(),
        max_vms: flags.get_one::<u16>(MAX_VMS).map_or(defaults.max_vms, |max| usize::from(*max)),
        ..defaults
    }
}

fn init(environment: &Environment) -> Init {
    let options = options(&environment.flags);
    if options.sockets.is_empty() && !environment.roots.rootfs.join("run/qemu-server").is_dir() {
        return Init::Off("no /run/qemu-server (Proxmox VE) and no --collector.vm.sockets".to_owned());
    }
    let timeout = environment.flags.get_one::<Duration>(TIMEOUT).copied().unwrap_or(Duration::from_millis(300));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => Init::On(Box::new(Watcher {
            roots: environment.roots.clone(),
            options,
            timeout,
            runtime,
            watched: HashMap::new(),
            names: Names::default(),
            command_lines: Errands::new("fl-vm-cmdline"),
            configurations: Errands::new("fl-vm-config"),
        })),
        Err(error) => Init::Failed(format!("no event loop for the monitors: {error}")),
    }
}

struct Watcher {
    roots: Roots,
    options: source::Options,
    timeout: Duration,
    runtime: Runtime,
    watched: HashMap<PathBuf, Watched>,
    names: Names,
    command_lines: Errands<Qemu, Result<CommandLine, SourceError>>,
    /// By Proxmox's number, whose file it is: a QEMU that was restarted does not read it once more. Which QEMU it was
    /// read for comes with it.
    configurations: Errands<u32, (Qemu, Result<ProxmoxConfig, SourceError>)>,
}

/// What is kept of one machine between polls, by its socket.
#[derive(Default)]
struct Watched {
    memory: Memory,
    tracker: Tracker,
    details: Details,
    /// QEMU's own name for it, from when it last answered.
    name: Option<String>,
    /// QEMU's process when it was last seen.
    process: Option<Identity>,
    /// The processes the details were read for; nothing of them changes while QEMU runs.
    command_line_of: Option<Identity>,
    proxmox_of: Option<Identity>,
    /// What has been logged about its monitor since it last answered.
    logged: HashSet<State>,
}

/// A process for good: its id and when it started.
type Identity = (u32, u64);

/// A process at a socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Qemu {
    socket: PathBuf,
    process: Identity,
}

/// One machine during a poll.
struct Asked {
    vm: source::Vm,
    poll: Poll,
    process: Option<(u32, Process)>,
}

impl Collector for Watcher {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let found = source::discover(&self.roots, &self.options, &mut |fault| faults.report(fault));
        let mut asked = self.ask(found.vms, faults);
        self.tell_busy_from_silent(&mut asked, faults);
        drop_duplicates(&mut asked);
        self.run_errands(&asked, faults);
        Ok(Arc::new(self.reading(asked, found.left_out, faults)))
    }
}

impl Watcher {
    /// Asks all machines at once and looks at their processes.
    fn ask(&mut self, vms: Vec<source::Vm>, faults: &mut Faults) -> Vec<Asked> {
        let sockets: HashSet<&Path> = vms.iter().map(|vm| vm.socket.as_path()).collect();
        self.watched.retain(|socket, _| sockets.contains(socket.as_path()));
        self.names.retain(|socket| sockets.contains(socket));
        let memories = vms.iter().map(|vm| {
            let watched = self.watched.entry(vm.socket.clone()).or_default();
            (vm.address(&self.roots), std::mem::take(&mut watched.memory))
        });
        let polls = self.runtime.block_on(flatline_qmp::poll_all(memories.collect(), self.timeout));
        let mut asked = Vec::with_capacity(vms.len());
        for (vm, (poll, memory)) in vms.into_iter().zip(polls) {
            if let Some(watched) = self.watched.get_mut(&vm.socket) {
                watched.memory = memory;
            }
            let process = self.process(&vm, poll.peer_pid, faults);
            asked.push(Asked { vm, poll, process });
        }
        asked
    }

    /// The process behind the socket, if it is a QEMU: a socket libvirt has made belongs to libvirt. The kernel names
    /// it only to who gets through, so the one that was there before counts for as long as it lives.
    fn process(&mut self, vm: &source::Vm, peer: Option<u32>, faults: &mut Faults) -> Option<(u32, Process)> {
        let watched = self.watched.get_mut(&vm.socket)?;
        let named = vm.pid.or(peer);
        let pid = named.or(watched.process.map(|(pid, _)| pid))?;
        let found = told(source::read_process(&self.roots, pid), faults).flatten();
        let process = found.filter(|process| process.is_qemu() && process.is_alive());
        let process = process.filter(|process| named.is_some() || watched.process == Some((pid, process.start_ticks)));
        watched.process = process.as_ref().map(|process| (pid, process.start_ticks));
        process.map(|process| (pid, process))
    }

    /// Who does not get through, or gets no greeting, may have come while somebody else is being served: then the
    /// monitor is busy. When nobody is, or QEMU is stopped, it is dead, and what fills its queue are our own visits.
    fn tell_busy_from_silent(&self, asked: &mut [Asked], faults: &mut Faults) {
        let silent = |asked: &&mut Asked| matches!(asked.poll.state, State::NoGreeting | State::Busy);
        let silent: Vec<&mut Asked> = asked.iter_mut().filter(silent).collect();
        if silent.is_empty() {
            return;
        }
        let mut clients: BTreeMap<PathBuf, Clients> =
            silent.iter().map(|asked| (asked.vm.socket.clone(), Clients::default())).collect();
        if let Err(error) = source::read_clients(&self.roots, &mut clients) {
            return faults.report(&error);
        }
        for Asked { vm, poll, process } in silent {
            let stopped = process.as_ref().is_some_and(|(_, process)| process.state.is_stopped());
            let clients = clients.get(&vm.socket).copied().unwrap_or_default();
            poll.state = match clients {
                _ if stopped => State::NoGreeting,
                Clients { served: 1.., .. } => State::Busy,
                Clients { listening: true, .. } => State::NoGreeting,
                // It is in another network namespace, or goes by another path: nothing more can be said.
                _ => poll.state,
            };
        }
    }
}

impl Watcher {
    /// Reads what may hang, once for each process.
    fn run_errands(&mut self, asked: &[Asked], faults: &mut Faults) {
        self.read_command_lines(asked, faults);
        self.read_configurations(asked, faults);
    }

    fn read_command_lines(&mut self, asked: &[Asked], faults: &mut Faults) {
        let wanted = self.without(asked, |watched| watched.command_line_of);
        let reads = wanted.into_iter().map(|(vm, process)| {
            let roots = self.roots.clone();
            (Qemu { socket: vm.socket.clone(), process }, move || source::read_command_line(&roots, process.0))
        });
        for (qemu, found) in self.command_lines.run(reads, ERRANDS_PATIENCE) {
            let Some(watched) = self.watched.get_mut(&qemu.socket) else { continue };
            watched.command_line_of = Some(qemu.process);
            watched.details.devices = told(found, faults).map(|line| line.disks);
        }
    }

    fn read_configurations(&mut self, asked: &[Asked], faults: &mut Faults) {
        let wanted = self.without(asked, |watched| watched.proxmox_of);
        let reads = wanted.into_iter().filter_map(|(vm, process)| {
            let vmid = vm.vmid?;
            let (roots, qemu) = (self.roots.clone(), Qemu { socket: vm.socket.clone(), process });
            Some((vmid, move || (qemu, source::read_proxmox_config(&roots, vmid))))
        });
        for (_, (qemu, found)) in self.configurations.run(reads, ERRANDS_PATIENCE) {
            let Some(watched) = self.watched.get_mut(&qemu.socket) else { continue };
            watched.proxmox_of = Some(qemu.process);
            watched.details.proxmox = told(found, faults);
        }
    }

    /// The machines whose process this has not been read for.
    fn without<'a>(
        &self,
        asked: &'a [Asked],
        read_for: fn(&Watched) -> Option<Identity>,
    ) -> Vec<(&'a source::Vm, Identity)> {
        let without = asked.iter().filter_map(|Asked { vm, process, .. }| {
            let (pid, process) = process.as_ref()?;
            let process = (*pid, process.start_ticks);
            (read_for(self.watched.get(&vm.socket)?) != Some(process)).then_some((vm, process))
        });
        without.collect()
    }

    fn reading(&mut self, mut asked: Vec<Asked>, left_out: usize, faults: &mut Faults) -> Vms {
        let taps = self.taps(&asked, faults);
        // By socket, so that who is first to claim a name does not depend on chance.
        asked.sort_by(|a, b| a.vm.socket.cmp(&b.vm.socket));
        asked.iter().for_each(|asked| report_refusals(asked, faults));
        let vms = asked.into_iter().map(|asked| self.machine(asked, &taps)).collect();
        Vms { vms, left_out, conflicts: self.names.conflicts() }
    }

    fn taps(&self, asked: &[Asked], faults: &mut Faults) -> Vec<Tap> {
        let vmids: BTreeSet<u32> = asked.iter().filter_map(|asked| asked.vm.vmid).collect();
        if vmids.is_empty() {
            return Vec::new();
        }
        let taps = source::read_taps(&self.roots, &vmids, &mut |fault| faults.report(fault));
        told(taps, faults).unwrap_or_default()
    }

    fn machine(&mut self, asked: Asked, taps: &[Tap]) -> Vm {
        let Asked { vm, poll, process } = asked;
        let watched = self.watched.entry(vm.socket.clone()).or_default();
        if let Some(name) = poll.name.clone().filter(|name| !name.is_empty()) {
            watched.name = Some(name);
        }
        let configured = watched.details.proxmox.as_ref().and_then(|config| config.name.as_ref());
        let claimed = vm.configured_name.as_ref().or(configured).or(watched.name.as_ref()).unwrap_or(&vm.stem);
        let label = self.names.label(&vm.socket, claimed).to_owned();
        watched.log(&label, &vm.socket, &poll);
        let (disks, disks_left_out) = watched.tracker.update(&poll, &watched.details, unix_time());
        Vm {
            label,
            source: vm.source.label(),
            socket: vm.socket.display().to_string(),
            qemu_version: poll
                .greeting
                .and_then(|greeting| greeting.version)
                .map(|version| version.to_string())
                .unwrap_or_default(),
            state: poll.state,
            reply_seconds: poll.reply_seconds,
            status: poll.status.map(|status| status.status),
            process: process.map(|(_, process)| process),
            taps: taps.iter().filter(|tap| Some(tap.vmid) == vm.vmid).cloned().collect(),
            disks,
            disks_left_out,
        }
    }
}

impl Watched {
    /// Says once why a monitor does not answer, and that it answers again.
    fn log(&mut self, vm: &str, socket: &Path, poll: &Poll) {
        let (socket, state) = (socket.display(), poll.state.label());
        if poll.state == State::Up {
            if !self.logged.is_empty() {
                tracing::info!(vm, %socket, "the virtual machine's monitor answers again");
                self.logged.clear();
            }
        } else if self.logged.insert(poll.state) {
            let error = poll.error.as_deref().unwrap_or_default();
            tracing::warn!(vm, %socket, state, error, "the virtual machine's monitor does not answer");
        }
    }
}

/// A monitor that answers the rest and not this leaves a hole that looks like a machine without such a thing. What an old
/// QEMU does not have is no fault, and why a machine is not up is said elsewhere.
fn report_refusals(asked: &Asked, faults: &mut Faults) {
    let up = asked.poll.state == State::Up;
    for error in asked.poll.failed.iter().filter(|error| up && !error.is_unknown_command()) {
        faults.report(&SourceError::unanswered(&asked.vm.socket, error.to_string()));
    }
}

/// The value, or nothing and a word about why.
fn told<T>(found: Result<T, SourceError>, faults: &mut Faults) -> Option<T> {
    found.inspect_err(|error| faults.report(error)).ok()
}

/// A QEMU found through Proxmox's socket and through one the operator gave is watched through the latter only: it is
/// there for us, the former is Proxmox's.
fn drop_duplicates(asked: &mut Vec<Asked>) {
    let given: HashSet<u32> = asked
        .iter()
        .filter(|asked| asked.vm.source != Source::Proxmox)
        .filter_map(|asked| Some(asked.process.as_ref()?.0))
        .collect();
    asked.retain(|asked| {
        let twice = asked.process.as_ref().is_some_and(|(pid, _)| given.contains(pid));
        asked.vm.source != Source::Proxmox || !twice
    });
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

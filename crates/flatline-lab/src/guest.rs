//! A real kernel in QEMU, described in a few lines and gone when dropped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::agent::{self, Agent};
use crate::{Error, Initramfs, Kernel, Log, Output, Program, Qemu, Qmp, Result, Running};

/// Printed by the guest's setup when everything, the test's script included, has been done.
const READY: &str = "FLATLINE-LAB-READY";
/// Printed instead when one of its commands failed.
const FAILED: &str = "FLATLINE-LAB-FAILED";
/// How long QEMU's own monitor may take to answer.
const MONITOR_PATIENCE: Duration = Duration::from_secs(20);
/// How long QEMU may take to end after it has closed its sockets.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU's own emulation: slow, and works everywhere.
    Tcg,
    /// The host's virtualisation.
    Kvm,
}

impl Accelerator {
    /// What people call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Tcg => "TCG",
            Self::Kvm => "KVM",
        }
    }

    /// TCG, unless `FLATLINE_LAB_ACCEL` is `kvm`, or is `probe` and a probe guest boots on KVM within 20 seconds
    /// (tried once per process): a `/dev/kvm` that opens may still leave every guest hanging in its firmware.
    pub fn chosen() -> Result<Self> {
        static PROBED: OnceLock<Accelerator> = OnceLock::new();
        match std::env::var("FLATLINE_LAB_ACCEL").unwrap_or_default().as_str() {
            "" | "tcg" => Ok(Self::Tcg),
            "kvm" => Ok(Self::Kvm),
            "probe" => Ok(*PROBED.get_or_init(|| {
                let probe = Guest::builder().accelerator(Self::Kvm).boot_deadline(Duration::from_secs(20)).boot();
                if probe.is_ok() { Self::Kvm } else { Self::Tcg }
            })),
            other => Err(Error::peer("FLATLINE_LAB_ACCEL")(format!("`{other}` is none of tcg, kvm, probe"))),
        }
    }
}

/// What a guest is to be; see [`Guest::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GuestBuilder {
    name: String,
    qemu: Option<Qemu>,
    kernel: Option<Kernel>,
    accelerator: Option<Accelerator>,
    qmp_socket: Option<PathBuf>,
    scratch: Vec<PathBuf>,
    memory_mib: u32,
    cpus: u32,
    programs: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    disks: Vec<Disk>,
    ports: Vec<u16>,
    modules: Vec<String>,
    kernel_arguments: Vec<String>,
    qemu_arguments: Vec<String>,
    script: String,
    boot_deadline: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Disk {
    mib: u32,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Ext4,
    Swap,
    Raw,
}

impl GuestBuilder {
    /// What QEMU calls it; `flatline-lab` unless said otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Runs it in this QEMU instead of [`Qemu::installed`].
    pub fn qemu(mut self, qemu: Qemu) -> Self {
        self.qemu = Some(qemu);
        self
    }

    /// Makes the socket for whatever is under test, [`Guest::qmp_socket`], at this path of the host.
    pub fn qmp_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.qmp_socket = Some(path.into());
        self
    }

    /// Removes this directory of the host, too, when the process that holds the guest dies without dropping it.
    pub fn scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch.push(directory.into());
        self
    }

    /// Boots this kernel instead of [`Kernel::debian`].
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = Some(kernel);
        self
    }

    /// Runs on this accelerator instead of [`Accelerator::chosen`].
    pub fn accelerator(mut self, accelerator: Accelerator) -> Self {
        self.accelerator = Some(accelerator);
        self
    }

    /// Memory; 512 MiB unless said otherwise.
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Processors; one unless said otherwise.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// A program of the host as `/usr/bin/<its name>`, with every shared library it needs.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.programs.push(path.into());
        self
    }

    /// A file in the guest.
    pub fn file(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// A disk with an ext4 file system, mounted at `/disk`. Disks are `/dev/vda`, `/dev/vdb` ... in order.
    pub fn disk_mib(self, mib: u32) -> Self {
        self.disk(mib, Content::Ext4)
    }

    /// An empty disk.
    pub fn raw_disk_mib(self, mib: u32) -> Self {
        self.disk(mib, Content::Raw)
    }

    /// A disk that is swapped to. Without one there is no swap.
    pub fn swap_mib(self, mib: u32) -> Self {
        self.disk(mib, Content::Swap)
    }

    fn disk(mut self, mib: u32, content: Content) -> Self {
        self.disks.push(Disk { mib, content });
        self
    }

    /// Makes this TCP port of the guest reachable at [`Guest::address`].
    pub fn forward(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Loads this kernel module and what it depends on.
    pub fn module(mut self, name: impl Into<String>) -> Self {
        self.modules.push(name.into());
        self
    }

    /// Adds an argument to the kernel's command line.
    pub fn kernel_argument(mut self, argument: impl Into<String>) -> Self {
        self.kernel_arguments.push(argument.into());
        self
    }

    /// Adds arguments to QEMU's command line: devices, drives, monitors.
    pub fn qemu_arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.qemu_arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds shell lines that run once before the guest is ready; the first that fails fails the boot. What is to
    /// go on running is put in the background with `&`; what it says goes to the console.
    pub fn script(mut self, lines: &str) -> Self {
        self.script.push_str(lines);
        self.script.push('\n');
        self
    }

    /// How long the guest may take from QEMU's start until it is ready; three minutes unless said otherwise.
    pub fn boot_deadline(mut self, deadline: Duration) -> Self {
        self.boot_deadline = deadline;
        self
    }

    /// Boots the guest and returns when it is ready.
    pub fn boot(&self) -> Result<Guest> {
        let start = Instant::now();
        let kernel = self.kernel.clone().map_or_else(Kernel::debian, Ok)?;
        let accelerator = self.accelerator.map_or_else(Accelerator::chosen, Ok)?;
        let directory = tempfile::Builder::new().prefix("flatline-guest-").tempdir().map_err(Error::file("/tmp"))?;
        self.write_initramfs(&kernel, &directory.path().join("initramfs"))?;
        for (number, disk) in self.disks.iter().enumerate() {
            disk.create(&directory.path().join(format!("disk{number}")))?;
        }

        let qmp_socket = self.qmp_socket.clone().unwrap_or_else(|| directory.path().join("qmp"));
        let program = self.program(&kernel, accelerator, directory.path(), &qmp_socket)?.scratch(directory.path());
        let mut qemu = self.scratch.iter().fold(program, Program::scratch).start()?;
        let begun = Instant::now();
        let sockets = ["agent", "control"].map(|name| directory.path().join(name));
        let booted = connect(&mut qemu, &sockets, self.boot_deadline).and_then(|connected| {
            wait_until_ready(&mut qemu, self.boot_deadline.saturating_sub(begun.elapsed())).map(|()| connected)
        });
        let (agent, forwarded) = booted.map_err(|error| match error {
            Error::Boot { .. } => error,
            Error::Deadline { what, .. } => Error::Boot {
                reason: format!("{what}: not within {:?}", self.boot_deadline),
                console: qemu.log().tail(30),
            },
            other => {
                // A QEMU that gives up closes its sockets first: what it says on the way out is the reason.
                let last = crate::wait_for("its end", LAST_WORDS, || Ok(qemu.failure())).unwrap_or(other);
                Error::Boot { reason: last.to_string(), console: qemu.log().tail(30) }
            }
        })?;
        let version = self.qemu.clone().map_or_else(Qemu::installed, Ok)?.version().to_owned();
        let hypervisor = format!("QEMU {version} ({})", accelerator.name());
        Ok(Guest { qemu, agent, forwarded, kernel, hypervisor, qmp_socket, boot_time: start.elapsed(), directory })
    }

    fn write_initramfs(&self, kernel: &Kernel, path: &Path) -> Result<()> {
        let mut archive = Initramfs::with_busybox()?;
        for program in &self.programs {
            archive.program(program)?;
        }
        archive.file("etc/inittab", "::sysinit:/lab/setup\n::respawn:/lab/agent\n::shutdown:/bin/umount -a -r\n");
        archive.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
        archive.file("etc/group", "root:x:0:\nnogroup:x:65534:\n");
        archive.file("etc/resolv.conf", "nameserver 10.0.2.3\n");
        archive.executable("lab/setup", include_str!("guest/setup.sh"));
        archive.executable("lab/agent", agent::SCRIPT);
        archive.file("lab/disks", self.disk_script());
        archive.file("lab/script", self.script.as_str());
        for (number, (name, image)) in kernel.modules(&self.all_modules(kernel)?)?.into_iter().enumerate() {
            archive.file(format!("lab/modules/{number:02}-{name}.ko"), image);
        }
        for (path, content) in &self.files {
            archive.file(path, content.as_slice());
        }
        let file = File::create(path).map_err(Error::file(path))?;
        archive.write(BufWriter::new(file)).map_err(Error::file(path))
    }

    fn all_modules(&self, kernel: &Kernel) -> Result<Vec<String>> {
        let mut names = vec!["virtio_pci".to_owned(), "virtio_net".to_owned(), "virtio_console".to_owned()];
        if !self.disks.is_empty() {
            names.push("virtio_blk".to_owned());
        }
        if self.disks.iter().any(|disk| disk.content == Content::Ext4) {
            // The ext4 of older kernels asks for it by a name that is no module's; newer ones have none.
            if kernel.has_module("crc32c_generic")? {
                names.push("crc32c_generic".to_owned());
            }
            names.push("ext4".to_owned());
        }
        names.extend(self.modules.iter().cloned());
        Ok(names)
    }

    fn disk_script(&self) -> String {
        let lines = ('a'..='z').zip(&self.disks).map(|(letter, disk)| match disk.content {
            Content::Ext4 => format!("mkdir -p /disk && mount -t ext4 /dev/vd{letter} /disk\n"),
            Content::Swap => format!("mkswap /dev/vd{letter} >/dev/null && swapon /dev/vd{letter}\n"),
            Content::Raw => String::new(),
        });
        lines.collect()
    }

    fn program(
        &self,
        kernel: &Kernel,
        accelerator: Accelerator,
        directory: &Path,
        qmp_socket: &Path,
    ) -> Result<Program> {
        let at = |name: &str| directory.join(name).display().to_string();
        let kernel_arguments = ["console=ttyS0 psi=1 no_timer_check mitigations=off random.trust_cpu=on"]
            .into_iter()
            .chain(self.kernel_arguments.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ");
        // QEMU chooses the free ports of the host itself: nobody can take them in between.
        let forwards: String = self.ports.iter().map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}")).collect();
        let (accelerator, cpu) = match accelerator {
            Accelerator::Tcg => ("tcg", "max"),
            Accelerator::Kvm => ("kvm", "host"),
        };
        let qemu = self.qemu.clone().map_or_else(Qemu::installed, Ok)?;
        let mut program = qemu
            .program()
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-name", &self.name])
            .args(["-machine", "pc", "-accel", accelerator, "-cpu", cpu])
            .args(["-m", &self.memory_mib.to_string(), "-smp", &self.cpus.to_string()])
            .args([Path::new("-kernel"), &kernel.image, Path::new("-initrd"), &directory.join("initramfs")])
            .args(["-append", &kernel_arguments])
            .args(["-serial", "stdio"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", qmp_socket.display())])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", at("control"))])
            .args(["-device", "virtio-serial-pci"])
            .args(["-chardev", &format!("socket,id=agent,path={},server=on,wait=off", at("agent"))])
            .args(["-device", &format!("virtserialport,chardev=agent,name={}", agent::PORT)])
            .args(["-netdev", &format!("user,id=net{forwards}")])
            .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        for number in 0..self.disks.len() {
            program = program
                .args(["-drive", &format!("if=none,id=disk{number},format=raw,file={}", at(&format!("disk{number}")))])
                .args(["-device", &format!("virtio-blk-pci,id=virtio{number},drive=disk{number}")]);
        }
        Ok(program.args(&self.qemu_arguments))
    }
}

impl Disk {
    fn create(self, path: &Path) -> Result<()> {
        let file = File::create(path).map_err(Error::file(path))?;
        file.set_len(u64::from(self.mib) << 20).map_err(Error::file(path))?;
        if self.content == Content::Ext4 {
            Program::find("mkfs.ext4", "e2fsprogs")?.args([Path::new("-q"), path]).run()?;
        }
        Ok(())
    }
}

/// Connects to the agent's port and learns the forwarded ports, as soon as QEMU listens.
fn connect(
    qemu: &mut Running,
    [agent, control]: &[PathBuf; 2],
    deadline: Duration,
) -> Result<(Agent, BTreeMap<u16, u16>)> {
    crate::wait_for("QEMU's sockets", deadline, || match qemu.failure() {
        Some(failure) => Err(failure),
        None => Ok((agent.exists() && control.exists()).then_some(())),
    })?;
    let mut monitor = Qmp::connect(control, MONITOR_PATIENCE)?;
    let listing = monitor.execute("human-monitor-command", &json!({ "command-line": "info usernet" }))?;
    Ok((Agent::connect(agent)?, parse_usernet(listing.as_str().unwrap_or_default())))
}

/// The guest's ports and the host's, from lines like
/// `TCP[HOST_FORWARD]  12  127.0.0.1 41234  10.0.2.15 10120  0  0`.
fn parse_usernet(listing: &str) -> BTreeMap<u16, u16> {
    let forward = |line: &str| {
        let mut words = line.trim().strip_prefix("TCP[HOST_FORWARD]")?.split_whitespace();
        let host = words.nth(2)?.parse().ok()?;
        Some((words.nth(1)?.parse().ok()?, host))
    };
    listing.lines().filter_map(forward).collect()
}

fn wait_until_ready(qemu: &mut Running, deadline: Duration) -> Result<()> {
    let verdict = qemu.wait_for("the guest's ready marker", deadline, |text| {
        let given_up = |reason: &str| Some(Err(reason.to_owned()));
        match text {
            _ if text.contains(READY) => Some(Ok(())),
            _ if text.contains(FAILED) => given_up("a command of its setup or of the given script failed"),
            _ if text.contains("end Kernel panic") => given_up("its kernel panicked"),
            _ => None,
        }
    })?;
    verdict.map_err(|reason| Error::Boot { reason, console: qemu.log().tail(30) })
}

/// A running guest. Dropping it kills QEMU and removes everything it had.
#[derive(Debug)]
pub struct Guest {
    // The order matters: QEMU ends before its directory is removed.
    qemu: Running,
    agent: Agent,
    forwarded: BTreeMap<u16, u16>,
    kernel: Kernel,
    hypervisor: String,
    qmp_socket: PathBuf,
    boot_time: Duration,
    directory: TempDir,
}

impl Guest {
    /// A guest with one processor, 512 MiB, a network card and nothing else.
    ///
    /// Its root file system is in memory; procfs, sysfs, devtmpfs and cgroup2 with the controllers memory, io, cpu
    /// and pids are mounted, pressure stall information is on, eth0 is 10.0.2.15 and the host 10.0.2.2.
    pub fn builder() -> GuestBuilder {
        GuestBuilder {
            name: "flatline-lab".to_owned(),
            qemu: None,
            kernel: None,
            accelerator: None,
            qmp_socket: None,
            scratch: Vec::new(),
            memory_mib: 512,
            cpus: 1,
            programs: Vec::new(),
            files: BTreeMap::new(),
            disks: Vec::new(),
            ports: Vec::new(),
            modules: Vec::new(),
            kernel_arguments: Vec::new(),
            qemu_arguments: Vec::new(),
            script: String::new(),
            boot_deadline: Duration::from_secs(180),
        }
    }

    /// Where a forwarded port of the guest is reached on the host.
    pub fn address(&self, port: u16) -> Result<SocketAddr> {
        let found = self.forwarded.get(&port).map(|&host| SocketAddr::from((Ipv4Addr::LOCALHOST, host)));
        found.ok_or_else(|| Error::peer("guest")(format!("port {port} is not forwarded")))
    }

    /// Runs a shell command in the guest and waits for its end; at the deadline it is killed, which is an error.
    pub fn run(&self, command: &str, deadline: Duration) -> Result<Output> {
        self.agent.run(command, deadline)
    }

    /// Runs a shell command that has to succeed, and returns what it printed.
    pub fn sh(&self, command: &str) -> Result<String> {
        let output = self.run(command, Duration::from_secs(30))?;
        if output.status == 0 {
            return Ok(output.stdout);
        }
        Err(Error::Failed {
            command: command.to_owned(),
            status: format!("exit status: {}", output.status),
            output: output.stdout + &output.stderr,
        })
    }

    /// What the console (and QEMU itself) said, the last megabyte of it.
    pub fn console(&self) -> String {
        self.qemu.log().text()
    }

    /// The console as a [`Log`].
    pub fn console_log(&self) -> &Log {
        self.qemu.log()
    }

    /// Waits until the console has said `marker`.
    pub fn wait_for_console(&self, marker: &str, deadline: Duration) -> Result<()> {
        self.qemu.log().wait_for_text(marker, deadline)
    }

    /// The QMP socket for whatever is under test; the lab itself never connects to it.
    pub fn qmp_socket(&self) -> PathBuf {
        self.qmp_socket.clone()
    }

    /// The lab's own monitor, to break the guest with. One at a time.
    pub fn qmp(&self) -> Result<Qmp> {
        Qmp::connect(&self.directory.path().join("control"), MONITOR_PATIENCE)
    }

    /// Pulls the plug and puts it back (`system_reset`), and waits until it has booted once more.
    pub fn reset(&self, deadline: Duration) -> Result<()> {
        self.boots_again(deadline, || self.qmp()?.execute("system_reset", &json!({})).map(drop))
    }

    /// Waits until the guest has booted once more because of what `cause` does to it.
    pub fn boots_again(&self, deadline: Duration, cause: impl FnOnce() -> Result<()>) -> Result<()> {
        let boots = |text: &str| text.matches(READY).count();
        let before = boots(&self.console());
        cause()?;
        let again = |text: &str| (boots(text) > before).then_some(());
        self.qemu.log().wait_for(deadline, again).ok_or_else(|| Error::Deadline {
            what: "the guest's ready marker after it was reset".to_owned(),
            deadline,
            seen: self.qemu.log().tail(30),
        })
    }

    /// Stops QEMU itself (`SIGSTOP`) and returns when it stands still: no monitor answers.
    pub fn suspend(&self) -> Result<()> {
        self.qemu.suspend()
    }

    /// Lets a suspended QEMU go on.
    pub fn resume(&self) -> Result<()> {
        self.qemu.resume()
    }

    /// The guest's directory on the host: `disk0`, `disk1` ... are its disks.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// QEMU's process id.
    pub fn process_id(&self) -> u32 {
        self.qemu.id()
    }

    /// The kernel it boots.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What it runs on: `QEMU 7.2.22 (TCG)`.
    pub fn hypervisor(&self) -> &str {
        &self.hypervisor
    }

    /// How long it took from nothing to ready.
    pub fn boot_time(&self) -> Duration {
        self.boot_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_ports_are_read_from_qemu() {
        let listing = "Hub -1 (net):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  \
             TCP[HOST_FORWARD]  14       127.0.0.1 41234       10.0.2.15 10120     0     0\n";
        assert_eq!(parse_usernet(listing), BTreeMap::from([(10120, 41234)]));
        assert!(parse_usernet("TCP[HOST_FORWARD] 14").is_empty());
    }
}

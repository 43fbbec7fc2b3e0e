//! Virtual machines as the host's file system shows them: where their QMP sockets are, what Proxmox VE and QEMU's
//! command line say about their disks, how QEMU's process is, and what their network cards have carried.
//!
//! Nothing here talks to QEMU. What may hang is apart, for a thread that may be left behind:
//! [`proxmox::read_proxmox_config`] (`/etc/pve` is a FUSE file system) and [`command_line::read_command_line`]
//! (waits for the memory lock of the process it looks at).

pub mod command_line;
pub mod discovery;
mod keyval;
mod listing;
mod pattern;
pub mod process;
pub mod proxmox;
pub mod sockets;
pub mod tap;

pub use command_line::{CommandLine, DiskDevice, read_command_line};
pub use discovery::{Discovery, Options, Source, Vm, discover};
pub use pattern::{Pattern, PatternError};
pub use process::{Process, State, read_process};
pub use proxmox::{Limits, ProxmoxConfig, ProxmoxDisk, read_proxmox_config};
pub use sockets::{Clients, read_clients};
pub use tap::{Tap, read_taps};

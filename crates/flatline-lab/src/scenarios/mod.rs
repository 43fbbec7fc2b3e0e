//! The incidents, to be put on any guest: with the exporter inside, with another kernel, with more memory.

mod memcg_livelock;
mod vm_disk;

pub use memcg_livelock::{MemcgLivelock, MemcgState, memcg_livelock};
pub use vm_disk::{Backend, Cdrom, Controller, DiskState, DiskVm, Proxmox, VmDisk, vm_disk};

use std::path::PathBuf;

use serde_json::Value;

use crate::{Error, Program, Result};

/// The program `guest-workload`, built by cargo if it isn't yet: tests of other crates have no other way to it.
pub fn workload() -> Result<PathBuf> {
    built("flatline-lab", "guest-workload")
}

/// A program of this workspace, built by cargo if it isn't yet: as this one was, for debugging or for release.
pub(crate) fn built(package: &str, program: &str) -> Result<PathBuf> {
    let cargo = match std::env::var_os("CARGO") {
        Some(path) => Program::at(path),
        None => Program::find("cargo", "cargo")?,
    };
    let messages = cargo
        .args(["build", "--quiet", "--locked", "--package", package, "--bin", program])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .args(["--message-format", "json", "--manifest-path"])
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")])
        .run()?;
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == program;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    };
    messages.lines().find_map(executable).ok_or_else(|| Error::peer("cargo build")(format!("built no {program}")))
}

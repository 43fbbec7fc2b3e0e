//! Real machines to break, and the real Prometheus that has to notice.
//!
//! [`Guest`] boots a Debian kernel in QEMU with busybox, the given binaries and a shell script; [`Prometheus`],
//! [`Alertmanager`] and [`SlackReceiver`] are the far end of the alert path, [`Chain`] is all of it; [`scenarios`] are the incidents, and
//! [`drills`] run them end to end, which is what the program `flatline-lab` does; [`report`] tells what came of it.
//! Whatever is started here is gone when its handle is dropped, or when the process that held it dies.
//!
//! ```no_run
//! # use std::time::Duration;
//! # fn main() -> flatline_lab::Result<()> {
//! use flatline_lab::{Guest, Prometheus, Scrape};
//!
//! let guest = Guest::builder()
//!     .binary("target/debug/flatline-exporter")
//!     .forward(10120)
//!     .script("flatline-exporter &")
//!     .boot()?;
//! let prometheus = Prometheus::builder().scrape(Scrape::new("devvm", guest.address(10120)?)).start()?;
//! prometheus.wait_until("up{job=\"devvm\"} == 1", Duration::from_secs(20))?;
//! println!("{}", guest.run("uname -r", Duration::from_secs(5))?.stdout);
//! # Ok(())
//! # }
//! ```
//!
//! What it needs from Debian is installed by `scripts/install-test-deps.sh`; what is missing is an error that names
//! the package. Guests are x86-64 and run under TCG: a `/dev/kvm` that opens says nothing about whether a guest
//! boots on it. `FLATLINE_LAB_ACCEL=probe` uses KVM after a probe guest has really booted on it.

mod agent;
mod alertmanager;
mod assets;
mod chain;
pub mod drills;
mod error;
mod guest;
mod http;
mod initramfs;
mod log;
mod others;
mod plot;
mod process;
mod prometheus;
mod qemu;
mod qmp;
pub mod report;
pub mod scenarios;
mod slack;

pub use agent::Output;
pub use alertmanager::{Alertmanager, Notification};
pub use assets::{Kernel, cache_directory};
pub use chain::Chain;
pub use error::{Error, Result};
pub use guest::{Accelerator, Guest, GuestBuilder};
pub use http::{Relay, Relayed, StaticServer};
pub use initramfs::Initramfs;
pub use log::Log;
pub use others::Others;
pub use process::{Program, Running};
pub use prometheus::{
    Alert, AlertState, Labels, Metadata, Prometheus, PrometheusBuilder, Sample, Scrape, Target, TargetHealth,
};
pub use qemu::Qemu;
pub use qmp::Qmp;
pub use slack::{SlackMessage, SlackReceiver};

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Says that a test, or a part of it, did not run: on standard error even where the test harness keeps a passing test's
/// words to itself, and as a line of the file `$FLATLINE_LAB_SKIPPED`, where that is set, for who counts them.
pub fn skipped(what: &str, why: impl std::fmt::Display) {
    let line = format!("SKIPPED: {what}: {}\n", why.to_string().replace('\n', "; "));
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("FLATLINE_LAB_SKIPPED").filter(|list| !list.is_empty()) {
        let written = File::options().append(true).create(true).open(&list);
        if let Err(error) = written.and_then(|mut list| list.write_all(line.as_bytes())) {
            let _ = writeln!(std::io::stderr(), "{}: {error}", list.display());
        }
    }
}

/// Asks `attempt` again and again until it answers, or fails with what it waited for.
///
/// `attempt` returns `Ok(None)` while there is nothing yet.
pub fn wait_for<T>(
    what: impl Into<String>,
    deadline: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(Error::Deadline { what: what.into(), deadline, seen: String::new() });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

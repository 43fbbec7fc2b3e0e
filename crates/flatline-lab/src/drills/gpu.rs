//! A GPU whose driver answers nobody any more.

use std::path::Path;

use super::host::{machine, watched, with_exporters};
use super::{Drill, Pace, Plot, SOON};
use crate::{Program, Result};

/// The tree of a host with a Radeon AI PRO R9700, as sysfs shows it.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/gpu/r9700");
/// Its edge sensor, in the guest.
const SENSOR: &str = "/gpu/sys/bus/pci/devices/0000:0b:00.0/hwmon/hwmon3/temp1_input";

/// No guest here has a GPU: the exporter in it reads a recorded tree, and a pipe that nobody writes to stands in for the
/// sensor. Whoever reads it hangs in the kernel, as with a driver that waits for its firmware for ever.
pub(super) static HANGS: Drill = Drill {
    name: "gpu-hang",
    breaks: "a GPU's driver answers nobody: whoever reads a sensor hangs (a recorded tree, the sensor a pipe)",
    pace: Pace::Production,
    expects: &["GpuStuck"],
    tolerates: &[],
    plots: &[
        Plot { title: "up", query: "up" },
        Plot { title: "edge temperature (°C)", query: "flatline_gpu_temperature_celsius{sensor=\"edge\"}" },
        Plot { title: "no answer for (s)", query: "flatline_gpu_stuck_seconds" },
    ],
    play: |session| {
        let unpack = "mkdir /gpu; tar -xf /lab/gpu.tar -C /gpu";
        let machine = machine().file("/lab/gpu.tar", recorded_tree()?).script(unpack);
        // The tree has no network.
        let flags = "--path.sysfs=/gpu/sys --no-collector.reachability";
        let guest = watched(session, &with_exporters(machine, flags)?)?;
        session.until_true("flatline_gpu_temperature_celsius", SOON)?;
        session.settle()?;
        guest.sh(&format!("rm {SENSOR}; mkfifo {SENSOR}"))?;
        session.onset("the sensor is a pipe that nobody writes to");
        session.until_told(SOON)?;
        guest.sh(&format!("mv {SENSOR} /pipe; echo 44000 >{SENSOR}; echo 43000 >/pipe"))?;
        session.relief("it answers");
        session.until_over("GpuStuck", SOON)
    },
};

/// An archive of the tree: it has links.
fn recorded_tree() -> Result<Vec<u8>> {
    let archive = tempfile::NamedTempFile::new().map_err(crate::Error::file("/tmp"))?;
    let program = Program::find("tar", "tar")?.args(["--create", "--owner=0", "--group=0", "--file"]);
    program.args([archive.path(), Path::new("--directory"), Path::new(RECORDED), Path::new(".")]).run()?;
    std::fs::read(archive.path()).map_err(crate::Error::file(archive.path()))
}

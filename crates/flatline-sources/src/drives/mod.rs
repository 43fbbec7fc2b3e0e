//! Drives: which there are, how warm they are, and what `smartctl` says of them. Nothing here starts a process.

mod smart;

pub use smart::{CRITICAL_WARNINGS, Figures, Report, State};

use crate::read::{SMALL_FILE, read_optional};
use crate::{HostPath, Roots, SourceError};

/// Drives that are looked at; no host has more that smartctl could be asked about in its interval.
const MAX_DRIVES: usize = 256;
/// Entries of a directory that are looked at for them.
const MAX_ENTRIES: usize = 65_536;
/// Sensors of one drive: NVMe has nine at most.
const MAX_SENSORS: usize = 16;

/// The names of the drives that may know SMART, in order: `sda`, `nvme0`. Partitions, loops, RAIDs and virtual disks
/// are not among them. `None` when the host does not show its block devices.
#[must_use]
pub fn names(roots: &Roots) -> Option<Vec<String>> {
    let disks = entries(&roots.sysfs.join("block"))?.into_iter().filter(|name| is_disk(name));
    let controllers = entries(&roots.sysfs.join("class/nvme")).unwrap_or_default();
    let mut names: Vec<_> = disks.chain(controllers).collect();
    names.sort();
    names.truncate(MAX_DRIVES);
    Some(names)
}

fn is_disk(name: &str) -> bool {
    let letters = ["sd", "hd"].iter().find_map(|kind| name.strip_prefix(kind));
    letters.is_some_and(|letters| !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_lowercase()))
}

fn entries(directory: &HostPath) -> Option<Vec<String>> {
    directory.names(MAX_ENTRIES).ok()
}

/// A drive's directory in hwmon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thermometer {
    /// The drive's name.
    pub drive: String,
    /// Where its sensors are.
    pub directory: HostPath,
}

/// The drives that tell their temperature to the kernel (drivers `drivetemp` and `nvme`; kernel documentation:
/// `Documentation/hwmon/drivetemp.rst`, `Documentation/hwmon/sysfs-interface.rst`), in order.
#[must_use]
pub fn thermometers(roots: &Roots) -> Vec<Thermometer> {
    let hwmon = roots.sysfs.join("class/hwmon");
    let directories = entries(&hwmon).unwrap_or_default().into_iter().map(|name| hwmon.join(name));
    let mut found: Vec<_> = directories.filter_map(thermometer).collect();
    found.sort();
    found.dedup_by(|one, other| one.drive == other.drive);
    found.truncate(MAX_DRIVES);
    found
}

fn thermometer(directory: HostPath) -> Option<Thermometer> {
    let driver = text(&directory.join("name")).ok().flatten()?;
    let device = directory.join("device");
    let drive = match driver.as_str() {
        "drivetemp" => entries(&device.join("block"))?.into_iter().find(|name| is_disk(name))?,
        "nvme" => device.read_link().ok()?.file_name()?.to_str()?.to_owned(),
        _ => return None,
    };
    Some(Thermometer { drive, directory })
}

/// One sensor of a drive, in degrees Celsius.
#[derive(Debug, Clone, PartialEq)]
pub struct Temperature {
    /// What it measures: the driver's name for it, or `temp1`.
    pub sensor: String,
    /// How warm it is; `None` when the drive does not tell now.
    pub celsius: Option<f64>,
    /// From where on it is too warm, if the drive says.
    pub critical: Option<f64>,
}

/// Asks the drive for its temperatures. This waits for the drive, and hangs with it.
///
/// # Errors
/// When a file exists and can't be read.
pub fn read_temperatures(directory: &HostPath) -> Result<Vec<Temperature>, SourceError> {
    let mut temperatures: Vec<Temperature> = Vec::new();
    for number in 1..=MAX_SENSORS {
        let file = |kind: &str| directory.join(format!("temp{number}_{kind}"));
        let Some(input) = text(&file("input"))? else { continue };
        let label = text(&file("label"))?.filter(|label| !label.is_empty());
        let own = label.map(|label| label.to_lowercase().replace(' ', "_"));
        let is_free = |name: &String| !temperatures.iter().any(|other| other.sensor == *name);
        temperatures.push(Temperature {
            sensor: own.filter(is_free).unwrap_or_else(|| format!("temp{number}")),
            celsius: degrees(&input),
            critical: text(&file("crit"))?.as_deref().and_then(degrees),
        });
    }
    Ok(temperatures)
}

fn degrees(millidegrees: &str) -> Option<f64> {
    millidegrees.parse::<i32>().ok().map(|millidegrees| f64::from(millidegrees) / 1000.0)
}

fn text(path: &HostPath) -> Result<Option<String>, SourceError> {
    let mut content = Vec::new();
    let there = read_optional(path, SMALL_FILE, &mut content)?;
    Ok(there.then(|| String::from_utf8_lossy(content.trim_ascii()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn write(path: &Path, content: &str) {
        std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        std::fs::write(path, content).expect("write");
    }

    #[test]
    fn drives_are_told_from_what_only_looks_like_one() {
        let tree = tempfile::tempdir().expect("directory");
        let roots = Roots::under(tree.path());
        assert_eq!(names(&roots), None);
        for name in ["sda", "sdaa", "sda1", "nvme0n1", "loop0", "dm-0", "vda", "md0", "sr0", "sd"] {
            std::fs::create_dir_all(roots.sysfs.join("block").join(name)).expect("directory");
        }
        std::fs::create_dir_all(roots.sysfs.join("class/nvme/nvme0")).expect("directory");
        assert_eq!(names(&roots).expect("block devices"), ["nvme0", "sda", "sdaa"]);
    }

    #[test]
    fn temperatures_of_both_drivers() {
        let tree = tempfile::tempdir().expect("directory");
        let roots = Roots::under(tree.path());
        let hwmon = roots.sysfs.join("class/hwmon");
        write(&hwmon.join("hwmon0/name"), "k10temp\n");
        write(&hwmon.join("hwmon1/name"), "drivetemp\n");
        std::fs::create_dir_all(hwmon.join("hwmon1/device/block/sda")).expect("directory");
        write(&hwmon.join("hwmon1/temp1_input"), "35000\n");
        write(&hwmon.join("hwmon2/name"), "nvme\n");
        std::fs::create_dir_all(tree.path().join("sys/devices/nvme0")).expect("directory");
        std::os::unix::fs::symlink("../../../devices/nvme0", hwmon.join("hwmon2/device")).expect("link");
        write(&hwmon.join("hwmon2/temp1_input"), "38850\n");
        write(&hwmon.join("hwmon2/temp1_label"), "Composite\n");
        write(&hwmon.join("hwmon2/temp1_crit"), "84850\n");
        write(&hwmon.join("hwmon2/temp3_input"), "-2000\n");
        write(&hwmon.join("hwmon2/temp3_label"), "Sensor 2\n");
        let found = thermometers(&roots);
        assert_eq!(found.iter().map(|found| found.drive.as_str()).collect::<Vec<_>>(), ["nvme0", "sda"]);
        let temperature = |sensor: &str, celsius, critical| Temperature {
            sensor: sensor.to_owned(),
            celsius: Some(celsius),
            critical,
        };
        let nvme = [temperature("composite", 38.85, Some(84.85)), temperature("sensor_2", -2.0, None)];
        assert_eq!(read_temperatures(&found[0].directory).expect("read"), nvme);
        assert_eq!(read_temperatures(&found[1].directory).expect("read"), [temperature("temp1", 35.0, None)]);
    }
}

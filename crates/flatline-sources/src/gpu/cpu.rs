//! The temperature of processor packages: k10temp and coretemp
//! (kernel documentation: `Documentation/hwmon/k10temp.rst`, `coretemp.rst`).

use super::cards::link_name;
use super::files::Files;
use super::parse::milli;
use crate::{Roots, SourceError};

/// One temperature of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuTemperature {
    /// The device it belongs to, one per package: `0000:00:18.3`, `coretemp.0`.
    pub chip: String,
    /// `tctl` (what the fans and the processor go by), `tdie` or `package`.
    pub sensor: &'static str,
    /// Degrees Celsius.
    pub celsius: f64,
}

/// Reads them all. No other device's sensors are touched, only the names of their drivers.
#[must_use]
pub fn cpu_temperatures(roots: &Roots) -> (Vec<CpuTemperature>, Vec<SourceError>) {
    let mut files = Files::new(roots.sysfs.join("class/hwmon"));
    let mut found = Vec::new();
    for hwmon in files.list("") {
        let name = files.text(&format!("{hwmon}/name")).unwrap_or_default();
        if !matches!(name.as_str(), "k10temp" | "coretemp") {
            continue;
        }
        let chip = link_name(&files.directory().join(&hwmon).join("device"));
        let chip = if chip.is_empty() { hwmon.clone() } else { chip };
        // The package's own are the first ones; cores and dies follow.
        for channel in 1..=2 {
            let label = files.text(&format!("{hwmon}/temp{channel}_label")).unwrap_or_default();
            // Old processors have a single sensor without a label.
            let Some(sensor) = sensor(&label).or((name == "k10temp" && channel == 1).then_some("tctl")) else {
                continue;
            };
            let input = format!("{hwmon}/temp{channel}_input");
            if let Some(celsius) = files.value(&input, "thousandths of a degree", milli) {
                found.push(CpuTemperature { chip: chip.clone(), sensor, celsius });
            }
        }
    }
    (found, files.faults)
}

fn sensor(label: &str) -> Option<&'static str> {
    match label {
        "Tctl" => Some("tctl"),
        "Tdie" => Some("tdie"),
        package if package.starts_with("Package id ") || package.starts_with("Physical id ") => Some("package"),
        _ => None,
    }
}

//! One look at one card. It may hang with the card: the caller sees to it that nobody else does.

use super::cards::directory;
use super::files::Files;
use super::parse::{
    duty, error_counts, flag, float, hex, is_address, link_speed, link_width, mega, micro, milli, percent, power_state,
    sensor,
};
use super::{Card, Facts, Link, Look, Named, Nvidia, NvmlState, Temperature, Values, nvml};
use crate::value::number_file;
use crate::{HostPath, Roots};
use std::path::Path;

/// Lists of a card that come from its driver end here.
const MAX_NAMED: usize = 64;

/// Looks at a card, and leaves it alone if it sleeps.
#[must_use]
pub fn look(roots: &Roots, card: &Card, nvidia: &Nvidia) -> Look {
    let mut files = Files::new(directory(roots, card));
    let power = files.value("power/runtime_status", "active, suspended ...", power_state);
    let awake = power.is_none_or(super::PowerState::is_awake);
    let mut facts = awake.then(|| facts(&mut files));
    let mut values = awake.then(|| values(&mut files, card));
    let (mut nvml, mut there) = (None, true);
    if card.driver == nvml::NVIDIA_DRIVER {
        let (state, answers) = match (&mut facts, &mut values) {
            (Some(facts), Some(values)) => nvidia.read(card, &mut files, facts, values),
            _ => (NvmlState::Off(nvml::SLEEPS), true),
        };
        (nvml, there) = (Some(state), answers);
    }
    there &= files.directory().join("vendor").exists();
    Look { there, power, facts, values, nvml, unread: files.unread, faults: files.faults }
}

fn facts(files: &mut Files) -> Facts {
    let names = files.list("fw_version");
    let versions = names.iter().take(MAX_NAMED).filter_map(|name| {
        let firmware = name.strip_suffix("_fw_version")?;
        Some((firmware.to_owned(), files.text(&format!("fw_version/{name}"))?))
    });
    let firmwares = versions.collect();
    Facts {
        model: files.text("product_name").unwrap_or_default(),
        firmware: files.text("vbios_version").unwrap_or_default(),
        firmwares,
    }
}

fn values(files: &mut Files, card: &Card) -> Values {
    let mut values = Values::default();
    for hwmon in files.list("hwmon").into_iter().filter(|name| name.starts_with("hwmon")) {
        sensors(files, &format!("hwmon/{hwmon}"), &mut values);
    }
    match card.driver.as_str() {
        "amdgpu" => amdgpu(files, &mut values),
        "i915" => i915(files, &mut values),
        "xe" => xe(files, &mut values),
        _ => {}
    }
    values.link = link(files);
    values
}

/// Everything one hwmon device has. The driver shows only the files its card can answer.
fn sensors(files: &mut Files, directory: &str, values: &mut Values) {
    let chip = files.text(&format!("{directory}/name")).unwrap_or_default();
    let entries = files.list(directory);
    for entry in entries.iter().map(String::as_str) {
        let (channel, attribute) = entry.split_once('_').unwrap_or((entry, ""));
        let kind = channel.trim_end_matches(|c: char| c.is_ascii_digit());
        let at = |attribute: &str| format!("{directory}/{channel}_{attribute}");
        match (kind, attribute) {
            ("temp", "input") => temperature(files, &chip, channel, at, values),
            ("power", "average") if channel == "power1" => {
                values.power_watts = files.value(&at("average"), "microwatts", micro).or(values.power_watts);
            }
            ("power", "input") if channel == "power1" && values.power_watts.is_none() => {
                values.power_watts = files.value(&at("input"), "microwatts", micro);
            }
            ("power", "cap" | "max" | "crit" | "rated_max") if channel == "power1" => {
                let limit = files.value(&at(attribute), "microwatts", micro).filter(|watts| *watts > 0.0);
                add(&mut values.power_limits, attribute, limit);
            }
            ("energy", "input") => {
                let label = files.text(&at("label")).map(|label| sensor(&label));
                let joules = files.value(&at("input"), "microjoules", micro);
                add(&mut values.energy_joules, &label.unwrap_or_else(|| domain(&chip)), joules);
            }
            ("freq", "input") => {
                let label = files.text(&at("label")).unwrap_or_else(|| channel.to_owned());
                add(&mut values.clocks, &clock(&label), files.value(&at("input"), "hertz", float));
            }
            ("fan", "input") => add(&mut values.fan_rpm, channel, files.value(&at("input"), "rpm", number_file)),
            ("pwm", "") => {
                let fan = channel.replace("pwm", "fan");
                add(&mut values.fan_duty, &fan, files.value(&format!("{directory}/{entry}"), "0 to 255", duty));
            }
            _ => {}
        }
    }
}

fn temperature(files: &mut Files, chip: &str, channel: &str, at: impl Fn(&str) -> String, values: &mut Values) {
    let label = files.text(&at("label")).map(|label| sensor(&label));
    // Before they had labels, the only one of amdgpu was the edge; i915 has the package's.
    let sensor = label.unwrap_or_else(|| match (chip, channel) {
        ("amdgpu", "temp1") => "edge".to_owned(),
        ("i915", "temp1") => "package".to_owned(),
        _ => channel.to_owned(),
    });
    if values.temperatures.len() >= MAX_NAMED || values.temperatures.iter().any(|known| known.sensor == sensor) {
        return;
    }
    let mut celsius = |attribute: &str| files.value(&at(attribute), "thousandths of a degree", milli);
    let (now, critical, emergency) = (celsius("input"), celsius("crit"), celsius("emergency"));
    values.temperatures.push(Temperature { sensor, celsius: now, critical, emergency });
}

/// What uses the energy that a chip without a label counts: `i915_gt0` is a part, `i915` the whole card.
fn domain(chip: &str) -> String {
    chip.rsplit_once('_').map_or("card", |(_, part)| part).to_owned()
}

fn clock(label: &str) -> String {
    match label {
        "sclk" => "graphics".to_owned(),
        "mclk" => "memory".to_owned(),
        other => sensor(other),
    }
}

/// Adds a value if there is one, once per name.
fn add<T>(values: &mut Vec<Named<T>>, name: &str, value: Option<T>) {
    if let Some(value) = value
        && values.len() < MAX_NAMED
        && !values.iter().any(|(known, _)| known == name)
    {
        values.push((name.to_owned(), value));
    }
}

fn amdgpu(files: &mut Files, values: &mut Values) {
    for (engine, file) in
        [("graphics", "gpu_busy_percent"), ("memory", "mem_busy_percent"), ("video", "vcn_busy_percent")]
    {
        add(&mut values.utilization, engine, files.value(file, "percent", percent));
    }
    values.memory_used = files.value("mem_info_vram_used", "bytes", number_file);
    values.memory_total = files.value("mem_info_vram_total", "bytes", number_file);
    for file in files.list("ras") {
        let Some(block) = file.strip_suffix("_err_count") else { continue };
        match files.value(&format!("ras/{file}"), "lines like ue: 0", error_counts) {
            Some(Some(counts)) => add(&mut values.errors, block, Some(counts)),
            Some(None) => files.unanswered(super::Reason::Busy),
            None => {}
        }
    }
}

/// `drm/cardN/gt/gtM/` since Linux 5.18, `drm/cardN/` before.
fn i915(files: &mut Files, values: &mut Values) {
    for card in files.list("drm").into_iter().filter(|name| name.starts_with("card")) {
        let directory = format!("drm/{card}/gt");
        let parts: Vec<String> = files.list(&directory).into_iter().filter(|name| name.starts_with("gt")).collect();
        for gt in &parts {
            let hertz = files.value(&format!("{directory}/{gt}/rps_act_freq_mhz"), "megahertz", mega);
            add(&mut values.clocks, gt, hertz);
            throttle(files, &format!("{directory}/{gt}"), "throttle_reason_", values);
        }
        if parts.is_empty() {
            let hertz = files.value(&format!("drm/{card}/gt_act_freq_mhz"), "megahertz", mega);
            add(&mut values.clocks, "gt0", hertz);
        }
    }
}

/// `tileN/gtM/freq0/`.
fn xe(files: &mut Files, values: &mut Values) {
    for tile in files.list("").into_iter().filter(|name| name.starts_with("tile")) {
        for gt in files.list(&tile).into_iter().filter(|name| name.starts_with("gt")) {
            let directory = format!("{tile}/{gt}/freq0");
            add(&mut values.clocks, &gt, files.value(&format!("{directory}/act_freq"), "megahertz", mega));
            throttle(files, &format!("{directory}/throttle"), "reason_", values);
        }
    }
}

/// The reasons in a directory; one that holds for any part of the card holds for the card.
fn throttle(files: &mut Files, directory: &str, prefix: &str, values: &mut Values) {
    for file in files.list(directory) {
        // `status` is whether there is any.
        let Some(reason) = file.strip_prefix(prefix).filter(|reason| *reason != "status") else { continue };
        let Some(holds) = files.value(&format!("{directory}/{file}"), "0 or 1", flag) else { continue };
        match values.throttle.iter_mut().find(|(known, _)| known == reason) {
            Some((_, held)) => *held |= holds,
            None => add(&mut values.throttle, reason, Some(holds)),
        }
    }
}

fn link(files: &mut Files) -> Link {
    let at = link_device(files);
    let mut speed = |name: &str| files.value_at(&at.join(name), "a speed like 16.0 GT/s PCIe", link_speed).flatten();
    let (now, most) = (speed("current_link_speed"), speed("max_link_speed"));
    let mut width = |name: &str| files.value_at(&at.join(name), "a number of lanes", link_width).flatten();
    let (lanes, most_lanes) = (width("current_link_width"), width("max_link_width"));
    Link { speed: now, max_speed: most, width: lanes, max_width: most_lanes }
}

/// The device whose link goes to the host. Cards of AMD since Navi and Intel's Arc sit behind a switch of their own,
/// and the link of the chip itself says nothing (2.5 GT/s x1 on Arc): then it is the switch's upper port, two levels up,
/// of the same maker, and below a port that is not the card's.
fn link_device(files: &mut Files) -> HostPath {
    switch_above(files).unwrap_or_else(|| files.directory().clone())
}

fn switch_above(files: &mut Files) -> Option<HostPath> {
    let card = files.directory().clone();
    // `../../../devices/pci0000:00/<port>/<upper>/<lower>/<card>`, below which `..` leads up from where the card is.
    let place = card.read_link().ok()?;
    let ports = place.ancestors().skip(1).take(3);
    if ports.filter(|port| is_pci(port)).count() < 3 {
        return None;
    }
    let (lower, upper) = (card.join(".."), card.join("../.."));
    let mut vendor = |device: &HostPath| files.value_at(&device.join("vendor"), "a number like 0x1002", hex);
    let own = vendor(&card)?;
    (vendor(&lower) == Some(own) && vendor(&upper) == Some(own)).then_some(upper)
}

fn is_pci(device: &Path) -> bool {
    device.file_name().and_then(|name| name.to_str()).is_some_and(is_address)
}

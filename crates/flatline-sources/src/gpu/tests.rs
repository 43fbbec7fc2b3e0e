//! On recorded formats of real drivers (`fixtures/gpu`).

use super::{Card, Finder, Look, Nvidia, PowerState, Reason, Vendor, cpu_temperatures};
use crate::Roots;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn tree(name: &str) -> Roots {
    Roots::under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gpu").join(name))
}

fn cards(roots: &Roots) -> Vec<Card> {
    Finder::new(roots).list(&mut |fault| panic!("{fault}")).expect("a bus")
}

fn look(roots: &Roots, card: &Card) -> Look {
    super::look(roots, card, &Nvidia::new(roots, ""))
}

fn only(roots: &Roots) -> (Card, Look) {
    let mut cards = cards(roots);
    assert_eq!(cards.len(), 1, "{cards:?}");
    let card = cards.remove(0);
    let look = look(roots, &card);
    (card, look)
}

/// A card as small as one can be, to be spoiled.
fn made_up(directory: &Path) -> (Roots, PathBuf) {
    let roots = Roots::under(directory);
    let device = roots.sysfs.join("bus/pci/devices/0000:03:00.0");
    std::fs::create_dir_all(device.join("hwmon/hwmon4")).expect("directory");
    std::fs::create_dir_all(device.join("power")).expect("directory");
    let files = [
        ("vendor", "0x1002"),
        ("device", "0x747e"),
        ("class", "0x030000"),
        ("power/runtime_status", "active"),
        ("hwmon/hwmon4/name", "amdgpu"),
        ("hwmon/hwmon4/temp1_input", "41000"),
    ];
    for (name, content) in files {
        std::fs::write(device.join(name), content).expect("write");
    }
    symlink("../../../../bus/pci/drivers/amdgpu", device.join("driver")).expect("link");
    (roots, device.to_path_buf())
}

fn named<T: Copy>(values: &[(String, T)]) -> Vec<(&str, T)> {
    values.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

#[test]
fn a_radeon_behind_its_own_switch() {
    let (card, look) = only(&tree("r9700"));
    assert_eq!((card.address.as_str(), card.vendor, card.ids.as_str()), ("0000:0b:00.0", Vendor::Amd, "1002:7551"));
    assert_eq!((card.driver.as_str(), card.driver_version.as_str(), card.works()), ("amdgpu", "6.16.6", true));
    assert!(look.there && look.faults.is_empty() && look.power == Some(PowerState::Active));
    let values = look.values.expect("awake");
    let temperatures: Vec<_> =
        values.temperatures.iter().map(|t| (t.sensor.as_str(), t.celsius, t.critical, t.emergency)).collect();
    assert_eq!(
        temperatures,
        [
            ("edge", Some(61.0), Some(100.0), Some(105.0)),
            ("junction", Some(84.0), Some(110.0), Some(115.0)),
            ("memory", Some(88.0), Some(108.0), Some(113.0)),
        ]
    );
    assert_eq!(values.power_watts, Some(287.0));
    assert_eq!(named(&values.power_limits), [("cap", 300.0)]);
    assert_eq!(named(&values.clocks), [("graphics", 2.35e9), ("memory", 1.258e9)]);
    assert_eq!(named(&values.utilization), [("graphics", 0.97), ("memory", 0.54), ("video", 0.0)]);
    assert_eq!((values.memory_used, values.memory_total), (Some(28_991_029_248), Some(34_208_743_424)));
    assert_eq!(named(&values.fan_rpm), [("fan1", 2941)]);
    assert_eq!(named(&values.fan_duty), [("fan1", 148.0 / 255.0)]);
    assert!(values.errors.is_empty() && values.throttle.is_empty() && values.energy_joules.is_empty());
    // The slot has 16 GT/s; the chip's own link to its switch has 32.
    assert_eq!((values.link.speed, values.link.max_speed), (Some(16e9), Some(32e9)));
    let facts = look.facts.expect("awake");
    assert_eq!(facts.firmware, "113-APM7489-DS2-100");
    assert!(facts.firmwares.contains(&("smc".to_owned(), "0x00684a00".to_owned())));
}

#[test]
fn an_accelerator_below_somebody_elses_switch_without_its_virtual_functions() {
    let (card, look) = only(&tree("mi300x"));
    assert_eq!(
        (card.address.as_str(), look.facts.expect("awake").model.as_str()),
        ("0000:c1:00.0", "AMD Instinct MI300X OAM")
    );
    let values = look.values.expect("awake");
    let sensors: Vec<_> = values.temperatures.iter().map(|temperature| temperature.sensor.as_str()).collect();
    assert_eq!(sensors, ["junction", "memory"]);
    assert_eq!(values.power_watts, Some(702.0), "there is no average");
    let (block, counts) = values.errors.iter().find(|(block, _)| block == "umc").expect("memory");
    assert_eq!(
        (block.as_str(), counts.uncorrectable, counts.correctable, counts.deferred),
        ("umc", Some(0), Some(3), Some(1))
    );
    assert!(values.errors.iter().all(|(block, _)| block != "xgmi_wafl"), "it could not say");
    assert_eq!(look.unread.counts().find(|(reason, _)| *reason == Reason::Busy), Some((Reason::Busy, 1)));
    assert_eq!((values.link.speed, values.link.width), (Some(32e9), Some(16)));
    assert!(values.fan_rpm.is_empty());
}

#[test]
fn an_apu_has_what_it_has() {
    let (card, look) = only(&tree("strix-halo"));
    assert_eq!((card.ids.as_str(), card.driver_version.as_str()), ("1002:1586", ""));
    let values = look.values.expect("awake");
    assert_eq!(values.temperatures.len(), 1);
    assert_eq!((values.temperatures[0].critical, values.power_watts), (None, Some(21.058)));
    assert_eq!(named(&values.clocks), [("graphics", 1.174e9)]);
    assert_eq!(named(&values.utilization), [("graphics", 0.12)]);
    assert!(values.power_limits.is_empty() && values.fan_rpm.is_empty());
}

#[test]
fn an_arc_with_xe() {
    let (card, look) = only(&tree("arc-b580"));
    assert_eq!((card.vendor, card.driver.as_str()), (Vendor::Intel, "xe"));
    let values = look.values.expect("awake");
    let temperatures: Vec<_> = values.temperatures.iter().map(|t| (t.sensor.as_str(), t.celsius)).collect();
    assert_eq!(temperatures, [("package", Some(66.0)), ("memory", Some(74.0))]);
    assert_eq!(values.power_watts, None, "it counts energy");
    assert_eq!(named(&values.energy_joules), [("card", 184_467.440_737), ("package", 120_034.567_89)]);
    assert_eq!(named(&values.power_limits), [("cap", 266.0), ("max", 190.0)], "0 is no limit");
    assert_eq!(named(&values.clocks), [("gt0", 2.85e9), ("gt1", 0.0)]);
    assert_eq!(values.throttle.len(), 8);
    let held: Vec<_> = values.throttle.iter().filter(|(_, held)| *held).map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(held, ["pl1"]);
    assert_eq!(named(&values.fan_rpm), [("fan1", 1455), ("fan2", 1448), ("fan3", 0)]);
    // Not the 2.5 GT/s x1 that the chip says of itself, nor the port it hangs on.
    assert_eq!((values.link.speed, values.link.width), (Some(16e9), Some(8)));
}

#[test]
fn an_integrated_card_beside_a_sleeping_one() {
    let roots = tree("i915-amdgpu");
    let cards = cards(&roots);
    let addresses: Vec<_> = cards.iter().map(|card| card.address.as_str()).collect();
    assert_eq!(addresses, ["0000:00:02.0", "0000:03:00.0"]);
    let integrated = look(&roots, &cards[0]).values.expect("awake");
    assert_eq!(named(&integrated.clocks), [("gt0", 1.45e9)]);
    let held: Vec<_> = integrated.throttle.iter().filter(|(_, held)| *held).collect();
    assert_eq!(held, [&("thermal".to_owned(), true)]);
    let asleep = look(&roots, &cards[1]);
    let expected = Look { there: true, power: Some(PowerState::Suspended), ..Look::default() };
    assert_eq!(asleep, expected, "nothing is known of it, and nothing is 0");
}

#[test]
fn packages_of_both_makers() {
    let (ryzen, faults) = cpu_temperatures(&tree("r9700"));
    assert!(faults.is_empty());
    let ryzen: Vec<_> = ryzen.iter().map(|t| (t.chip.as_str(), t.sensor, t.celsius)).collect();
    assert_eq!(ryzen, [("0000:00:18.3", "tctl", 71.375)]);
    let (core, _) = cpu_temperatures(&tree("i915-amdgpu"));
    let core: Vec<_> = core.iter().map(|t| (t.chip.as_str(), t.sensor, t.celsius)).collect();
    assert_eq!(core, [("coretemp.0", "package", 52.0)]);
}

/// A sleeping card's files would hang whoever opens them here, as they would wake it there.
#[test]
fn a_sleeping_card_is_not_touched() {
    let directory = tempfile::tempdir().expect("directory");
    let (roots, device) = made_up(directory.path());
    for name in ["hwmon/hwmon4/temp1_input", "gpu_busy_percent", "vbios_version", "current_link_speed"] {
        let path = device.join(name);
        let _ = std::fs::remove_file(&path);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .expect("FIFO");
    }
    for state in ["suspended", "suspending", "resuming", "error"] {
        std::fs::write(device.join("power/runtime_status"), format!("{state}\n")).expect("write");
        let (_, look) = only(&roots);
        assert_eq!((look.power.map(PowerState::label), look.values, look.facts), (Some(state), None, None));
    }
}

#[test]
fn without_power_management_a_card_is_always_awake() {
    let directory = tempfile::tempdir().expect("directory");
    let (roots, device) = made_up(directory.path());
    std::fs::remove_file(device.join("power/runtime_status")).expect("there");
    let (_, look) = only(&roots);
    assert_eq!(look.power, None);
    let values = look.values.expect("awake");
    assert_eq!((values.temperatures[0].sensor.as_str(), values.temperatures[0].celsius), ("edge", Some(41.0)));
}

#[test]
fn what_does_not_answer_is_counted_and_the_rest_is_read() {
    let directory = tempfile::tempdir().expect("directory");
    let (roots, device) = made_up(directory.path());
    std::fs::write(device.join("gpu_busy_percent"), "a lot\n").expect("write");
    std::fs::create_dir(device.join("mem_busy_percent")).expect("directory");
    let (_, look) = only(&roots);
    let counts: Vec<_> = look.unread.counts().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counts, [(Reason::Invalid, 1), (Reason::Other, 1)]);
    assert_eq!(look.faults.len(), 2);
    assert_eq!(look.values.expect("awake").temperatures[0].celsius, Some(41.0));
}

#[test]
fn cards_come_and_go_and_others_are_none() {
    let directory = tempfile::tempdir().expect("directory");
    let (roots, device) = made_up(directory.path());
    let mut finder = Finder::new(&roots);
    let mut list = || finder.list(&mut |_| {}).expect("a bus");
    let card = list().remove(0);
    // Its driver lets it go, or never took it.
    std::fs::remove_file(device.join("driver")).expect("there");
    assert!(!list()[0].works());
    symlink("../../../../bus/pci/drivers/vfio-pci", device.join("driver")).expect("link");
    assert!(!list()[0].works(), "it is kept for a guest");
    std::fs::remove_dir_all(&device).expect("there");
    assert!(list().is_empty());
    let look = look(&roots, &card);
    assert!(!look.there);
    // A server's remote console has a display controller, too.
    std::fs::create_dir_all(&device).expect("directory");
    for (name, content) in [("vendor", "0x1a03"), ("device", "0x2000"), ("class", "0x030000")] {
        std::fs::write(device.join(name), content).expect("write");
    }
    assert!(list().is_empty());
}

#[test]
fn a_host_without_a_bus_has_no_cards() {
    let directory = tempfile::tempdir().expect("directory");
    let roots = Roots::under(directory.path());
    assert!(cards(&roots).is_empty());
    assert!(cpu_temperatures(&roots).0.is_empty());
}

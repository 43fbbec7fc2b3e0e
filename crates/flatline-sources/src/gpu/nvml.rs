//! NVIDIA's cards, which tell nothing through sysfs: through its library NVML, which is loaded at run time
//! (<https://docs.nvidia.com/deploy/nvml-api/>; its functions through the crate `nvml-wrapper`).
//!
//! NVML opens the cards' device nodes. That wakes all of them, and keeps them awake while a session is open. So there
//! is no session while any of them sleeps, and where the kernel may put one of them to sleep (`power/control` is
//! `auto`) a session lasts for one look only. Elsewhere it is kept: without a persistence daemon, the first session
//! starts the cards, which takes seconds.

use super::cards::bus;
use super::files::{Files, Reason};
use super::parse::{power_state, sensor, text};
use super::{Card, ErrorCounts, Facts, PowerState, Temperature, Values};
use crate::error::Fault;
use crate::{Roots, SourceError};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, TemperatureSensor as Sensor, TemperatureThreshold as Threshold,
};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_MEMORY_TEMP;
use nvml_wrapper::{Device, Nvml};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kernel's driver that NVML belongs to. nouveau's and nova's cards are not its.
pub const NVIDIA_DRIVER: &str = "nvidia";
/// Why it is not asked.
pub(super) const SLEEPS: &str = "an NVIDIA GPU sleeps, and would be woken";
/// Without it, NVML would start `nvidia-modprobe` to make it (its manual says so), and hang in fork on a host that is
/// half dead.
const NODE: &str = "dev/nvidiactl";
/// Fans that are asked for; no card has more.
const MAX_FANS: u32 = 16;

/// Whether NVML tells of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NvmlState {
    /// It does.
    On,
    /// It is not asked, and why.
    Off(&'static str),
    /// It can't, and why.
    Failed(String),
}

/// NVML for all cards of a host. It is one library: if a call hangs, further cards of NVIDIA may hang behind it, and
/// nobody else.
#[derive(Debug)]
pub struct Nvidia {
    library: OsString,
    roots: Roots,
    /// The cards it would open, by address.
    cards: Mutex<Vec<String>>,
    /// The session that is kept. Locked while it is opened, which may hang: only reads that may hang come here.
    session: Mutex<Option<Arc<Nvml>>>,
}

impl Nvidia {
    /// Takes the library's name or path; with an empty one nothing is ever loaded.
    #[must_use]
    pub fn new(roots: &Roots, library: impl Into<OsString>) -> Self {
        let (cards, session) = (Mutex::new(Vec::new()), Mutex::new(None));
        Self { library: library.into(), roots: roots.clone(), cards, session }
    }

    /// Takes down which cards there are now. Never waits for the library.
    pub fn note(&self, cards: &[Card]) {
        let its = cards.iter().filter(|card| card.driver == NVIDIA_DRIVER);
        *lock(&self.cards) = its.map(|card| card.address.clone()).collect();
    }

    /// Reads a card that is awake. Whether it is still there comes back, too: a card that has fallen off the bus is
    /// still in sysfs.
    pub(super) fn read(
        &self,
        card: &Card,
        files: &mut Files,
        facts: &mut Facts,
        values: &mut Values,
    ) -> (NvmlState, bool) {
        if self.library.is_empty() {
            return (NvmlState::Off("switched off"), true);
        }
        let node = self.roots.rootfs.join(NODE);
        if !node.exists() {
            let said = format!("no {}, which udev, nvidia-persistenced or nvidia-smi makes", node.display());
            files.faults.push(SourceError {
                path: (&*node).into(),
                fault: Fault::NotFound,
                detail: "not there".to_owned(),
            });
            return (NvmlState::Failed(said), true);
        }
        let asked = match self.session() {
            Ok(Some(nvml)) => nvml.device_by_pci_bus_id(card.address.as_str()).map(|device| {
                let mut answers = Answers { files, lost: false };
                answers.facts(&device, facts);
                answers.values(&device, values);
                answers.lost
            }),
            Ok(None) => return (NvmlState::Off(SLEEPS), true),
            Err(error) => Err(error),
        };
        match asked {
            Ok(lost) => (NvmlState::On, !lost),
            Err(NvmlError::GpuLost) => (NvmlState::On, false),
            Err(error) => {
                // A session outlives neither its driver nor an update of it.
                *lock(&self.session) = None;
                let said = words(&error);
                let (fault, detail) = (Fault::of_nvml(&error), format!("NVIDIA's library: {said}"));
                files.faults.push(SourceError { path: Path::new(&self.library).into(), fault, detail });
                (NvmlState::Failed(said), true)
            }
        }
    }

    /// A session, unless it would wake somebody.
    fn session(&self) -> Result<Option<Arc<Nvml>>, NvmlError> {
        let (awake, may_sleep) = self.sleepers();
        let mut kept = lock(&self.session);
        if !awake {
            *kept = None;
            return Ok(None);
        }
        if let Some(nvml) = kept.as_ref() {
            return Ok(Some(Arc::clone(nvml)));
        }
        let nvml = Arc::new(Nvml::builder().lib_path(&self.library).init()?);
        if !may_sleep {
            *kept = Some(Arc::clone(&nvml));
        }
        Ok(Some(nvml))
    }

    /// Whether all of its cards are awake, and whether the kernel may put one of them to sleep.
    fn sleepers(&self) -> (bool, bool) {
        let (mut awake, mut may_sleep) = (true, false);
        // Not locked while a card is read, which may hang: a scrape takes down the cards there are.
        let cards = lock(&self.cards).clone();
        for address in cards {
            let mut files = Files::new(bus(&self.roots).join(address));
            let state = files.value("power/runtime_status", "active, suspended ...", power_state);
            awake &= state.is_none_or(PowerState::is_awake);
            may_sleep |= files.text("power/control").is_some_and(|control| control == "auto");
        }
        (awake, may_sleep)
    }
}

/// A panic in another thread leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What somebody can do about it belongs to what is the matter.
fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::LibRmVersionMismatch => {
            "it does not fit the loaded driver: one of them was updated; reload the driver or reboot".to_owned()
        }
        other => other.to_string(),
    }
}

impl Fault {
    const fn of_nvml(error: &NvmlError) -> Self {
        match error {
            NvmlError::NoPermission => Self::PermissionDenied,
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::NotFound => Self::NotFound,
            _ => Self::IoError,
        }
    }
}

impl Reason {
    /// `None` for what this card or this driver does not have.
    const fn of_nvml(error: &NvmlError) -> Option<Self> {
        match error {
            NvmlError::NotSupported
            | NvmlError::FunctionNotFound
            | NvmlError::FailedToLoadSymbol(_)
            | NvmlError::InvalidArg => None,
            NvmlError::InUse => Some(Self::Busy),
            NvmlError::NoData => Some(Self::NoData),
            NvmlError::Timeout => Some(Self::Timeout),
            NvmlError::NoPermission | NvmlError::OperatingSystem => Some(Self::Permission),
            NvmlError::GpuLost => Some(Self::Vanished),
            NvmlError::ResetRequired | NvmlError::IrqIssue | NvmlError::InsufficientPower => Some(Self::IoError),
            NvmlError::Utf8Error(_) | NvmlError::UnexpectedVariant(_) | NvmlError::IncorrectBits(_) => {
                Some(Self::Invalid)
            }
            _ => Some(Self::Other),
        }
    }
}

/// Keeps account of the questions that got no answer.
struct Answers<'a> {
    files: &'a mut Files,
    lost: bool,
}

impl Answers<'_> {
    fn of<T>(&mut self, answer: Result<T, NvmlError>) -> Option<T> {
        let error = match answer {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.lost |= matches!(error, NvmlError::GpuLost);
        if let Some(reason) = Reason::of_nvml(&error) {
            self.files.unanswered(reason);
        }
        None
    }

    /// A whole number of a unit of which `per` make one of the metric's.
    fn scaled(&mut self, answer: Result<u32, NvmlError>, per: f64) -> Option<f64> {
        self.of(answer).map(|value| f64::from(value) / per)
    }

    fn facts(&mut self, device: &Device<'_>, facts: &mut Facts) {
        facts.model = self.of(device.name()).map(|name| text(name.as_bytes())).unwrap_or_default();
        facts.firmware = self.of(device.vbios_version()).map(|version| text(version.as_bytes())).unwrap_or_default();
        let gsp = self.of(device.gsp_firmware_version()).map(|version| text(version.as_bytes()));
        facts.firmwares.extend(gsp.filter(|version| !version.is_empty()).map(|version| ("gsp".to_owned(), version)));
    }

    fn values(&mut self, device: &Device<'_>, values: &mut Values) {
        self.temperatures(device, values);
        values.power_watts = self.scaled(device.power_usage(), 1e3);
        let limit = self.scaled(device.enforced_power_limit(), 1e3);
        values.power_limits.extend(limit.map(|watts| ("cap".to_owned(), watts)));
        let energy = self.of(device.total_energy_consumption());
        values.energy_joules.extend(energy.map(|millijoules| ("card".to_owned(), joules(millijoules))));
        for (name, clock) in
            [("graphics", Clock::Graphics), ("sm", Clock::SM), ("memory", Clock::Memory), ("video", Clock::Video)]
        {
            let hertz = self.scaled(device.clock_info(clock), 1e-6);
            values.clocks.extend(hertz.map(|hertz| (name.to_owned(), hertz)));
        }
        self.utilization(device, values);
        if let Some(memory) = self.of(device.memory_info()) {
            (values.memory_used, values.memory_total) = (Some(memory.used), Some(memory.total));
        }
        self.fans(device, values);
        self.throttle(device, values);
        self.errors(device, values);
    }

    fn temperatures(&mut self, device: &Device<'_>, values: &mut Values) {
        let mut threshold = |limit| self.scaled(device.temperature_threshold(limit), 1.0);
        let (critical, emergency) = (threshold(Threshold::Slowdown), threshold(Threshold::Shutdown));
        let memory_critical = threshold(Threshold::MemoryMax);
        let die = self.scaled(device.temperature(Sensor::Gpu), 1.0);
        let memory = self.memory_temperature(device);
        for (sensor, celsius, critical, emergency) in
            [("gpu", die, critical, emergency), ("memory", memory, memory_critical, None)]
        {
            // Most cards have limits for their memory, and no sensor.
            if celsius.is_some() {
                values.temperatures.push(Temperature { sensor: sensor.to_owned(), celsius, critical, emergency });
            }
        }
    }

    fn memory_temperature(&mut self, device: &Device<'_>) -> Option<f64> {
        let samples = self.of(device.field_values_for(&[FieldId(NVML_FI_DEV_MEMORY_TEMP)]))?;
        let sample = self.of(samples.into_iter().next()?)?;
        match self.of(sample.value)? {
            // Cards without such a sensor answer 0.
            SampleValue::U32(celsius) if celsius > 0 => Some(f64::from(celsius)),
            _ => None,
        }
    }

    fn utilization(&mut self, device: &Device<'_>, values: &mut Values) {
        if let Some(rates) = self.of(device.utilization_rates()) {
            let shares = [("graphics", rates.gpu), ("memory", rates.memory)];
            values.utilization.extend(shares.map(|(engine, percent)| (engine.to_owned(), share(percent))));
        }
        for (engine, answer) in [("encoder", device.encoder_utilization()), ("decoder", device.decoder_utilization())] {
            let busy = self.of(answer).map(|busy| share(busy.utilization));
            values.utilization.extend(busy.map(|busy| (engine.to_owned(), busy)));
        }
    }

    fn fans(&mut self, device: &Device<'_>, values: &mut Values) {
        // A card without fans has none, or does not know of any.
        for fan in 0..self.of(device.num_fans()).unwrap_or_default().min(MAX_FANS) {
            let name = format!("fan{}", fan + 1);
            let duty = self.of(device.fan_speed(fan)).map(share);
            values.fan_duty.extend(duty.map(|duty| (name.clone(), duty)));
            let rpm = self.of(device.fan_speed_rpm(fan)).map(u64::from);
            values.fan_rpm.extend(rpm.map(|rpm| (name, rpm)));
        }
    }

    fn throttle(&mut self, device: &Device<'_>, values: &mut Values) {
        let Some(now) = self.of(device.current_throttle_reasons()) else { return };
        let known = self.of(device.supported_throttle_reasons()).unwrap_or_else(ThrottleReasons::all);
        let reasons = ThrottleReasons::all().iter_names().filter(|(_, reason)| !reason.is_empty());
        let reasons = reasons.filter(|(_, reason)| known.contains(*reason));
        values.throttle.extend(reasons.map(|(name, reason)| (sensor(&name.to_lowercase()), now.contains(reason))));
    }

    fn errors(&mut self, device: &Device<'_>, values: &mut Values) {
        let mut count = |kind| self.of(device.total_ecc_errors(kind, EccCounter::Volatile));
        let counts = ErrorCounts {
            uncorrectable: count(MemoryError::Uncorrected),
            correctable: count(MemoryError::Corrected),
            deferred: None,
        };
        if counts != ErrorCounts::default() {
            values.errors.push(("all".to_owned(), counts));
        }
    }
}

/// A percentage as a share of 1. A fan may be driven beyond what its maker calls all of it.
fn share(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "2^53 mJ are 285 years at 1 kW")]
fn joules(millijoules: u64) -> f64 {
    millijoules as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::{Nvidia, NvmlError, Reason};
    use crate::Roots;
    use crate::gpu::{Card, NvmlState, Vendor};

    fn card(address: &str) -> Card {
        Card {
            address: address.to_owned(),
            vendor: Vendor::Nvidia,
            ids: "10de:2335".to_owned(),
            driver: "nvidia".to_owned(),
            driver_version: String::new(),
        }
    }

    fn state_of(nvidia: &Nvidia, card: &Card, roots: &Roots) -> (NvmlState, usize) {
        let mut files = super::Files::new(roots.sysfs.clone());
        let (state, there) = nvidia.read(card, &mut files, &mut super::Facts::default(), &mut super::Values::default());
        assert!(there);
        (state, files.faults.len())
    }

    #[test]
    fn what_a_card_does_not_have_is_no_trouble() {
        for missing in [NvmlError::NotSupported, NvmlError::FunctionNotFound] {
            assert_eq!(Reason::of_nvml(&missing), None);
        }
        assert_eq!(Reason::of_nvml(&NvmlError::GpuLost), Some(Reason::Vanished));
        assert_eq!(Reason::of_nvml(&NvmlError::NoPermission), Some(Reason::Permission));
        assert_eq!(Reason::of_nvml(&NvmlError::Unknown), Some(Reason::Other));
    }

    #[test]
    fn a_card_that_hangs_keeps_nobody_from_taking_down_the_cards() {
        let directory = tempfile::tempdir().expect("directory");
        let roots = Roots::under(directory.path());
        let nvidia = Nvidia::new(&roots, "/nonexistent/libnvidia-ml.so.1");
        let cards = [card("0000:01:00.0")];
        nvidia.note(&cards);
        let power = roots.sysfs.join("bus/pci/devices/0000:01:00.0/power");
        std::fs::create_dir_all(&power).expect("directory");
        let hanging = power.join("runtime_status");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &*hanging, kind, mode, 0).expect("a FIFO");
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| nvidia.sleepers());
            // The reader has opened it, and waits for what is never written.
            let writer = std::fs::OpenOptions::new().write(true).open(&hanging).expect("a reader");
            assert!(nvidia.cards.try_lock().is_ok(), "a scrape would hang");
            drop(writer);
            assert_eq!(reader.join().expect("no panic"), (true, false));
        });
    }

    /// With a library that can't be loaded, loading it would be said.
    #[test]
    fn nothing_is_loaded_while_any_card_sleeps() {
        let directory = tempfile::tempdir().expect("directory");
        let roots = Roots::under(directory.path());
        let cards = [card("0000:01:00.0"), card("0000:02:00.0")];
        let nvidia = Nvidia::new(&roots, "/nonexistent/libnvidia-ml.so.1");
        nvidia.note(&cards);
        let (failed, faults) = state_of(&nvidia, &cards[0], &roots);
        assert!(matches!(failed, NvmlState::Failed(why) if why.contains("dev/nvidiactl")));
        assert_eq!(faults, 1);
        std::fs::create_dir_all(roots.rootfs.join("dev")).expect("directory");
        std::fs::write(roots.rootfs.join("dev/nvidiactl"), "").expect("write");
        for state in ["suspended", "suspending", "resuming", "error"] {
            let power = roots.sysfs.join("bus/pci/devices/0000:02:00.0/power");
            std::fs::create_dir_all(&power).expect("directory");
            std::fs::write(power.join("runtime_status"), state).expect("write");
            let (off, faults) = state_of(&nvidia, &cards[0], &roots);
            assert_eq!((off, faults), (NvmlState::Off("an NVIDIA GPU sleeps, and would be woken"), 0));
        }
        nvidia.note(&cards[..1]);
        let (failed, faults) = state_of(&nvidia, &cards[0], &roots);
        assert!(matches!(failed, NvmlState::Failed(why) if why.contains("/nonexistent/libnvidia-ml.so.1")));
        assert_eq!(faults, 1);
        let none = Nvidia::new(&roots, "");
        assert_eq!(state_of(&none, &cards[0], &roots), (NvmlState::Off("switched off"), 0));
    }
}

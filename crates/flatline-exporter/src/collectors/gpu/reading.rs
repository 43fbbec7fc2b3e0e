//! What is shown of the cards.

use crate::exposition::{Emitter, Reading, Value};
use flatline_catalog::{Family, gpu as catalog};
use flatline_sources::gpu::{Card, CpuTemperature, ErrorCounts, Facts, Look, Named, NvmlState, PowerState, Values};
use std::fmt;
use std::time::Duration;

/// The cards and processor packages as they are now.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) cards: Vec<ShownCard>,
    pub(super) cpu: Vec<CpuTemperature>,
    /// `None` when nobody knows.
    pub(super) nvml: Option<NvmlState>,
}

/// One card.
#[derive(Debug)]
pub(super) struct ShownCard {
    pub(super) address: String,
    /// `None` when it is not on the bus.
    pub(super) card: Option<Card>,
    pub(super) expected: bool,
    /// `None` when it is not asked, as it is not there.
    pub(super) stuck: Option<Duration>,
    /// What is known since it was last awake.
    pub(super) facts: Facts,
    /// What it answered just now; `None` while it does not.
    pub(super) look: Option<Look>,
}

impl ShownCard {
    fn present(&self) -> bool {
        self.card.as_ref().is_some_and(Card::works)
    }

    fn values(&self) -> Option<&Values> {
        self.look.as_ref()?.values.as_ref()
    }
}

/// A single number of a card and the family that shows it.
type Number = (&'static Family, fn(&ShownCard) -> Option<Value>);

const STANDING: [Number; 3] = [
    (&catalog::PRESENT, |card| Some(card.present().into())),
    (&catalog::EXPECTED, |card| Some(card.expected.into())),
    (&catalog::STUCK_SECONDS, |card| card.stuck.map(Value::from)),
];

const MEASURED: [Number; 7] = [
    (&catalog::POWER, |card| card.values()?.power_watts.map(Value::from)),
    (&catalog::MEMORY_USED, |card| card.values()?.memory_used.map(Value::from)),
    (&catalog::MEMORY_TOTAL, |card| card.values()?.memory_total.map(Value::from)),
    (&catalog::LINK_SPEED, |card| card.values()?.link.speed.map(Value::from)),
    (&catalog::LINK_SPEED_MAX, |card| card.values()?.link.max_speed.map(Value::from)),
    (&catalog::LINK_WIDTH, |card| card.values()?.link.width.map(Value::from)),
    (&catalog::LINK_WIDTH_MAX, |card| card.values()?.link.max_width.map(Value::from)),
];

/// Numbers with a name and the family that shows them.
type Lists<T> = (&'static Family, fn(&Values) -> &[Named<T>]);

const MEASURES: [Lists<f64>; 5] = [
    (&catalog::POWER_LIMIT, |values| values.power_limits.as_slice()),
    (&catalog::ENERGY, |values| values.energy_joules.as_slice()),
    (&catalog::CLOCK_HERTZ, |values| values.clocks.as_slice()),
    (&catalog::UTILIZATION, |values| values.utilization.as_slice()),
    (&catalog::FAN_DUTY, |values| values.fan_duty.as_slice()),
];
const COUNTS: [Lists<u64>; 1] = [(&catalog::FAN_SPEED, |values| values.fan_rpm.as_slice())];
const FLAGS: [Lists<bool>; 1] = [(&catalog::THROTTLE_REASONS, |values| values.throttle.as_slice())];

impl Reading for Shown {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        self.emit_identity(out)?;
        self.emit_numbers(&STANDING, out)?;
        out.family(&catalog::NVML_STATE, |samples| match &self.nvml {
            Some(NvmlState::On) => samples.push(&["on", ""], true),
            Some(NvmlState::Off(reason)) => samples.push(&["off", reason], true),
            Some(NvmlState::Failed(reason)) => samples.push(&["failed", reason], true),
            None => Ok(()),
        })?;
        self.emit_states(out)?;
        self.emit_temperatures(out)?;
        self.emit_numbers(&MEASURED, out)?;
        self.emit_lists(&MEASURES, out)?;
        self.emit_lists(&COUNTS, out)?;
        self.emit_lists(&FLAGS, out)?;
        self.emit_errors(out)?;
        out.family(&catalog::CPU_TEMPERATURE, |samples| {
            self.cpu.iter().try_for_each(|cpu| samples.push(&[&cpu.chip, cpu.sensor], cpu.celsius))
        })
    }
}

impl Shown {
    fn measured(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.cards.iter().filter_map(|card| Some((card.address.as_str(), card.values()?)))
    }

    fn emit_identity(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::INFO, |samples| {
            for shown in &self.cards {
                let Some(card) = &shown.card else { continue };
                let Facts { model, firmware, .. } = &shown.facts;
                let model = if model.is_empty() { &card.ids } else { model };
                let vendor = card.vendor.label();
                samples.push(&[&card.address, vendor, model, &card.driver, &card.driver_version, firmware], true)?;
            }
            Ok(())
        })?;
        out.family(&catalog::FIRMWARE_INFO, |samples| {
            for card in self.cards.iter().filter(|card| card.card.is_some()) {
                for (firmware, version) in &card.facts.firmwares {
                    samples.push(&[&card.address, firmware, version], true)?;
                }
            }
            Ok(())
        })
    }

    fn emit_numbers(&self, numbers: &[Number], out: &mut Emitter<'_>) -> fmt::Result {
        for &(family, number) in numbers {
            out.family(family, |samples| {
                self.cards.iter().try_for_each(|card| samples.push_some(&[&card.address], number(card)))
            })?;
        }
        Ok(())
    }

    fn emit_lists<T: Copy + Into<Value>>(&self, lists: &[Lists<T>], out: &mut Emitter<'_>) -> fmt::Result {
        for &(family, list) in lists {
            out.family(family, |samples| {
                for (address, values) in self.measured() {
                    for (name, value) in list(values) {
                        samples.push(&[address, name], *value)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn emit_states(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::POWER_STATE, |samples| {
            for card in &self.cards {
                let Some(power) = card.look.as_ref().and_then(|look| look.power) else { continue };
                for state in PowerState::ALL {
                    samples.push(&[&card.address, state.label()], state == power)?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::UNREADABLE_FILES, |samples| {
            for card in &self.cards {
                let Some(look) = card.look.as_ref().filter(|look| look.values.is_some()) else { continue };
                for (reason, count) in look.unread.counts() {
                    samples.push(&[&card.address, reason.label()], count)?;
                }
            }
            Ok(())
        })
    }

    fn emit_temperatures(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::TEMPERATURE, |samples| {
            for (address, values) in self.measured() {
                for at in &values.temperatures {
                    samples.push_some(&[address, &at.sensor], at.celsius)?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::TEMPERATURE_LIMIT, |samples| {
            for (address, values) in self.measured() {
                for at in &values.temperatures {
                    samples.push_some(&[address, &at.sensor, "critical"], at.critical)?;
                    samples.push_some(&[address, &at.sensor, "emergency"], at.emergency)?;
                }
            }
            Ok(())
        })
    }

    fn emit_errors(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::ECC_ERRORS, |samples| {
            for (address, values) in self.measured() {
                for (block, ErrorCounts { uncorrectable, correctable, deferred }) in &values.errors {
                    for (kind, count) in
                        [("uncorrectable", uncorrectable), ("correctable", correctable), ("deferred", deferred)]
                    {
                        samples.push_some(&[address, block, kind], *count)?;
                    }
                }
            }
            Ok(())
        })
    }
}

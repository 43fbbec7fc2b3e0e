//! systemd's units and timers (org.freedesktop.systemd1(5)).

use crate::{Family, Label, Unit};

/// A unit.
pub const UNIT: Label = Label::new("unit", "one per unit, at most --collector.units.max-units");
/// A timer.
pub const TIMER: Label = Label::new("timer", "one per timer among the units");
/// What a unit does.
pub const STATE: Label =
    Label::new("state", "active, reloading, inactive, failed, activating, deactivating, maintenance, refreshing");
/// Whether its file was found.
pub const LOAD_STATE: Label = Label::new("load_state", "one per unit: loaded, not-found, masked, bad-setting, error");
/// More about what it does.
pub const SUB_STATE: Label = Label::new("sub_state", "one per unit: running, exited, waiting, auto-restart and so on");
/// How it ended.
pub const RESULT: Label =
    Label::new("result", "one per service: success, exit-code, signal, oom-kill, watchdog, timeout and so on");
/// systemd's own.
pub const VERSION: Label = Label::new("version", "one");

/// What they do.
pub static STATE_OF_UNIT: Family = Family::gauge(
    "flatline_unit_state",
    Unit::None,
    &[UNIT, STATE],
    "1 for what systemd says the unit is doing. failed: it ended badly and stays down until somebody looks after it.",
);
/// The words.
pub static INFO: Family = Family::info(
    "flatline_unit_info",
    &[UNIT, LOAD_STATE, SUB_STATE, RESULT],
    "systemd's words about the unit: whether its file was found, what it does in detail, and how a service last ended.",
);
/// Restarts.
pub static RESTARTS: Family = Family::counter(
    "flatline_unit_restarts_total",
    Unit::None,
    &[UNIT],
    "How often systemd has started the service again by itself because it had ended (Restart=). Starts anew when somebody starts it. Needs systemd 235.",
);
/// All that failed.
pub static FAILED: Family = Family::gauge(
    "flatline_units_failed",
    Unit::None,
    &[],
    "Units of every kind that systemd counts as failed, those that are not watched here included (systemctl --failed).",
);
/// What is not shown.
pub static LEFT_OUT: Family = Family::gauge(
    "flatline_units_left_out",
    Unit::None,
    &[],
    "Units that match the patterns and are beyond --collector.units.max-units.",
);
/// systemd.
pub static SYSTEMD: Family =
    Family::info("flatline_systemd_info", &[VERSION], "The version of systemd, as it says it.");
/// When they last did.
pub static LAST_TRIGGER: Family = Family::gauge(
    "flatline_timer_last_trigger_timestamp_seconds",
    Unit::Seconds,
    &[TIMER],
    "When the timer last started its unit. Absent when it never has.",
);
/// When they must.
pub static DUE: Family = Family::gauge(
    "flatline_timer_due_timestamp_seconds",
    Unit::Seconds,
    &[TIMER],
    "When the timer will start its unit at the latest: its next time and its AccuracySec. In the past: it should have long since. Absent while its unit runs, and when there is no next time.",
);
/// Whether what they started still runs.
pub static RUNNING: Family = Family::gauge(
    "flatline_timer_running",
    Unit::None,
    &[TIMER],
    "1 while the unit that the timer started is still running and keeps it from its next turn. 0 while it waits, and when it has no further turn (OnBootSec= alone).",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] =
    &[&STATE_OF_UNIT, &INFO, &RESTARTS, &FAILED, &LEFT_OUT, &SYSTEMD, &LAST_TRIGGER, &DUE, &RUNNING];

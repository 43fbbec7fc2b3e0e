//! GPUs that are gone, hang or run hot, and processors that do.
//!
//! Resets and what else a driver says are told by the kernel's log ([`super::kernel_log`]): no driver counts them.
//! Incident: hemma, whose GPU was gone after a change of kernel (error -22), and whose thresholds (edge, junction,
//! memory, PPT, Tctl) these are.

use flatline_catalog::gpu;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Choose, Expr, Matching, Select, by, select};
use crate::span::Span;

const MISSING: &str = "GpuMissing";
const STUCK: &str = "GpuStuck";
const HOT: &str = "GpuTemperatureHigh";
const POWER: &str = "GpuPowerHigh";
const CPU_HOT: &str = "CpuTemperatureHigh";
const HEMMA: &str = "hemma, January 2026: nine crashes in two days under GPU load";
/// What one threshold is for: Intel tells of the package where AMD tells of the edge, NVIDIA of the die.
const EDGE: &str = "edge|package|gpu";

pub(super) fn signal(config: &Config) -> Signal {
    let always = [missing(config), stuck(config), hot(config), cpu_hot(config)];
    Signal {
        name: "gpu",
        records: Vec::new(),
        alerts: always.into_iter().chain(power(config)).collect(),
        cases: [missing_cases(config), stuck_cases(config), hot_cases(config), cpu_cases(config), power_cases(config)]
            .concat(),
        test_stride: 1,
        columns: vec![Column {
            title: "GPUs",
            expr: by("min", &["instance"], working(Select::chosen)),
            scale: Scale::State { good: "there", bad: "missing" },
        }],
        graphs: vec![
            Graph {
                title: "GPUs that are there",
                description: "Whether each GPU that has ever worked on this host is on the bus and has a driver.",
                expr: working(Select::chosen),
                legend: "{instance} {gpu}",
                scale: Scale::State { good: "there", bad: "missing" },
            },
            Graph {
                title: "GPU temperatures",
                description: "Degrees Celsius by sensor; junction is the hottest point of the chip. A GPU that sleeps or does not answer has none.",
                expr: select(&gpu::TEMPERATURE).chosen().into(),
                legend: "{instance} {gpu} {sensor}",
                scale: Scale::Celsius(config.gpu.edge_celsius),
            },
            Graph {
                title: "GPU power",
                description: "Watts. Drivers that only count energy are not here (rate of flatline_gpu_energy_joules_total).",
                expr: select(&gpu::POWER).chosen().into(),
                legend: "{instance} {gpu}",
                scale: Scale::Watts,
            },
        ],
    }
}

/// Of the GPUs that should be there, which are.
fn working(choose: Choose) -> Expr {
    Expr::from(choose(select(&gpu::PRESENT))).and(Matching::All, Expr::from(choose(select(&gpu::EXPECTED))).equals(1.0))
}

fn missing(config: &Config) -> Alert {
    Alert {
        name: MISSING,
        severity: Severity::Warning,
        expr: Expr::from(select(&gpu::EXPECTED))
            .equals(1.0)
            .note("it has worked on this host, perhaps before a reboot")
            .unless(
                Matching::All,
                Expr::from(select(&gpu::PRESENT)).equals(1.0).note("and now it is on the bus and has a driver"),
            ),
        hold: config.gpu.missing_for,
        summary: "GPU {gpu} of {instance} is missing: it worked before",
        meaning: "The card has left the bus, or no driver has taken it: its initialisation failed, the driver does not fit the kernel or is not loaded, or the card was handed to a guest. Nothing can use it.",
        first: "read what the driver said (`dmesg | grep -iE 'amdgpu|i915|xe |NVRM'`) and whether the card is on the bus at all (`lspci -s {gpu}`). Was the kernel or the driver changed? Then boot the one before. Was it taken out for good? Then --collector.gpu.forget={gpu}.",
        incident: "hemma, 2026-01-06: booted into another kernel, `probe of 0000:0b:00.0 failed with error -22`, found only by rocm-smi's empty table",
    }
}

fn stuck(config: &Config) -> Alert {
    Alert {
        name: STUCK,
        severity: Severity::Page,
        // The exporter measures how long one read has hung, so that a slow driver, whose reads return, never adds up.
        expr: Expr::from(select(&gpu::STUCK_SECONDS)).above(config.gpu.stuck_over.as_seconds()),
        hold: Span::ZERO,
        summary: "GPU {gpu} of {instance} hangs: a read of its sensors has not returned",
        meaning: "The driver waits for the GPU and holds on to whoever asks. Jobs on it hang too and can't be killed, and the host may follow.",
        first: "save the kernel log off the host now (dmesg over ssh). Don't run rocm-smi, nvidia-smi or sensors in your only shell: they hang as well. Then stop the jobs that can still be stopped and prepare for a reboot.",
        incident: HEMMA,
    }
}

fn limits(config: &Config) -> [(&'static str, f64); 3] {
    let limits = &config.gpu;
    [(EDGE, limits.edge_celsius), ("junction", limits.junction_celsius), ("memory", limits.memory_celsius)]
}

fn hot(config: &Config) -> Alert {
    let [edge, junction, memory] = limits(config)
        .map(|(sensor, limit)| Expr::from(select(&gpu::TEMPERATURE).like(&gpu::SENSOR, sensor)).above(limit));
    Alert {
        name: HOT,
        severity: Severity::Warning,
        expr: edge
            .note("the chip's rim, or its package, or NVIDIA's only one")
            .or(junction.note("its hottest point"))
            .or(memory.note("its memory")),
        hold: config.gpu.hot_for,
        summary: "GPU {gpu} of {instance} is hot ({sensor})",
        meaning: "The GPU has been hotter than it should be for minutes. It slows down at its critical limit and switches itself off at the emergency one; crashes under load become likelier before that.",
        first: "look at its fans (flatline_gpu_fan_speed_rpm), at the air in the case and the room, and at what runs on it. A lower power limit cools it at once.",
        incident: HEMMA,
    }
}

/// Only where the configuration says how much is too much: that depends on the card.
fn power(config: &Config) -> Option<Alert> {
    let limit = config.gpu.ppt_watts?;
    Some(Alert {
        name: POWER,
        severity: Severity::Warning,
        expr: Expr::from(select(&gpu::POWER)).above(limit),
        hold: config.gpu.hot_for,
        summary: "GPU {gpu} of {instance} takes more power than it should",
        meaning: "The GPU has taken more power for minutes than was thought right for this host's supply and cooling.",
        first: "see what its limit is (flatline_gpu_power_limit_watts) and who raised it; lower it, or the load.",
        incident: HEMMA,
    })
}

fn cpu_hot(config: &Config) -> Alert {
    Alert {
        name: CPU_HOT,
        severity: Severity::Warning,
        expr: Expr::from(select(&gpu::CPU_TEMPERATURE)).above(config.gpu.tctl_celsius),
        hold: config.gpu.hot_for,
        summary: "The processor of {instance} is hot ({chip}, {sensor})",
        meaning: "The processor's package has been hotter than it should be for minutes. It slows down, and errors under load become likelier. On some older AMD models tctl is 10 to 27 degrees above the real temperature (tdie).",
        first: "look at its cooler and fans, at the air in the case, and at what runs on it. A GPU beside it heats it, too.",
        incident: HEMMA,
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const OTHER: (&str, &str) = ("flatline", "devvm:10120");
const ADDRESS: &str = "0000:0b:00.0";
const JOB: (&str, &str) = ("job", TARGET.0);
const INSTANCE: (&str, &str) = ("instance", TARGET.1);
const CARD: (&str, &str) = ("gpu", ADDRESS);

fn missing_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.gpu.missing_for);
    let (steps, long) = (hold.steps(step), hold.steps(step) + 12);
    let case = |name| Case::new(config, MISSING, name);
    let at = |case: Case, family, target, gpu, samples| case.series(family, target, &[(&gpu::GPU, gpu)], samples);
    let expected = |case: Case, samples| at(case, &gpu::EXPECTED, TARGET, ADDRESS, samples);
    let present = |case: Case, samples| at(case, &gpu::PRESENT, TARGET, ADDRESS, samples);
    let flat = |value| Samples::flat(value, long);
    let firing: &[&[(&str, &str)]] = &[&[JOB, INSTANCE, CARD]];
    let never = |case: Case| case.never_until(step * (long - 1));
    vec![
        present(expected(case("gone after a reboot"), flat(1.0)), Samples::flat(1.0, 4).then(0.0, steps + 8))
            .fires_from(step * 4 + hold, firing),
        expected(case("whether it is there is not told"), flat(1.0)).fires_from(hold, firing),
        at(
            at(
                present(expected(case("others are there, here and elsewhere"), flat(1.0)), flat(0.0)),
                &gpu::PRESENT,
                OTHER,
                ADDRESS,
                flat(1.0),
            ),
            &gpu::PRESENT,
            TARGET,
            "0000:0c:00.0",
            flat(1.0),
        )
        .fires_from(hold, firing),
        never(present(expected(case("it is there"), flat(1.0)), flat(1.0))),
        never(present(expected(case("it has never worked here"), flat(0.0)), flat(0.0))),
        never(present(
            expected(case("its driver is loaded anew"), flat(1.0)),
            Samples::flat(1.0, 4).then(0.0, steps).then(1.0, 8),
        )),
    ]
}

fn stuck_cases(config: &Config) -> Vec<Case> {
    let (step, limit) = (config.scrape_interval, config.gpu.stuck_over);
    let steps = limit.steps(step);
    let long = steps * 2 + 8;
    let case = |name| Case::new(config, STUCK, name);
    let stuck = |case: Case, samples| case.series(&gpu::STUCK_SECONDS, TARGET, &[(&gpu::GPU, ADDRESS)], samples);
    let waits = |count| Samples::rising(0.0, step.as_seconds(), count);
    let never = |case: Case| case.never_until(step * long);
    vec![
        stuck(case("it hangs, and comes back"), waits(long).then(0.0, 2))
            .fires_from(limit + step, &[&[JOB, INSTANCE, CARD]])
            .quiet(step * long),
        never(stuck(case("as long as is tolerated"), Samples::flat(limit.as_seconds(), steps + 1).then(0.0, long))),
        never(stuck(
            case("slow, but every read returns"),
            (0..4).fold(Samples::default(), |samples, _| samples.then(0.0, 1).climb(step.as_seconds(), steps / 2)),
        )),
        never(stuck(case("it answers"), Samples::flat(0.0, long))),
    ]
}

/// A measure that is too high for as long as it takes, just not too high, and too high for too short a time.
fn level_cases(
    config: &Config,
    alert: &'static str,
    limit: f64,
    labels: &[(&'static str, &str)],
    measure: impl Fn(Case, Samples) -> Case,
) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.gpu.hot_for);
    let (steps, long) = (hold.steps(step), hold.steps(step) + 12);
    let what = labels.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(" ");
    let case = |name: &str| Case::new(config, alert, &format!("{what}: {name}"));
    let firing: Vec<(&str, &str)> = [JOB, INSTANCE].into_iter().chain(labels.iter().copied()).collect();
    let never = |case: Case| case.never_until(step * (long - 1));
    vec![
        measure(case("too much"), Samples::flat(limit * 0.6, 4).then(limit + 1.0, steps + 8))
            .fires_from(step * 4 + hold, &[&firing]),
        never(measure(case("just as much as is tolerated"), Samples::flat(limit, long))),
        never(measure(case("a short peak"), Samples::flat(limit * 0.6, 4).then(limit + 1.0, steps).then(limit, 8))),
    ]
}

fn hot_cases(config: &Config) -> Vec<Case> {
    let measure = |case: Case, sensor: &str, samples| {
        case.series(&gpu::TEMPERATURE, TARGET, &[(&gpu::GPU, ADDRESS), (&gpu::SENSOR, sensor)], samples)
    };
    let mut cases = Vec::new();
    for (sensors, limit) in limits(config) {
        for sensor in sensors.split('|') {
            let labels = [CARD, ("sensor", sensor)];
            cases.extend(level_cases(config, HOT, limit, &labels, |case, samples| measure(case, sensor, samples)));
        }
    }
    let (step, long) = (config.scrape_interval, config.gpu.hot_for.steps(config.scrape_interval) + 12);
    let hottest = limits(config).into_iter().map(|(_, limit)| limit).fold(0.0, f64::max);
    let other = Case::new(config, HOT, "a sensor of another kind may be hotter");
    cases.push(measure(other, "mctrl", Samples::flat(hottest * 3.0, long)).never_until(step * (long - 1)));
    cases
}

fn cpu_cases(config: &Config) -> Vec<Case> {
    let labels = [("chip", "0000:00:18.3"), ("sensor", "tctl")];
    level_cases(config, CPU_HOT, config.gpu.tctl_celsius, &labels, |case, samples| {
        let labels = [(&gpu::CHIP, labels[0].1), (&gpu::SENSOR, labels[1].1)];
        case.series(&gpu::CPU_TEMPERATURE, TARGET, &labels, samples)
    })
}

fn power_cases(config: &Config) -> Vec<Case> {
    let Some(limit) = config.gpu.ppt_watts else { return Vec::new() };
    level_cases(config, POWER, limit, &[CARD], |case, samples| {
        case.series(&gpu::POWER, TARGET, &[(&gpu::GPU, ADDRESS)], samples)
    })
}

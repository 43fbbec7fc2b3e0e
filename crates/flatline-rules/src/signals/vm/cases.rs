//! What makes the alerts about virtual machines fire, and what must not: each case is told as a story of one machine.

use flatline_catalog::{Family, Label, vm};

use super::{IO_ERROR, LEGACY, REWRITTEN, STALLED, UNREADABLE, UNRESPONSIVE, WRITE_ZERO};
use crate::config::Config;
use crate::model::{Case, Samples};
use crate::prometheus::{ALERTNAME, ALERTS, ALERTSTATE};
use crate::span::Span;

pub(super) fn all(config: &Config) -> Vec<Case> {
    [
        stalled_cases(config),
        stalled_memory_cases(config),
        stalled_silent_cases(config),
        unresponsive_cases(config),
        unreadable_cases(config),
        io_error_cases(config),
        legacy_cases(config),
        throttle_cases(config),
    ]
    .concat()
}

pub(super) fn writes(config: &Config) -> Vec<Case> {
    [
        write_zero_cases(config),
        write_zero_memory_cases(config),
        write_zero_silent_cases(config),
        write_zero_habit_cases(config),
    ]
    .concat()
}

/// Scrapes between two evaluations where a test lasts for hours: two in a window at least, or every fourth.
pub(super) fn stride(config: &Config) -> u64 {
    (config.vm.write_zero_window.steps(config.scrape_interval) / 2).max(4)
}

const TARGET: (&str, &str) = ("flatline", "hv-a:10120");
const VM: &str = "devvm";
const DISK: &str = "scsi0";

const STATUSES: [&str; 5] = ["running", "paused", "io-error", "inmigrate", "postmigrate"];
const STATES: [&str; 8] = ["up", "absent", "refused", "permission_denied", "no_greeting", "no_reply", "busy", "error"];

/// What a machine does for a while.
#[derive(Clone, Copy)]
struct Phase {
    /// Writes completed per second.
    writes: f64,
    /// How much the moment of the last completion advances, in scrape intervals per scrape.
    progress: f64,
    in_flight: f64,
    status: &'static str,
    /// How asking QEMU ends; `AWAY` when nobody asks.
    monitor: &'static str,
    /// QEMU has no such disk any more.
    unplugged: bool,
}

const AWAY: &str = "";

const WORKS: Phase =
    Phase { writes: 5.0, progress: 1.0, in_flight: 2.0, status: "running", monitor: "up", unplugged: false };
const IDLE: Phase = Phase { writes: 0.0, progress: 0.0, in_flight: 0.0, ..WORKS };
const STALLS: Phase = Phase { in_flight: 3.0, ..IDLE };
const PAUSED: Phase = Phase { status: "paused", ..STALLS };
const UNANSWERED: Phase = Phase { monitor: "no_reply", ..STALLS };
const KILLED: Phase = Phase { monitor: "refused", ..STALLS };
const BUSY: Phase = Phase { monitor: "busy", ..STALLS };
const UNSCRAPED: Phase = Phase { monitor: AWAY, ..STALLS };
const UNPLUGGED: Phase = Phase { unplugged: true, ..STALLS };

impl Phase {
    /// The same machine, writing so often per second.
    const fn writing(self, writes: f64) -> Self {
        Self { writes, ..self }
    }

    const fn asked(self, monitor: &'static str) -> Self {
        Self { monitor, ..self }
    }
}

/// What one disk of a machine and its monitor show, phase by phase.
#[derive(Clone)]
struct Story<'a> {
    config: &'a Config,
    target: (&'a str, &'a str),
    vm: &'a str,
    disk: &'a str,
    /// Family, value of its state label, samples.
    series: Vec<(&'static Family, &'static str, Samples)>,
    scrapes: u64,
}

impl<'a> Story<'a> {
    /// A machine on virtio, whose requests in flight are known.
    fn new(config: &'a Config) -> Self {
        let disk = [&vm::WRITES_COMPLETED, &vm::LAST_PROGRESS, &vm::INFLIGHT].map(|family| (family, ""));
        let statuses = STATUSES.map(|status| (&vm::VM_STATUS, status));
        let states = STATES.map(|state| (&vm::QMP_STATE, state));
        let series = disk.into_iter().chain(statuses).chain(states);
        Self {
            config,
            target: TARGET,
            vm: VM,
            disk: DISK,
            series: series.map(|(family, label)| (family, label, Samples::default())).collect(),
            scrapes: 0,
        }
    }

    /// A machine on LSI, IDE or AHCI.
    fn legacy(config: &'a Config) -> Self {
        Self::new(config).without(&vm::INFLIGHT)
    }

    fn without(mut self, family: &Family) -> Self {
        self.series.retain(|(other, ..)| *other != family);
        self
    }

    fn on(self, target: (&'a str, &'a str)) -> Self {
        Self { target, ..self }
    }

    fn of(self, vm: &'a str) -> Self {
        Self { vm, ..self }
    }

    fn disk(self, disk: &'a str) -> Self {
        Self { disk, ..self }
    }

    /// Then this for so many scrapes.
    fn then(mut self, scrapes: u64, phase: Phase) -> Self {
        let step = self.config.scrape_interval.as_seconds();
        for (family, label, samples) in &mut self.series {
            let before = std::mem::take(samples);
            let own = *family == &vm::QMP_STATE;
            let unplugged = phase.unplugged && family.labels.contains(&vm::DISK);
            *samples = if phase.monitor == AWAY || unplugged || !(own || phase.monitor == "up") {
                if self.scrapes == 0 { before.gap(scrapes) } else { before.gone().gap(scrapes - 1) }
            } else if own {
                before.then(truth(*label == phase.monitor), scrapes)
            } else if *family == &vm::VM_STATUS {
                before.then(truth(*label == phase.status), scrapes)
            } else if *family == &vm::INFLIGHT {
                before.then(phase.in_flight, scrapes)
            } else {
                let per_step = if *family == &vm::LAST_PROGRESS { phase.progress } else { phase.writes } * step;
                if per_step > 0.0 { before.climb(per_step, scrapes) } else { before.hold(scrapes) }
            };
        }
        self.scrapes += scrapes;
        self
    }

    /// Then all of this, one after the other.
    fn told(self, phases: &[(u64, Phase)]) -> Self {
        phases.iter().fold(self, |story, (scrapes, phase)| story.then(*scrapes, *phase))
    }

    /// A new QEMU process: its counters start at 0.
    fn restarted(mut self) -> Self {
        self = self.then(1, IDLE);
        for (family, _, samples) in &mut self.series {
            if *family == &vm::WRITES_COMPLETED {
                *samples = std::mem::take(samples).then(0.0, 1);
            } else {
                *samples = std::mem::take(samples).hold(1);
            }
        }
        self.scrapes += 1;
        self
    }

    /// The time of the next scrape.
    fn now(&self) -> Span {
        self.config.scrape_interval * self.scrapes
    }

    /// The time of the last scrape.
    fn end(&self) -> Span {
        self.now() - self.config.scrape_interval
    }

    fn case(&self, alert: &'static str, name: &str) -> Case {
        self.join(Case::new(self.config, alert, name))
    }

    /// Adds the machine to a case.
    fn join(&self, case: Case) -> Case {
        self.series.iter().fold(case, |case, (family, state, samples)| {
            let mut labels: Vec<(&Label, &str)> = vec![(&vm::VM, self.vm)];
            labels.extend(family.labels.iter().skip(1).map(|label| {
                let value = if *label == vm::DISK { self.disk } else { state };
                (label, value)
            }));
            case.series(family, self.target, &labels, samples.clone())
        })
    }

    /// Adds only the machine's disk: the machine is there already.
    fn join_disk(mut self, case: Case) -> Case {
        self.series.retain(|(family, ..)| family.labels.contains(&vm::DISK));
        self.join(case)
    }

    fn never(&self, alert: &'static str, name: &str) -> Case {
        self.case(alert, name).never_until(self.end())
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Alerts that must not be mistaken for the one that is asked about.
fn other_alerts(case: Case, alert: &str, scrapes: u64) -> Case {
    let series = |case: Case, alert: &str, state: &str| {
        let labels = [(&ALERTNAME, alert), (&ALERTSTATE, state), (&vm::VM, VM), (&vm::DISK, DISK)];
        case.series(&ALERTS, TARGET, &labels, Samples::flat(1.0, scrapes))
    };
    series(series(case, "GuestDiskFull", "firing"), alert, "pending")
}

type Firing<'a> = &'a [&'a [(&'a str, &'a str)]];

const THE_DISK: Firing<'static> = &[&[("job", TARGET.0), ("instance", TARGET.1), ("vm", VM), ("disk", DISK)]];
const THE_VM: Firing<'static> = &[&[("job", TARGET.0), ("instance", TARGET.1), ("vm", VM)]];

const HEALTHY: u64 = 8;

/// The scrapes in a span, and some.
fn beyond(config: &Config, span: Span) -> u64 {
    span.steps(config.scrape_interval) + 4
}

/// Long enough for a machine to count as gone.
fn long(config: &Config) -> u64 {
    beyond(config, config.vm.gone_after)
}

fn stalled_cases(config: &Config) -> Vec<Case> {
    let (step, window) = (config.scrape_interval, config.vm.stalled_window);
    let scrapes = beyond(config, window);
    let busy = Story::new(config).then(HEALTHY, WORKS);
    let idle = Story::new(config).then(HEALTHY, IDLE);
    let seen = busy.now() - step + window;
    let stuck = busy.clone().then(scrapes, STALLS);
    let over = stuck.clone().then(2, WORKS);
    let one_missed = busy.clone().then(1, STALLS).then(1, UNSCRAPED).then(scrapes, STALLS);
    let fires = |story: &Story<'_>, name| story.case(STALLED, name).fires(idle.now() + window, THE_DISK);
    let last = Phase { progress: 0.7 / step.as_seconds(), ..STALLS };
    let neighbours = {
        let elsewhere = Story::new(config).then(HEALTHY + scrapes, PAUSED);
        let mut case = stuck.case(STALLED, "beside machines that are paused and disks that are busy or idle");
        case = elsewhere.clone().of("web").join(case);
        case = elsewhere.clone().on((TARGET.0, "hv-b:10120")).join(case);
        case = elsewhere.on(("lab", TARGET.1)).join(case);
        case = Story::new(config).disk("scsi1").then(HEALTHY + scrapes, WORKS).join_disk(case);
        Story::new(config).disk("scsi2").then(HEALTHY + scrapes, IDLE).join_disk(case).fires(seen, THE_DISK)
    };
    vec![
        over.case(STALLED, "requests wait and none completes, until the backend is back")
            .fires_from(seen, THE_DISK)
            .fires(stuck.end(), THE_DISK)
            .quiet(over.end()),
        idle.clone()
            .then(scrapes, STALLS)
            .case(STALLED, "the first request after a quiet time never comes back")
            .fires_from(idle.now() + window, THE_DISK),
        busy.clone()
            .then(1, last)
            .then(scrapes, STALLS)
            .case(STALLED, "a last request completes right after the others")
            .fires_from(seen + step, THE_DISK),
        fires(&one_missed, "one scrape fails meanwhile"),
        fires(&stuck.clone().without(&vm::VM_STATUS), "its status is not known"),
        fires(
            &Story::new(config).without(&vm::LAST_PROGRESS).then(HEALTHY, IDLE).then(scrapes, STALLS),
            "when it last made progress is not known",
        ),
        neighbours,
    ]
}

/// What ends an incident and what doesn't.
fn stalled_memory_cases(config: &Config) -> Vec<Case> {
    let scrapes = beyond(config, config.vm.stalled_window);
    let long = long(config);
    let stuck = Story::new(config).then(HEALTHY, WORKS).then(scrapes, STALLS);
    let silent = stuck.clone().then(long, UNANSWERED);
    let killed = silent.clone().then(long, KILLED);
    // It reckons the moment of the last completion anew, a little later than before.
    let reckoned = Phase { progress: 0.3 / config.scrape_interval.as_seconds(), ..STALLS };
    let again = stuck.clone().then(3, UNSCRAPED).then(1, reckoned).then(2, STALLS);
    let lost = stuck.clone().then(long, UNSCRAPED);
    let reset = stuck.clone().then(2, IDLE);
    let paused = stuck.clone().then(2, PAUSED);
    let unplugged = silent.clone().then(2, UNPLUGGED);
    vec![
        unplugged
            .case(STALLED, "started anew without that disk, or with another name for it")
            .fires(silent.end(), THE_DISK)
            .quiet(unplugged.end()),
        killed
            .case(STALLED, "QMP dies in the middle of it: one incident, until QEMU is killed")
            .fires(stuck.end(), THE_DISK)
            .fires(stuck.now(), THE_DISK)
            .fires(silent.end(), THE_DISK)
            .quiet(killed.end()),
        again
            .case(STALLED, "the exporter restarts in the middle of it")
            .fires(stuck.end() + config.scrape_interval * 2, THE_DISK)
            .fires(again.end() - config.scrape_interval * 2, THE_DISK)
            .fires(again.end(), THE_DISK),
        lost.case(STALLED, "the exporter goes for good").fires(stuck.now(), THE_DISK).quiet(lost.end()),
        reset
            .case(STALLED, "the machine is reset and drops its requests")
            .fires(stuck.end(), THE_DISK)
            .quiet(reset.end()),
        paused.case(STALLED, "it is paused in the end").fires(stuck.end(), THE_DISK).quiet(paused.end()),
    ]
}

fn stalled_silent_cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let scrapes = config.vm.stalled_window.steps(step);
    let never = |name: &str, phases: &[(u64, Phase)]| Story::new(config).told(phases).never(STALLED, name);
    // One request is completed every half window, and four wait all the time.
    let waits = (scrapes / 2).max(2) - 1;
    #[expect(clippy::cast_precision_loss, reason = "a few scrapes")]
    let completes = Phase { progress: (waits + 1) as f64, in_flight: 4.0, ..STALLS };
    let slow = [(waits, Phase { in_flight: 4.0, ..STALLS }), (1, completes)].repeat(8);
    let untold = Story::new(config).without(&vm::INFLIGHT).then(scrapes * 3, IDLE);
    vec![
        never("busy", &[(scrapes * 3, WORKS)]),
        never("idle", &[(scrapes * 3, IDLE)]),
        never("slow: a throttle lets a request through now and then", &[&[(HEALTHY, WORKS)][..], &slow].concat()),
        never(
            "nothing completes, but not for the whole window",
            &[(HEALTHY, WORKS), (scrapes - 1, STALLS), (8, WORKS)],
        ),
        never("requests wait in a machine that is paused", &[(HEALTHY, WORKS), (scrapes * 3, PAUSED)]),
        never(
            "requests wait in a machine that QEMU stopped for an I/O error",
            &[(HEALTHY, WORKS), (scrapes * 3, Phase { status: "io-error", ..STALLS })],
        ),
        never("just started, seen twice", &[(2, STALLS), (scrapes * 3, UNSCRAPED)]),
        other_alerts(
            never("QMP was dead from the start; other alerts fire", &[(scrapes * 3, UNANSWERED)]),
            STALLED,
            scrapes * 3,
        ),
        other_alerts(untold.never(STALLED, "requests can't be told; other alerts fire"), STALLED, scrapes * 3),
    ]
}

/// Scrapes it takes to know what is usual, and some.
fn habit(config: &Config) -> u64 {
    (config.vm.write_zero_baseline.steps(config.scrape_interval) / 2).max(beyond(config, config.vm.write_zero_window))
        + 4
}

fn write_zero_cases(config: &Config) -> Vec<Case> {
    // So many scrapes that one at least is evaluated.
    let few = stride(config) + 2;
    let settings = &config.vm;
    let (step, window, dead) = (config.scrape_interval, settings.write_zero_window, settings.write_zero_per_second);
    let scrapes = window.steps(step);
    let usual = habit(config);
    let day = settings.write_zero_baseline.steps(step) * 4;
    let works = Story::legacy(config).then(usual, WORKS);
    let seen = works.end() + window;
    let stops = |story: Story<'_>, before: f64, after: f64, name: &str| {
        let story = story.then(usual, WORKS.writing(before)).then(scrapes * 2, STALLS.writing(after));
        story.case(WRITE_ZERO, name).quiet(works.end()).fires(story.end(), THE_DISK)
    };
    let gone = works.clone().then(day, IDLE);
    let back = gone.clone().then(scrapes + few, WORKS);
    let neighbours = {
        let all = usual + scrapes * 2;
        let paused = Story::legacy(config).then(usual, WORKS).then(scrapes * 2, PAUSED);
        let mut case =
            works.clone().then(scrapes * 2, IDLE).case(WRITE_ZERO, "beside disks and machines that are well");
        case = paused.clone().of("web").join(case);
        case = paused.clone().on((TARGET.0, "hv-b:10120")).join(case);
        case = paused.on(("lab", TARGET.1)).join(case);
        case = Story::new(config).disk("virtio1").then(usual, WORKS).then(scrapes * 2, IDLE).join_disk(case);
        Story::legacy(config).disk("scsi1").then(all, WORKS).join_disk(case).fires(evaluated(config, seen), THE_DISK)
    };
    vec![
        back.case(WRITE_ZERO, "not one write, for four times as long as the baseline reaches, then it is back")
            .never_until(seen - step)
            .fires(evaluated(config, seen), THE_DISK)
            .fires(evaluated(config, seen + settings.write_zero_baseline), THE_DISK)
            .fires(gone.end(), THE_DISK)
            .quiet(back.end()),
        stops(
            Story::legacy(config),
            5.0,
            1.0 / 40.0,
            "a write leaks through every 40 s, when the guest resets the controller",
        ),
        stops(Story::new(config), 5.0, dead * 0.8, "a few writes leak through while requests are known to wait"),
        stops(Story::legacy(config), dead * 1.5, 0.0, "a quiet machine falls silent"),
        stops(
            Story::legacy(config),
            dead * 2.0,
            dead * 2.0 * settings.write_zero_share * 0.7,
            "a quiet machine as good as falls silent",
        ),
        stops(Story::legacy(config).without(&vm::VM_STATUS), 5.0, 0.0, "its status is not known"),
        neighbours,
    ]
}

/// The first evaluation from that time on.
fn evaluated(config: &Config, at: Span) -> Span {
    let pace = config.scrape_interval * stride(config);
    pace * at.steps(pace)
}

/// What ends an incident and what doesn't.
fn write_zero_memory_cases(config: &Config) -> Vec<Case> {
    // So many scrapes that one at least is evaluated.
    let few = stride(config) + 2;
    let scrapes = config.vm.write_zero_window.steps(config.scrape_interval);
    let long = long(config) + few;
    let dead = Story::legacy(config).then(habit(config), WORKS).then(scrapes + few, IDLE);
    let silent = dead.clone().then(long, UNANSWERED);
    let answers = silent.clone().then(few, IDLE);
    let still = answers.clone().then(scrapes * 2, IDLE.writing(1.0 / 40.0));
    // Less long than after which the machine counts as gone.
    let away = few.min(config.vm.gone_after.steps(config.scrape_interval) - 1);
    let exporter = dead.clone().then(away, UNSCRAPED).then(few, IDLE);
    let lost = dead.clone().then(long, UNSCRAPED);
    let killed = silent.clone().then(long, KILLED);
    let restarted = dead.clone().then(2, KILLED).restarted().then(few, IDLE);
    let paused = dead.clone().then(few, PAUSED);
    let unplugged = silent.clone().then(few, UNPLUGGED);
    let case = |story: &Story<'_>, name| story.case(WRITE_ZERO, name).fires(dead.end(), THE_DISK);
    vec![
        case(&still, "QMP dies with it and answers again: one incident")
            .fires(dead.now(), THE_DISK)
            .fires(silent.end(), THE_DISK)
            .fires(answers.end(), THE_DISK)
            .fires(still.end(), THE_DISK),
        case(&exporter, "the exporter restarts in the middle of it")
            .fires(exporter.end() - config.scrape_interval * few, THE_DISK)
            .fires(exporter.end(), THE_DISK),
        case(&lost, "the exporter goes for good").fires(dead.now(), THE_DISK).quiet(lost.end()),
        case(&killed, "QEMU is killed and leaves its socket").fires(silent.end(), THE_DISK).quiet(killed.end()),
        case(&restarted, "QEMU is killed and started anew").quiet(restarted.end()),
        case(&paused, "it is paused in the end").quiet(paused.end()),
        case(&unplugged, "started anew without that disk, or with another name for it")
            .fires(silent.end(), THE_DISK)
            .quiet(unplugged.end()),
    ]
}

fn write_zero_silent_cases(config: &Config) -> Vec<Case> {
    // So many scrapes that one at least is evaluated.
    let few = stride(config) + 2;
    let settings = &config.vm;
    let scrapes = settings.write_zero_window.steps(config.scrape_interval);
    let usual = habit(config);
    let works = || Story::legacy(config).then(usual, WORKS);
    let never = |story: Story<'_>, name: &str| story.never(WRITE_ZERO, name);
    let busy_beside = {
        let case = never(Story::legacy(config).then(usual + scrapes * 2, IDLE), "never written, beside a busy disk");
        Story::legacy(config).disk("scsi1").then(usual + scrapes * 2, WORKS).join_disk(case)
    };
    // The last look before it writes again is one that is evaluated.
    let glance = scrapes / 2;
    let busy = (usual + scrapes * 2 + glance).next_multiple_of(stride(config)) + 1 - glance - usual;
    // With LSI the guest resets the controller after 40 s, and the drain blocks the main loop.
    let soon = (scrapes / 5).max(1);
    vec![
        never(Story::legacy(config).then(usual + scrapes * 2, IDLE), "idle, or a CD-ROM"),
        busy_beside,
        never(works().then(scrapes * 3, PAUSED), "paused"),
        never(works().then(scrapes * 3, Phase { status: "postmigrate", ..IDLE }), "moved to another host"),
        never(
            Story::legacy(config).then(usual, Phase { status: "inmigrate", ..IDLE }).then(scrapes, WORKS),
            "arriving from another host",
        ),
        never(works().then(scrapes / 2, IDLE).then(scrapes, WORKS), "frozen for a backup, less long than the window"),
        never(works().then((scrapes / 2).min(few), UNSCRAPED).then(scrapes * 2, WORKS), "the exporter restarts"),
        never(works().then(busy, BUSY).then(glance, IDLE).then(scrapes, WORKS), "its QMP is busy for a while"),
        never(
            works().then(2, KILLED).restarted().then(scrapes + scrapes / 4, IDLE).then(scrapes, WORKS),
            "QEMU is started anew, and the guest boots for long",
        ),
        never(Story::new(config).then(usual, WORKS).then(scrapes * 3, IDLE), "nothing is in flight: idle for sure"),
        never(
            works().then(soon, IDLE).then(scrapes * 3, UNANSWERED),
            "QMP dies before the window is over: VmQmpUnresponsive says so",
        ),
        other_alerts(
            never(Story::legacy(config).then(usual, BUSY), "always busy; other alerts fire"),
            WRITE_ZERO,
            usual,
        ),
    ]
}

/// Machines that are not in the habit of writing, or whose habit is not known.
fn write_zero_habit_cases(config: &Config) -> Vec<Case> {
    let settings = &config.vm;
    let (dead, share) = (settings.write_zero_per_second, settings.write_zero_share);
    let scrapes = settings.write_zero_window.steps(config.scrape_interval);
    let baseline = settings.write_zero_baseline.steps(config.scrape_interval);
    let usual = habit(config);
    let never = |name: &str, phases: &[(u64, Phase)]| Story::legacy(config).told(phases).never(WRITE_ZERO, name);
    let falls = |name: &str, before: f64, after: f64| {
        never(name, &[(usual, WORKS.writing(before)), (scrapes * 2, WORKS.writing(after))])
    };
    let bursts = [(4, WORKS), (scrapes * 2, IDLE)].repeat(usize::try_from(usual / scrapes).unwrap_or(1));
    let calm = [(usual, WORKS), (baseline / 4, PAUSED), (scrapes * 3, IDLE)];
    vec![
        never("just started: too little is known of it", &[(baseline * 3 / 8, WORKS), (scrapes + 2, IDLE)]),
        never("written in bursts, or once a day", &bursts),
        falls("it rarely writes at all", dead * 0.7, 0.0),
        falls("much less than usual, but it does write", 100.0, dead * 1.4),
        falls("a quiet machine writes less", dead * 2.0, dead * 2.0 * share * 1.5),
        other_alerts(
            never("paused for hours and idle since; other alerts fire", &calm),
            WRITE_ZERO,
            usual + baseline / 4 + scrapes * 3,
        ),
    ]
}

fn unresponsive_cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let scrapes = config.vm.qmp_unresponsive_for.steps(step);
    let works = Story::legacy(config).then(HEALTHY, WORKS);
    let seen = works.end() + config.vm.qmp_unresponsive_for;
    let silent = works.clone().then(scrapes + 2, UNANSWERED);
    let back = silent.clone().then(scrapes, WORKS);
    let fires = |state: &'static str, name| {
        works.clone().then(scrapes + 2, WORKS.asked(state)).case(UNRESPONSIVE, name).fires_from(seen, THE_VM)
    };
    let never =
        |name, scrapes, state: &'static str| works.clone().then(scrapes, WORKS.asked(state)).never(UNRESPONSIVE, name);
    let restart = silent.clone().then(2, UNSCRAPED).then(1, UNANSWERED);
    let mixed = works.clone().then(scrapes / 2, UNANSWERED).then(scrapes, WORKS.asked("no_greeting"));
    let some = works.clone().told(&[(3, UNANSWERED), (1, WORKS)].repeat(8));
    let half = works.clone().told(&[(1, UNANSWERED), (1, WORKS)].repeat(24));
    let disk_first = works.clone().then(3, IDLE).then(scrapes + 2, UNANSWERED);
    let beside = Story::legacy(config).of("web").then(HEALTHY + scrapes + 2, WORKS);
    vec![
        beside
            .join(back.case(UNRESPONSIVE, "its main loop is blocked, then it answers again"))
            .fires_from(seen, THE_VM)
            .fires(silent.end(), THE_VM)
            .quiet(back.end()),
        fires("no_greeting", "its process is stopped"),
        fires("refused", "QEMU crashed and left its socket"),
        fires("error", "what answers does not speak QMP"),
        mixed.case(UNRESPONSIVE, "first blocked, then stopped").fires_from(seen, THE_VM),
        some.case(UNRESPONSIVE, "one good answer in four").fires(some.end(), THE_VM),
        disk_first
            .case(UNRESPONSIVE, "a disk stalls, and 40 s later the guest's reset blocks the main loop")
            .fires_from(seen + step * 3, THE_VM)
            .fires(disk_first.end(), THE_VM),
        restart.case(UNRESPONSIVE, "the exporter restarts in the middle of it").fires(restart.end(), THE_VM),
        never("silent, but not for long enough", scrapes - 1, "no_reply"),
        never("busy with another client", scrapes * 2, "busy"),
        never("shut down", scrapes * 2, "absent"),
        never("not permitted: VmMonitorUnreadable says so", scrapes * 2, "permission_denied"),
        half.never(UNRESPONSIVE, "it answers half of the time"),
    ]
}

fn unreadable_cases(config: &Config) -> Vec<Case> {
    let scrapes = config.vm.unreadable_for.steps(config.scrape_interval);
    let works = Story::new(config).then(HEALTHY, WORKS);
    let seen = works.end() + config.vm.unreadable_for;
    let asked = |scrapes, state| works.clone().then(scrapes, WORKS.asked(state));
    let fires = |state, name| asked(scrapes + 2, state).case(UNREADABLE, name).fires_from(seen, THE_VM);
    vec![
        fires("busy", "another client keeps the monitor"),
        fires("permission_denied", "the exporter may not open the socket"),
        asked(scrapes - 1, "busy").never(UNREADABLE, "busy for a while"),
        asked(scrapes * 2, "no_reply").never(UNREADABLE, "silent: VmQmpUnresponsive says so"),
        asked(scrapes * 2, "absent").never(UNREADABLE, "shut down"),
        asked(scrapes * 2, "up").never(UNREADABLE, "answers"),
    ]
}

/// A disk as `flatline_vm_disk_info` shows it.
fn disk_info(case: Case, (disk, controller, io_status): (&str, &str, &str), samples: Samples) -> Case {
    let labels = [
        (&vm::VM, VM),
        (&vm::DISK, disk),
        (&vm::CONTROLLER, controller),
        (&vm::IOTHREAD, "none"),
        (&vm::AIO, "threads"),
        (&vm::FORMAT, "raw"),
        (&vm::IO_STATUS, io_status),
    ];
    case.series(&vm::DISK_INFO, TARGET, &labels, samples)
}

fn io_error_cases(config: &Config) -> Vec<Case> {
    let scrapes = config.vm.io_error_for.steps(config.scrape_interval);
    let stopped = Phase { status: "io-error", ..STALLS };
    let works = Story::new(config).then(HEALTHY, WORKS);
    let seen = works.end() + config.vm.io_error_for;
    let failed = works.clone().then(scrapes + 4, stopped);
    let full = |case, disk, scrapes| {
        let case = disk_info(case, (disk, "virtio-scsi-pci", "ok"), Samples::flat(1.0, HEALTHY).gone());
        disk_info(case, (disk, "virtio-scsi-pci", "nospace"), Samples::default().gap(HEALTHY).then(1.0, scrapes))
    };
    let case = |name| Case::new(config, IO_ERROR, name);
    let mended = failed.clone().then(scrapes * 2, WORKS);
    vec![
        mended
            .case(IO_ERROR, "QEMU stops the machine, then it is resumed")
            .fires_from(seen, THE_VM)
            .fires(failed.end(), THE_VM)
            .quiet(mended.end()),
        full(case("a disk has run out of space"), DISK, scrapes + 4).fires_from(seen, THE_VM),
        full(
            full(failed.case(IO_ERROR, "two disks and the machine: one alert"), DISK, scrapes + 4),
            "scsi1",
            scrapes + 4,
        )
        .fires_from(seen, THE_VM),
        disk_info(case("a disk has failed from the start"), (DISK, "ide", "failed"), Samples::flat(1.0, scrapes + 4))
            .fires(config.vm.io_error_for, THE_VM),
        works
            .clone()
            .then(scrapes - 1, stopped)
            .then(scrapes, WORKS)
            .never(IO_ERROR, "resumed at once, as when a pool grows by itself"),
        full(case("out of space for a moment"), DISK, scrapes - 1).never_until(seen * 2),
        works.clone().then(scrapes * 3, PAUSED).never(IO_ERROR, "paused by a person"),
        disk_info(case("its disks are well"), (DISK, "ide", "ok"), Samples::flat(1.0, scrapes * 3))
            .never_until(seen * 2),
    ]
}

fn legacy_cases(config: &Config) -> Vec<Case> {
    let scrapes = long(config);
    let flat = |value| Samples::flat(value, scrapes);
    let case = |name| Case::new(config, LEGACY, name);
    let writes = |case: Case, disk, samples| {
        case.series(&vm::WRITES_COMPLETED, TARGET, &[(&vm::VM, VM), (&vm::DISK, disk)], samples)
    };
    let end = config.scrape_interval * (scrapes - 1);
    let on = |controller: &'static str, name| {
        let firing: [(&str, &str); 5] =
            [("job", TARGET.0), ("instance", TARGET.1), ("vm", VM), ("disk", DISK), ("controller", controller)];
        let case = writes(disk_info(case(name), (DISK, controller, "ok"), flat(1.0)), DISK, flat(7.0));
        case.fires(end, &[&firing])
    };
    let never = |controller, written, name| {
        writes(disk_info(case(name), (DISK, controller, "ok"), flat(1.0)), DISK, flat(written)).never_until(end)
    };
    let cdrom = |case| writes(disk_info(case, ("ide2", "ide", "ok"), flat(1.0)), "ide2", flat(0.0));
    vec![
        cdrom(on("lsi53c895a", "on LSI, as Proxmox has it by default; a CD-ROM beside it")),
        on("piix3-ide", "on IDE"),
        on("ich9-ahci", "on AHCI"),
        on("megasas", "on MegaRAID"),
        disk_info(
            on("lsi53c810", "its error state changes: still one alert"),
            (DISK, "lsi53c810", "nospace"),
            Samples::default().gap(4).then(1.0, 4),
        ),
        never("virtio-scsi-pci", 7.0, "on virtio-scsi"),
        never("virtio-blk-pci", 7.0, "on virtio-blk without an I/O thread"),
        never("", 7.0, "its controller is not known"),
        cdrom(case("nothing but a CD-ROM")).never_until(end),
    ]
}

fn throttle_cases(config: &Config) -> Vec<Case> {
    let most = u64::from(config.vm.throttle_changes);
    let between = (config.vm.throttle_window.steps(config.scrape_interval) / (most + 2)).clamp(1, 16);
    let changed =
        |from: Samples, times: u64| (0..times).fold(from, |samples, _| samples.climb(1.0, 1).hold(between - 1));
    let case = |name, samples| {
        let labels = [(&vm::VM, VM), (&vm::DISK, DISK)];
        Case::new(config, REWRITTEN, name).series(&vm::THROTTLE_CHANGES, TARGET, &labels, samples)
    };
    let start = || Samples::flat(0.0, between);
    let end = config.scrape_interval * (between * (most + 2) - 1);
    let restart = between * (most / 2 + 1);
    vec![
        case("rewritten again and again", changed(start(), most + 1))
            .never_until(end - config.scrape_interval * between)
            .fires(end, THE_DISK),
        case(
            "rewritten again and again, though the exporter restarts",
            changed(changed(start(), most / 2 + 1).then(0.0, 1).hold(between - 1), most + 1),
        )
        .fires(config.scrape_interval * (restart + between * (most + 2) - 1), THE_DISK),
        case("changed by hand a few times", changed(start(), most)).never_until(end),
        case("the exporter restarts after many changes", Samples::flat(40.0, between).then(0.0, between * (most + 1)))
            .never_until(end),
    ]
}

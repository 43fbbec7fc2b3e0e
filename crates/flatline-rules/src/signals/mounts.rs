//! Network mounts that hang, and those whose server is gone for good.
//!
//! Incident: the desktop's CIFS deadlock. What the kernel says of it is [`super::kernel_log`]'s
//! `NetworkMountNotResponding`; here the mounts themselves are asked.

use flatline_catalog::mounts;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, by, select};
use crate::span::Span;

const HUNG: &str = "NetworkMountHung";
const LOST: &str = "NetworkMountLost";
const INCIDENT: &str = "desktop CIFS deadlock, 2025-08-11: everything behind one dead mount, until the reset button";

pub(super) fn signal(config: &Config) -> Signal {
    let limit = config.mounts.hung_over.as_seconds();
    let stuck = || select(&mounts::STUCK_SECONDS).chosen();
    Signal {
        name: "mounts",
        records: Vec::new(),
        alerts: vec![hung(config), lost(config)],
        cases: [hung_cases(config), lost_cases(config)].concat(),
        test_stride: 1,
        columns: vec![Column {
            title: "Mount hang",
            expr: by("max", &["instance"], stuck()),
            scale: Scale::Seconds(limit),
        }],
        graphs: vec![Graph {
            title: "Network mounts that do not answer",
            description: "How long each mount has let everybody wait. A straight line upwards is a mount that hangs, with everybody who touches it; it falls to 0 when the server answers or the mount is aborted.",
            expr: stuck().into(),
            legend: "{instance} {mountpoint}",
            scale: Scale::Seconds(limit),
        }],
    }
}

fn hung(config: &Config) -> Alert {
    Alert {
        name: HUNG,
        severity: Severity::Page,
        // The exporter measures the hang itself, so that a scrape that is missed loses nothing.
        expr: Expr::from(select(&mounts::STUCK_SECONDS)).above(config.mounts.hung_over.as_seconds()),
        hold: Span::ZERO,
        summary: "{mountpoint} ({fstype}) on {instance} hangs: {source} does not answer, and whoever touches it hangs too",
        meaning: "The mount has not answered for longer than any server needs, or only with errors after long waits. Every process that touches it sleeps in the kernel, many beyond the reach of kill -9, and what waits for those hangs next: df, backups, the desktop, the shutdown.",
        first: "see whether {source} answers at all. If it will not soon, stop what uses the mount and `umount -l` it, before the tasks pile up. Don't ls or df it yourself.",
        incident: INCIDENT,
    }
}

fn lost(config: &Config) -> Alert {
    let waits = Expr::from(select(&mounts::STUCK_SECONDS)).above(config.mounts.hung_over.as_seconds());
    Alert {
        name: LOST,
        severity: Severity::Warning,
        expr: Expr::from(select(&mounts::RESPONDING))
            .equals(0.0)
            .unless(Matching::All, waits.note("what hangs is another alert")),
        hold: config.mounts.lost_for,
        summary: "{mountpoint} ({fstype}) on {instance} is unusable: every access to {source} fails",
        meaning: "The mount is still there and answers every access with an error: its server or its FUSE process is gone, or the server does not know it any more (stale). Programs that write there fail, and those that don't look lose data. flatline_mount_state says which it is.",
        first: "bring the server or the FUSE process back, then `umount -l` and mount it again: a stale or disconnected mount does not mend by itself.",
        incident: INCIDENT,
    }
}

const TARGET: (&str, &str) = ("flatline", "desktop:10120");
const MOUNT: [(&str, &str); 3] = [("mountpoint", "/mnt/media"), ("fstype", "cifs"), ("source", "//10.10.0.35/media")];
const FIRING: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), MOUNT[0], MOUNT[1], MOUNT[2]]];

fn on(case: Case, family: &'static flatline_catalog::Family, mountpoint: &str, samples: Samples) -> Case {
    let labels = [(&mounts::MOUNTPOINT, mountpoint), (&mounts::FSTYPE, MOUNT[1].1), (&mounts::SOURCE, MOUNT[2].1)];
    case.series(family, TARGET, &labels, samples)
}

fn hung_cases(config: &Config) -> Vec<Case> {
    let (step, limit) = (config.scrape_interval, config.mounts.hung_over);
    let steps = limit.steps(step);
    let long = steps * 2 + 8;
    let case = |name| Case::new(config, HUNG, name);
    let stuck = |case, samples| on(case, &mounts::STUCK_SECONDS, MOUNT[0].1, samples);
    let waits = |count| Samples::rising(0.0, step.as_seconds(), count);
    let never = |case: Case| case.never_until(step * long);
    vec![
        stuck(case("the server is gone, then it answers"), waits(long).then(0.0, 8))
            .fires_from(limit + step, FIRING)
            .fires(step * (long - 1), FIRING)
            .quiet(step * long),
        stuck(case("scrapes are missed while it hangs"), waits(2).gap(steps).then(limit.as_seconds() * 1.5, 4))
            .fires_from(step * (steps + 2), FIRING),
        never(stuck(case("it answers just in time"), waits(steps + 1).then(0.0, long))),
        never(stuck(
            case("a slow server: an open question now and then"),
            (0..4).fold(Samples::default(), |samples, _| samples.then(0.0, steps / 2).then(step.as_seconds(), 1)),
        )),
        never(on(
            stuck(case("its process is dead, so nobody waits"), Samples::flat(0.0, long)),
            &mounts::RESPONDING,
            MOUNT[0].1,
            Samples::flat(0.0, long),
        )),
        never(case("no network mounts").up(TARGET, Samples::flat(1.0, long))),
    ]
}

fn lost_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.mounts.lost_for);
    let (steps, limit) = (hold.steps(step), config.mounts.hung_over.as_seconds());
    let long = steps + 16;
    let case = |name| Case::new(config, LOST, name);
    let responds = |case, samples| on(case, &mounts::RESPONDING, MOUNT[0].1, samples);
    let stuck = |case, mountpoint, samples| on(case, &mounts::STUCK_SECONDS, mountpoint, samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        stuck(
            responds(
                case("its process dies, and somebody mounts it anew"),
                Samples::flat(1.0, 4).then(0.0, long).then(1.0, 4),
            ),
            MOUNT[0].1,
            Samples::flat(0.0, long + 8),
        )
        .fires_from(step * 4 + hold, FIRING)
        .quiet(step * (long + 4)),
        responds(case("nothing is known of open questions"), Samples::flat(0.0, long)).fires_from(hold, FIRING),
        stuck(
            responds(case("another mount hangs meanwhile"), Samples::flat(0.0, long)),
            "/mnt/other",
            Samples::flat(limit * 1.5, long),
        )
        .fires_from(hold, FIRING),
        stuck(
            responds(case("it lets them wait, but not for long"), Samples::flat(0.0, long)),
            MOUNT[0].1,
            Samples::flat(limit, long),
        )
        .fires_from(hold, FIRING),
        never(stuck(
            responds(case("it hangs: that is another alert"), Samples::flat(0.0, long)),
            MOUNT[0].1,
            Samples::rising(0.0, step.as_seconds(), long),
        )),
        never(stuck(
            responds(case("it hung before: still another alert"), Samples::flat(0.0, long)),
            MOUNT[0].1,
            Samples::flat(limit * 1.5, long),
        )),
        never(responds(case("well"), Samples::flat(1.0, long))),
        never(responds(case("a server that is back in time"), Samples::flat(1.0, 4).then(0.0, steps).then(1.0, 12))),
        never(case("we may not ask").up(TARGET, Samples::flat(1.0, long))),
    ]
}

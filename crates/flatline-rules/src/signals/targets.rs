//! Expressions about scrape targets that several signals share.

use crate::config::Config;
use crate::prometheus::UP;
use crate::promql::{Expr, Matching, Range, Select, by, call, label_from, select};
use crate::span::Span;

/// `up` of a job.
#[must_use]
pub fn up(job: &str) -> Select {
    select(&UP).job(job)
}

/// How many series each target of a dashboard has there, 0 included where it answers: a dead host says nothing.
#[must_use]
pub fn count_by_instance(expr: Expr) -> Expr {
    let answers = Expr::from(select(&UP).chosen()).equals(1.0);
    let none = Expr::from(0.0).times(by("max", &["instance"], answers));
    by("count", &["instance"], expr).or(none)
}

/// The same target of one job.
#[must_use]
pub fn same_target(config: &Config) -> Matching {
    Matching::On(config.identified_by(&["instance"]))
}

/// The same host, after [`with_host`].
#[must_use]
pub fn same_host(config: &Config) -> Matching {
    Matching::On(config.identified_by(&["host"]))
}

/// Targets of a job that were there within `lookback` and that Prometheus no longer knows.
///
/// Per instance, unlike `absent()`, so that one lost target among several is seen.
#[must_use]
pub fn gone(config: &Config, job: &str, lookback: Span) -> Expr {
    call("last_over_time", up(job).over(Range::Fixed(lookback))).unless(same_target(config), up(job))
}

/// Targets of a job that were there within `lookback` and do not answer now, known or not.
#[must_use]
pub fn not_answering(config: &Config, job: &str, lookback: Span) -> Expr {
    call("last_over_time", up(job).over(Range::Fixed(lookback)))
        .unless(same_target(config), Expr::from(up(job)).equals(1.0))
}

/// A number of scrapes, as a limit.
#[expect(clippy::cast_precision_loss, reason = "scrapes within a window are far below 2^53")]
#[must_use]
pub fn count(scrapes: u64) -> f64 {
    scrapes as f64
}

/// Half a scrape longer than configured, so that its ends never fall on a sample: Prometheus 3 leaves the left end of a
/// range out, Prometheus 2 does not, and both shall see the same.
#[must_use]
pub fn off_the_grid(config: &Config, window: Span) -> Range {
    Range::Fixed(window + config.scrape_interval.half())
}

/// Adds the label `host`, which is `instance` without its port: what targets on one machine have in common.
#[must_use]
pub fn with_host(expr: Expr) -> Expr {
    label_from(expr, "host", "instance", "(.+?)(:[0-9]+)?")
}

//! Logs whose events are counted by kind: when a rule may say that something has just been told.

use flatline_catalog::{Family, Label};

use crate::config::Config;
use crate::model::{Case, Samples};
use crate::promql::{Expr, Range, call, select, since};
use crate::span::Span;

/// A log that counts what it is told by kind, and remembers when it was last told.
pub(super) struct Log {
    pub(super) events: &'static Family,
    pub(super) last: &'static Family,
    pub(super) kind: &'static Label,
}

impl Log {
    /// The kinds of which the log was told within the window, by host.
    ///
    /// The time is the better witness: it also tells what was said before the first scrape (while the host booted), and
    /// what a counter that starts anew seems to count again is as old as it was. The count is for hosts whose clock is
    /// wrong. It is compared with the highest one before the window rather than by `increase()`, to which a counter that is
    /// set back and fills up again looks like news.
    pub(super) fn told(&self, kinds: &[&str], window: Span) -> Expr {
        let kinds = kinds.join("|");
        let count = select(self.events).like(self.kind, &kinds);
        let before = select(self.events).over(Range::Fixed(window)).ago(window);
        since(select(self.last).like(self.kind, &kinds))
            .below(window.as_seconds())
            .note("it was said within the window")
            .or(Expr::from(count)
                .above(call("max_over_time", before))
                .note("or more often than before the window, whatever the host's clock says"))
    }

    /// The tests of such an alert; `other` is a kind it must not tell of.
    pub(super) fn cases(
        &self,
        config: &Config,
        alert: &'static str,
        kinds: &[&str],
        other: &str,
        window: Span,
    ) -> Vec<Case> {
        let (step, long) = (config.scrape_interval, window.steps(config.scrape_interval) + 12);
        let (end, old) = (step * long, long + 8);
        let case = |name| Case::new(config, alert, name);
        let events = |case: Case, kind, samples| case.series(self.events, TARGET, &[(self.kind, kind)], samples);
        let last = |case: Case, kind, samples| case.series(self.last, TARGET, &[(self.kind, kind)], samples);
        let told =
            |kind| -> [(&'static str, &str); 3] { [("job", TARGET.0), ("instance", TARGET.1), (self.kind.name, kind)] };
        let every: Vec<_> = kinds.iter().map(|kind| told(kind)).collect();
        let every: Vec<&[(&str, &str)]> = every.iter().map(<[_; 3]>::as_slice).collect();
        let first = kinds[0];
        let only = told(first);
        let only: &[&[(&str, &str)]] = &[&only];
        // Test time begins at 0, the year 1970, so that what is long past is below it.
        let long_past = || Samples::flat(LONG_PAST, old + long);
        let onset = step * 4;
        let all = kinds.iter().fold(case("each of them is said, then nothing more"), |case, kind| {
            let case = events(case, kind, Samples::flat(0.0, 4).then(1.0, long));
            last(case, kind, Samples::default().gap(4).then(onset.as_seconds(), long))
        });
        let boot = || Samples::default().gap(8);
        vec![
            all.fires_from(onset, &every).fires(onset + window - step, &every).quiet(onset + window),
            last(
                events(case("while the host booted, before the first scrape"), first, boot().then(3.0, long)),
                first,
                boot().then((step * 6).as_seconds(), long),
            )
            .fires_from(step * 8, only)
            .fires(step * 6 + window - step, only)
            .quiet(step * 8 + window),
            last(
                events(case("the host's clock is wrong"), first, Samples::flat(2.0, old).then(3.0, long)),
                first,
                long_past(),
            )
            .quiet(step * (old - 1))
            .fires(step * old, only),
            last(events(case("fresh: it was said long ago"), first, boot().then(3.0, long)), first, long_past())
                .never_until(end),
            last(
                events(
                    case("said long ago; the exporter restarts, forgets, and reads the old log again"),
                    first,
                    Samples::flat(5.0, 4).gap(2).then(0.0, 1).then(3.0, long),
                ),
                first,
                long_past(),
            )
            .never_until(end),
            last(
                events(case("something else is said"), other, Samples::flat(0.0, 4).climb(1.0, long)),
                other,
                Samples::default().gap(4).then(onset.as_seconds(), long),
            )
            .never_until(end),
        ]
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const LONG_PAST: f64 = -1e7;

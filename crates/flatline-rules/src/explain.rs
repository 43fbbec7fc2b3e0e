//! An alert in plain words.

use std::fmt::Write as _;

use crate::check::nearest;
use crate::config::Config;
use crate::model::{Expectation, fill};
use crate::signals;
use crate::span::Span;

/// What makes the alert fire, what does not, and where it comes from.
///
/// # Errors
/// When there is no alert of that name.
pub fn explain(name: &str, config: &Config) -> Result<String, String> {
    let signals = signals::all(config);
    let found =
        signals.iter().find_map(|signal| Some((signal, signal.alerts.iter().find(|alert| alert.name == name)?)));
    let Some((signal, alert)) = found else {
        let names = signals.iter().flat_map(|signal| &signal.alerts).map(|alert| alert.name);
        return Err(format!("there is no alert `{name}`{}", nearest(name, names)));
    };
    let plain = |text: &str| fill(text, |label| format!("<{label}>"));
    let mut text = format!(
        "{name} ({severity}, for {hold}{keep})\n{summary}.\n\n{description}\n\nWhere it comes from: {incident}.\nRunbook: {runbook}\n\n{expr}\n",
        severity = alert.severity(config),
        hold = alert.hold,
        keep = match alert.keep_firing_for(config) {
            Span::ZERO => String::new(),
            keep => format!(", keeps firing for {keep}"),
        },
        summary = plain(alert.summary),
        description = plain(&alert.description()),
        incident = alert.incident,
        runbook = alert.runbook_url(config),
        expr = alert.expr,
    );
    for (heading, fires) in [("\nFires when:\n", true), ("\nStays silent when:\n", false)] {
        text.push_str(heading);
        for case in signal.cases.iter().filter(|case| case.alert == name) {
            let firing = |e: &Expectation| matches!(e, Expectation::Firing(_, alerts) if !alerts.is_empty());
            if case.expectations.iter().any(firing) == fires {
                let _ = writeln!(text, "  - {}", case.name);
            }
        }
    }
    Ok(text)
}

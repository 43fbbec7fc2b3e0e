//! What is asked over the network now and then: HTTP, HTTPS and TCP, from the configuration file only.

use crate::{Family, Label, Unit};

/// The probe.
pub const PROBE: Label = Label::new("probe", "one per configured target, at most 64");
/// Whom it asks.
pub const TARGET: Label = Label::new("target", "one per probe: its URL without query");
/// Why it failed.
pub const REASON: Label =
    Label::new("reason", "lookup, connect, tls, timeout, redirect, protocol, too_large, status, body");
/// What the body's pattern caught.
pub const VALUE: Label = Label::new("value", "one per probe at a time, cut at 128 characters");

/// What is probed.
pub static INFO: Family = Family::info(
    "flatline_probe_info",
    &[PROBE, TARGET],
    "Whom the probe asks, from the configuration file. What the URL says after ? is not shown.",
);
/// Whether it succeeded.
pub static SUCCESS: Family = Family::gauge(
    "flatline_probe_success",
    Unit::None,
    &[PROBE],
    "1 when the last probe that ended got a good answer within its deadline, 0 when not. Absent until the first has ended.",
);
/// Why it failed.
pub static FAILURES: Family = Family::counter(
    "flatline_probe_failures_total",
    Unit::None,
    &[PROBE, REASON],
    "Probes that failed, by what stood in their way first. Counts from the exporter's start, since it is about what this process asked.",
);
/// How long it took.
pub static DURATION: Family = Family::histogram(
    "flatline_probe_duration_seconds",
    Unit::Seconds,
    &[PROBE],
    "How long probes took in all: name lookup, connection, TLS, redirects and the whole body. Failed ones count too, those that timed out with their deadline. Counts from the exporter's start.",
);
/// When the last one ended.
pub static LAST: Family = Family::gauge(
    "flatline_probe_last_timestamp_seconds",
    Unit::Seconds,
    &[PROBE],
    "When the last probe ended (Unix time). Absent until the first has ended.",
);
/// The HTTP status.
pub static STATUS: Family = Family::gauge(
    "flatline_probe_http_status_code",
    Unit::None,
    &[PROBE],
    "HTTP status of the last probe's answer, after redirects. Absent when no answer came.",
);
/// Whether the body matched.
pub static MATCHED: Family = Family::gauge(
    "flatline_probe_body_matched",
    Unit::None,
    &[PROBE],
    "1 when the body of the last answer matches the configured pattern, 0 when not. Absent without a pattern or without a whole answer.",
);
/// What the body's pattern caught.
pub static CAPTURE: Family = Family::info(
    "flatline_probe_capture_info",
    &[PROBE, VALUE],
    "What the first group of the configured pattern caught in the body of the last answer: the newest release on a page, say. Absent when it caught nothing.",
);
/// Until when the certificate holds.
pub static EXPIRY: Family = Family::gauge(
    "flatline_probe_certificate_expiry_timestamp_seconds",
    Unit::Seconds,
    &[PROBE],
    "When the certificate of the target's host ends (Unix time), as last seen, trusted or not. Absent until one has been seen.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[&INFO, &SUCCESS, &FAILURES, &DURATION, &LAST, &STATUS, &MATCHED, &CAPTURE, &EXPIRY];

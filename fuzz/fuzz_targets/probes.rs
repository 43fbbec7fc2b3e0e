//! Whatever an operator takes for a probe (the first line), and whatever it meets (the rest): no panic, no label longer
//! than a label, no certificate that is none.

#![no_main]

use flatline_sources::probes::{Failure, Target, expiry, judge};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(content.len());
    let (spec, body) = (&content[..end], content.get(end + 1..).unwrap_or_default());
    assert!(expiry(body).is_none() || body.first() == Some(&0x30), "a certificate is a sequence");
    let Some(target) = std::str::from_utf8(spec).ok().and_then(|spec| spec.parse::<Target>().ok()) else { return };
    assert!(!target.name.is_empty() && target.timeout <= target.interval);
    for status in [200, 503] {
        let verdict = judge(&target, status, body);
        assert_eq!(verdict.failure == Some(Failure::Status), !target.statuses.contains(status));
        assert_eq!(verdict.matched.is_none(), target.body.is_none());
        let capture = verdict.capture.unwrap_or_default();
        assert!(capture.chars().count() <= 128 && !capture.contains(char::is_control));
    }
});

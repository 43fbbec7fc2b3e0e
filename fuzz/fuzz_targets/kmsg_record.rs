//! Whatever `/dev/kmsg` returns: no panic, and no more text than bytes (each that is no UTF-8 becomes three).

#![no_main]

use flatline_events::kmsg::{Record, suppressed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let Ok(record) = Record::parse(raw) else { return };
    assert!(record.level < 8);
    let texts = [Some(&record.text), record.subsystem.as_ref(), record.device.as_ref()];
    assert!(texts.into_iter().flatten().map(|text| text.len()).sum::<usize>() <= 3 * raw.len());
    assert!(record.said_by_pid1().is_none_or(|_| record.facility == 3));
    assert!(suppressed(&record.text).is_none_or(|(site, _)| site.len() < record.text.len()));
});

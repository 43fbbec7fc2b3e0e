//! Whatever an operator takes for a pattern of sockets or of captures: no panic, and what is understood is shown as it was
//! given.

#![no_main]

use flatline_sources::crash_capture::Capture;
use flatline_sources::vm::Pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(pattern) = text.parse::<Pattern>() {
        assert_eq!(pattern.to_string(), text);
    }
    if let Ok(capture) = text.parse::<Capture>() {
        assert!(capture.to_string() == text && !capture.name().is_empty());
    }
});

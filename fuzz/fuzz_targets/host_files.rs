//! Whatever stands in the small files of procfs, sysfs, cgroupfs and pstore: no panic, and no value that is not there.

#![no_main]

use flatline_sources::crash_capture::{Taint, has_argument, parse_backend};
use flatline_sources::tasks::{parse_stat, parse_status, parse_wchan};
use flatline_sources::{boot_status, flat_keyed, gpu, meminfo, psi, value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let digits = content.iter().any(u8::is_ascii_digit);
    assert!(digits || value::number(content).is_none() && value::number_file(content).is_none());
    assert!(digits || psi::parse(content).is_none() && meminfo::bytes(content, b"MemTotal").is_none());
    assert!(digits || flat_keyed::find(content, b"oom_kill").is_none() && parse_stat(content).is_none());
    let _ = (value::limit_file(content), parse_status(content), parse_wchan(content), boot_status::parse(content));
    let _ = (Taint::parse(content), parse_backend(content), has_argument(content, "panic"));
    if let Ok(text) = std::str::from_utf8(content) {
        assert!(!gpu::is_address(text) || text.len() == 12);
    }
});

//! Whatever stands in the files of drivers, cgroups, firmware and netconsole: see the functions `fuzz` beside their parsers.

#![no_main]

use flatline_sources::{crash_capture, gpu, host_facts, memcg, value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    gpu::fuzz(content);
    memcg::fuzz(content);
    host_facts::fuzz(content);
    crash_capture::fuzz(content);
    assert!(content.iter().any(u8::is_ascii_digit) || value::v1_limit_file(content).is_none());
});

//! Whatever stands in the web configuration, and whatever a client sends as credentials or certificate: see
//! `flatline_web::fuzz`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| flatline_web::fuzz(content));

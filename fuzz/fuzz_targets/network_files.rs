//! Whatever stands in `/proc/net/*`: no panic, and only what the lines say.

#![no_main]

use flatline_sources::reachability::{parse_drops, parse_ipv4, parse_ipv6, parse_table};
use flatline_sources::udp_drops;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let lines = content.split(|byte| *byte == b'\n').count();
    for routes in [parse_ipv4(content), parse_ipv6(content)].into_iter().flatten() {
        assert!(routes.len() <= lines && routes.iter().all(|route| !route.interface.is_empty()));
    }
    if let Ok(listeners) = parse_table(content) {
        assert!(listeners.len() <= lines && listeners.iter().all(|listener| listener.limit.is_none()));
    }
    let _ = parse_drops(content);
    assert_eq!(udp_drops::parse(&[], 0), None);
    let _ = udp_drops::parse(content, 0);
});

//! Whatever comes over netlink: no panic, no more messages than there are headers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| flatline_sources::reachability::fuzz(datagram));

//! Whatever a process calls its command line, an administrator writes into a machine's configuration, or the kernel lists
//! of sockets: no panic, and nothing that grows beyond its source.

#![no_main]

use flatline_sources::vm::{command_line, process, proxmox, sockets, tap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let line = command_line::parse(content);
    assert!(format!("{line:?}").len() < 1000 + 20 * content.len());
    let config = proxmox::parse(content);
    assert!(config.disks.len() <= content.len());
    let _ = (process::parse(content, 100), tap::parse_name(content));
    for row in content.split(|byte| *byte == b'\n') {
        let _ = sockets::parse_row(row);
    }
});

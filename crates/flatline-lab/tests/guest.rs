//! Guests really boot, answer, fail clearly, and leave nothing behind.

use std::time::Duration;

use flatline_lab::Guest;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn boots_and_answers() {
    let guest = Guest::builder().forward(80).disk_mib(64).boot().unwrap();
    eprintln!("boot {:?} kernel {:?}", guest.boot_time(), guest.kernel());
    eprintln!("{:?}", guest.run("uname -r; dmesg | tail; cat /proc/mounts; ip a", SOON).unwrap());
    eprintln!("{}", guest.console());
}

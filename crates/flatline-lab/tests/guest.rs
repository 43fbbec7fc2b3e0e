//! Guests really boot, answer, fail clearly, and leave nothing behind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use flatline_lab::{Error, Guest, Kernel};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_guest_is_a_complete_machine() {
    let guest = Guest::builder()
        .disk_mib(64)
        .swap_mib(32)
        .forward(80)
        .file("/www/index.html", "hello from the guest")
        .script("httpd -h /www")
        .boot()
        .unwrap();

    assert_eq!(guest.sh("uname -r").unwrap().trim(), guest.kernel().release);
    let controllers = guest.sh("cat /sys/fs/cgroup/cgroup.subtree_control").unwrap();
    for controller in ["cpu", "io", "memory", "pids"] {
        assert!(controllers.split_whitespace().any(|word| word == controller), "{controllers}");
    }
    assert!(guest.sh("cat /proc/pressure/memory").unwrap().starts_with("some "));
    assert!(guest.sh("grep ' /disk ' /proc/mounts").unwrap().contains("ext4"));
    assert!(guest.sh("cat /proc/swaps").unwrap().contains("/dev/vdb"));

    let mut stream = TcpStream::connect(guest.address(80).unwrap()).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.ends_with("hello from the guest"), "{page}");
    assert!(guest.address(81).is_err());

    // The agent: status and both streams kept apart, binary output, large output, a command that hangs.
    let output = guest.run("echo out; echo err >&2; exit 7", SOON).unwrap();
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (7, "out\n", "err\n"));
    assert_eq!(guest.sh("printf '1 2 3 4\\n'; seq 200000").unwrap().lines().count(), 200_001);
    assert!(matches!(guest.run("sleep 1000", Duration::from_secs(1)), Err(Error::Deadline { .. })));
    assert_eq!(guest.sh("echo \"it's 'quoted'\"").unwrap(), "it's 'quoted'\n");
    assert!(guest.sh("echo sorry; false").unwrap_err().to_string().contains("sorry"));

    // The lab's monitor, while the other one is left to whoever is tested.
    assert_eq!(guest.qmp().unwrap().execute("query-status", &serde_json::json!({})).unwrap()["running"], true);
    assert!(guest.qmp_socket().exists());
}

#[test]
fn last_words_are_captured_and_nothing_is_left_behind() {
    let guest = Guest::builder().boot().unwrap();
    let (process, directory) = (guest.process_id(), guest.directory().to_owned());
    // The agent dies with the kernel, so there is no answer.
    assert!(guest.run("echo c >/proc/sysrq-trigger", Duration::from_secs(1)).is_err());
    guest.wait_for_console("Kernel panic - not syncing: sysrq triggered crash", SOON).unwrap();
    assert!(guest.console().contains("FLATLINE-LAB-READY"));

    // A panicking test drops its guest like this.
    let unwound = thread::spawn(move || {
        let _guest = guest;
        std::panic::resume_unwind(Box::new("the test failed"));
    });
    assert!(unwound.join().is_err());
    assert!(!Path::new(&format!("/proc/{process}")).exists());
    assert!(!directory.exists());
}

#[test]
fn two_guests_at_once() {
    let boot = |name: &'static str| {
        move || Guest::builder().forward(80).file("/etc/name", name).script("httpd -h /etc").boot().unwrap()
    };
    let (one, two) = (thread::spawn(boot("one")), thread::spawn(boot("two")));
    let (one, two) = (one.join().unwrap(), two.join().unwrap());
    assert_ne!(one.address(80).unwrap(), two.address(80).unwrap());
    assert_eq!(one.sh("cat /etc/name").unwrap(), "one");
    assert_eq!(two.sh("cat /etc/name").unwrap(), "two");
}

#[test]
fn what_does_not_boot_says_why_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("vmlinuz");
    std::fs::write(&garbage, "this is no kernel").unwrap();
    let mut kernel = Kernel::debian().unwrap();
    kernel.image = garbage;
    let error = Guest::builder().kernel(kernel).boot().unwrap_err().to_string();
    assert!(error.contains("did not boot") && error.contains("qemu"), "{error}");

    let error = Guest::builder().script("echo about to fail; false").boot().unwrap_err().to_string();
    assert!(error.contains("script failed") && error.contains("about to fail"), "{error}");

    let error = Guest::builder().kernel_argument("rdinit=/none root=/dev/none").boot().unwrap_err().to_string();
    assert!(error.contains("panicked") && error.contains("Unable to mount root"), "{error}");

    // Far less than the three minutes that it would have otherwise.
    let start = Instant::now();
    let hurried = Guest::builder().boot_deadline(Duration::from_secs(1)).boot().unwrap_err().to_string();
    assert!(hurried.contains("not within 1s"), "{hurried}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

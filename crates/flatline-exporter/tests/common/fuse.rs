//! A FUSE server that answers, keeps silent, or dies, as a test wants it: enough of the protocol
//! (kernel documentation: `Documentation/filesystems/fuse/fuse.rst`, `include/uapi/linux/fuse.h`) for `statfs`.

#![allow(dead_code, reason = "each test binary includes this file and uses its part")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

const FORGET: u32 = 2;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const ENOSYS: i32 = -38;

/// A mounted FUSE file system with its server. Dropped, the server dies, whoever hangs is freed, and it is unmounted.
pub(crate) struct Fuse {
    mountpoint: PathBuf,
    told: Arc<Told>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Told {
    silent: AtomicBool,
    stop: AtomicBool,
    asked: AtomicUsize,
}

impl Fuse {
    /// Mounts it for that user with this type (`fuse.` and a name, by which tests are told apart) and source.
    pub(crate) fn mount(mountpoint: &Path, fstype: &str, source: &str, user: u32) -> std::io::Result<Self> {
        std::fs::create_dir_all(mountpoint)?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let options = format!("fd={},rootmode=40000,user_id={user},group_id=0", device.as_raw_fd());
        let options = CString::new(options).expect("no NUL");
        mount(source, mountpoint, fstype, MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())?;
        let told = Arc::new(Told::default());
        let server = std::thread::spawn({
            let told = Arc::clone(&told);
            move || serve(device, &told)
        });
        Ok(Self { mountpoint: mountpoint.to_path_buf(), told, server: Some(server) })
    }

    /// From now on it leaves questions unanswered, or answers them again, the open ones first.
    pub(crate) fn silent(&self, silent: bool) {
        self.told.silent.store(silent, Ordering::SeqCst);
    }

    /// How often it has been asked for its figures.
    pub(crate) fn asked(&self) -> usize {
        self.told.asked.load(Ordering::SeqCst)
    }

    /// The server dies; what it served stays mounted.
    pub(crate) fn die(&mut self) {
        self.told.stop.store(true, Ordering::SeqCst);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.die();
        let _ = unmount(&self.mountpoint, UnmountFlags::DETACH);
    }
}

fn serve(mut device: File, told: &Told) {
    let (mut buffer, mut open) = (vec![0; 256 * 1024], Vec::new());
    let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    while !told.stop.load(Ordering::SeqCst) {
        if !told.silent.load(Ordering::SeqCst) {
            for unique in open.drain(..) {
                reply(&mut device, unique, 0, &figures());
            }
        }
        let ready = poll(&mut [PollFd::new(&device, PollFlags::IN)], Some(&tick));
        if !matches!(ready, Ok(1..)) {
            continue;
        }
        let Ok(length) = device.read(&mut buffer) else { return };
        let request = &buffer[..length];
        let number = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("4 bytes"));
        let unique = u64::from_ne_bytes(request[8..16].try_into().expect("8 bytes"));
        match number(4) {
            INIT => reply(&mut device, unique, 0, &init(number(40), number(44))),
            STATFS => {
                told.asked.fetch_add(1, Ordering::SeqCst);
                open.push(unique);
            }
            FORGET | BATCH_FORGET | INTERRUPT => {}
            _ => reply(&mut device, unique, ENOSYS, &[]),
        }
    }
}

fn reply(device: &mut File, unique: u64, error: i32, body: &[u8]) {
    let length = u32::try_from(16 + body.len()).expect("short");
    let reply = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &unique.to_ne_bytes(), body].concat();
    let _ = device.write_all(&reply);
}

/// `fuse_init_out`: the kernel's own version, and writes of a page.
fn init(major: u32, minor: u32) -> Vec<u8> {
    let mut out = [major, minor, 4096, 0, 0, 4096].map(u32::to_ne_bytes).concat();
    out.resize(64, 0);
    out
}

/// `fuse_statfs_out`: blocks and inodes, then the sizes of a block, a name and a fragment.
fn figures() -> Vec<u8> {
    let mut out = [1000_u64, 500, 500, 100, 50].map(u64::to_ne_bytes).concat();
    out.extend([4096_u32, 255, 4096, 0].map(u32::to_ne_bytes).concat());
    out.resize(80, 0);
    out
}

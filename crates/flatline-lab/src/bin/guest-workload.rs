//! What runs in a guest to break it, or to suffer beside it:
//!
//! ```text
//! guest-workload hog       --mib N                       touches N MiB and keeps them
//! guest-workload thrash    --mib N                       touches N MiB again and again
//! guest-workload innocent  --report FILE                 allocates a little and reports how its loop goes
//! guest-workload pagecache --file FILE --mib N --report FILE   writes and reads a file again and again
//! guest-workload write     --file FILE --report FILE     makes a block of a disk durable five times a second
//! ```
//!
//! Each takes `--in CGROUP`, a directory below which it puts itself first. A report is one line of `name=value`
//! words, rewritten in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-workload: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let (command, options) = arguments.split_first().ok_or_else(|| invalid("which workload?"))?;
    let mut options = Options::parse(options)?;
    let cgroup = options.0.remove("--in");
    let workload: Box<dyn FnOnce() -> io::Result<()>> = match command.as_str() {
        "hog" => {
            let mib = options.mib()?;
            Box::new(move || hog(mib))
        }
        "thrash" => {
            let mib = options.mib()?;
            Box::new(move || thrash(mib))
        }
        "innocent" => {
            let report = options.take("--report")?;
            Box::new(move || innocent(&Report::create(&report)?))
        }
        "pagecache" => {
            let (file, mib, report) = (options.take("--file")?, options.mib()?, options.take("--report")?);
            Box::new(move || page_cache(&file, mib, &Report::create(&report)?))
        }
        "write" => {
            let (file, report) = (options.take("--file")?, options.take("--report")?);
            Box::new(move || write(&file, &Report::create(&report)?))
        }
        other => return Err(invalid(format!("no workload `{other}`"))),
    };
    if let Some(unknown) = options.0.keys().next() {
        return Err(invalid(format!("{command} has no option `{unknown}`")));
    }
    if let Some(cgroup) = cgroup {
        std::fs::write(format!("{cgroup}/cgroup.procs"), "0")?; // 0 is the writer itself
    }
    workload()
}

/// `--name value` pairs.
struct Options(BTreeMap<String, String>);

impl Options {
    fn parse(words: &[String]) -> io::Result<Self> {
        let mut options = BTreeMap::new();
        for pair in words.chunks(2) {
            match pair {
                [name, value] if name.starts_with("--") => options.insert(name.clone(), value.clone()),
                _ => return Err(invalid(format!("`{}` is no pair of option and value", pair.join(" ")))),
            };
        }
        Ok(Self(options))
    }

    fn take(&mut self, name: &str) -> io::Result<String> {
        self.0.remove(name).ok_or_else(|| invalid(format!("{name} is missing")))
    }

    fn mib(&mut self) -> io::Result<usize> {
        let mib = self.take("--mib")?;
        mib.parse().map_err(|error| invalid(format!("--mib {mib}: {error}")))
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
}

/// Touches every page once; a process over `memory.high` is put to sleep in one of these touches.
fn hog(mib: usize) -> io::Result<()> {
    let mut held = Vec::with_capacity(mib);
    for _ in 0..mib {
        let mut chunk = vec![0_u8; MIB];
        touch(&mut chunk);
        held.push(chunk);
    }
    println!("hog: holds {} MiB", held.len());
    loop {
        std::thread::park();
    }
}

/// Touches every page again and again: with less memory than that, each touch takes a page from the swap.
fn thrash(mib: usize) -> io::Result<()> {
    let mut memory = vec![0_u8; mib * MIB];
    loop {
        touch(&mut memory);
    }
}

/// Allocates and touches a MiB, as any server does, up to fifty times a second.
///
/// It asks for 64 MiB because the C library keeps freed memory of up to 32 MiB for the next round, which would never
/// be charged anew, and so never be throttled.
fn innocent(report: &Report) -> io::Result<()> {
    let mut longest = Duration::ZERO;
    for loops in 1_u64.. {
        let start = Instant::now();
        let mut buffer = vec![0_u8; 64 * MIB];
        touch(&mut buffer[..MIB]);
        drop(buffer);
        let latency = start.elapsed();
        longest = longest.max(latency);
        report.write(&format!("loops={loops} last_us={} max_us={}", latency.as_micros(), longest.as_micros()))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Writes the file, makes it durable, reads it back, and so on.
fn page_cache(file: &str, mib: usize, report: &Report) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(file)?;
    let mut chunk = vec![0x5a_u8; MIB];
    let mut done = 0_u64;
    let mut progress = || {
        done += 1;
        report.write(&format!("mib={done}"))
    };
    loop {
        file.rewind()?;
        for _ in 0..mib {
            file.write_all(&chunk)?;
            progress()?;
        }
        file.sync_data()?;
        file.rewind()?;
        for _ in 0..mib {
            file.read_exact(&mut chunk)?;
            progress()?;
        }
    }
}

/// What may be written past the page cache has to be aligned in memory, too.
#[repr(align(4096))]
struct Block([u8; PAGE]);

/// Writes one block after the other, past the page cache, to the first MiB of an existing file or disk.
fn write(file: &str, report: &Report) -> io::Result<()> {
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let file = File::options().write(true).custom_flags(direct).open(file)?;
    let block = Block([0x5a; PAGE]);
    for (done, place) in (1_u64..).zip((0..MIB as u64).step_by(PAGE).cycle()) {
        file.write_all_at(&block.0, place)?;
        file.sync_data()?;
        report.write(&format!("writes={done}"))?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn touch(memory: &mut [u8]) {
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(memory);
}

/// A line rewritten in place: a new file or page at each write would itself be charged and throttled.
struct Report(File);

impl Report {
    fn create(path: &str) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    fn write(&self, line: &str) -> io::Result<()> {
        self.0.write_all_at(format!("{line:<79}\n").as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_refused_before_anything_is_done() {
        for (line, reason) in [
            ("", "which workload"),
            ("dance", "no workload `dance`"),
            ("hog", "--mib is missing"),
            ("hog --mib many", "--mib many"),
            ("hog --mib 1 --mob 2", "no option `--mob`"),
            ("hog --mib", "no pair"),
            ("pagecache --file /none --mib 1", "--report is missing"),
            ("write --report /none", "--file is missing"),
            ("hog --mib 1 --in /nowhere", "No such file"),
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let error = run(&words).unwrap_err().to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}

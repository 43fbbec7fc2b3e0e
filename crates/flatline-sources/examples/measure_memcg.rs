//! `measure_memcg CGROUP_ROOT [HELD]`: times the memcg reader against a bare loop that opens, reads and closes
//! the same files, each in one process and alternating. Prints milliseconds (medians).

use flatline_sources::Roots;
use flatline_sources::memcg::{Options, Reader, Reading};
use flatline_sources::synthetic::FILES;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(root) = arguments.first().map(PathBuf::from) else {
        eprintln!("usage: measure_memcg CGROUP_ROOT [HELD]");
        return;
    };
    let held = arguments.get(1).and_then(|held| held.parse().ok()).unwrap_or(Options::default().max_held_files);
    let files = files_below(&root);
    let options = Options { max_held_files: held, max_series: u64::MAX, ..Options::default() };
    let roots = Roots { cgroup: root.into(), ..Roots::default() };
    let Some(mut reader) = Reader::probe(&roots, &options).present() else {
        eprintln!("no cgroup-v2 hierarchy there");
        return;
    };
    let mut reading = Reading::default();
    let mut buffer = Vec::with_capacity(64 * 1024);
    let first = timed(|| read(&mut reader, &mut reading));
    let second = timed(|| read(&mut reader, &mut reading));
    let (mut steady, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(timed(|| bare_loop(&files, &mut buffer)));
        steady.push(timed(|| read(&mut reader, &mut reading)));
    }
    println!(
        "cgroups {} files {} held_max {held} first_ms {:.2} second_ms {:.2} steady_ms {:.2} bare_loop_ms {:.2}",
        reading.cgroups.len(),
        files.len(),
        milliseconds(first),
        milliseconds(second),
        milliseconds(median(steady)),
        milliseconds(median(bare)),
    );
}

fn read(reader: &mut Reader, reading: &mut Reading) {
    if let Err(error) = reader.read(reading, &mut |fault| eprintln!("{fault}")) {
        eprintln!("{error}");
    }
}

/// What any exporter does at least: open, read, close, nothing understood.
fn bare_loop(files: &[PathBuf], buffer: &mut Vec<u8>) {
    for path in files {
        buffer.clear();
        let read = File::open(path).and_then(|mut file| {
            buffer.resize(8192, 0);
            file.read(buffer)
        });
        if let Err(error) = read {
            eprintln!("{}: {error}", path.display());
        }
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        FILES.iter().map(|(name, _)| directory.join(name)).filter(|path| path.exists()).collect();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&entry.path()));
        }
    }
    found
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

//! `measure_polls [MONITORS]`: polls 1,000 monitors (of another process) at once, and beside it does the same bare
//! round trips on the same sockets: connect, greeting, the same bytes, as many lines, close, nothing parsed. Prints
//! the medians of wall and processor time of this process, and its memory.

use flatline_qmp::synthetic::{Machine, Monitors};
use flatline_qmp::{Conversation, Memory, State, poll_all};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const ROUNDS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(10);
/// As many as `poll_all` visits at once.
const AT_ONCE: usize = 128;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [] => measure(1000),
        [count] => count.parse().map_err(Failure::from).and_then(measure),
        [command, directory, count] if command == "serve" => {
            count.parse().map_err(Failure::from).and_then(|count| serve(Path::new(directory), count))
        }
        _ => Err("usage: measure_polls [MONITORS]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure_polls: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sockets(directory: &Path, count: usize) -> Vec<PathBuf> {
    (0..count).map(|number| directory.join(format!("{number}.qmp"))).collect()
}

fn raise_fd_limit() -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Until standard input ends, that is, with the process that measures.
fn serve(directory: &Path, count: usize) -> Result<(), Failure> {
    raise_fd_limit()?;
    let monitors = Monitors::start();
    for socket in sockets(directory, count) {
        monitors.add(&socket, Machine::default())?;
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the monitors' processor time must not be counted as ours")]
fn measure(count: usize) -> Result<(), Failure> {
    raise_fd_limit()?;
    let directory = tempfile::tempdir()?;
    let mut server = Command::new(std::env::current_exe()?)
        .args(["serve".as_ref(), directory.path().as_os_str(), count.to_string().as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    server.stdout.take().ok_or("no output")?.read_exact(&mut [0; 6])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = compare(&runtime, &sockets(directory.path(), count));
    drop(server.stdin.take());
    server.wait()?;
    measured
}

fn compare(runtime: &Runtime, sockets: &[PathBuf]) -> Result<(), Failure> {
    let before = resident_kib()?;
    let mut machines: Vec<(PathBuf, Memory)> = sockets.iter().map(|path| (path.clone(), Memory::default())).collect();
    // The first visits count the queues; what is measured is what comes ever after.
    let first = timed(|| machines = poll(runtime, sockets, std::mem::take(&mut machines)))?;
    let (requests, lines) = runtime.block_on(requests(&machines[0]))?;
    let requests: Arc<[u8]> = requests.into();
    let (mut polls, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        polls.push(timed(|| machines = poll(runtime, sockets, std::mem::take(&mut machines)))?);
        bare.push(timed(|| runtime.block_on(round_trips(sockets, &requests, lines)))?);
    }
    let count = sockets.len();
    println!("{count} monitors, each asked {lines} things in {} bytes", requests.len());
    println!("first poll:  {:7.1} ms wall, {:7.1} ms processor", first.0, first.1);
    let (poll_wall, poll_cpu) = medians(polls);
    let (bare_wall, bare_cpu) = medians(bare);
    println!("poll:        {poll_wall:7.1} ms wall, {poll_cpu:7.1} ms processor");
    println!("round trips: {bare_wall:7.1} ms wall, {bare_cpu:7.1} ms processor");
    println!("ratio:       {:7.2}    wall, {:7.2}    processor", poll_wall / bare_wall, poll_cpu / bare_cpu);
    println!("memory:      {} KiB before, {} KiB after", before, resident_kib()?);
    Ok(())
}

fn poll(runtime: &Runtime, sockets: &[PathBuf], machines: Vec<(PathBuf, Memory)>) -> Vec<(PathBuf, Memory)> {
    let polls = runtime.block_on(poll_all(machines, PATIENCE));
    let visited = sockets.iter().zip(polls).map(|(socket, (poll, memory))| {
        assert!(poll.state == State::Up && poll.queues.len() == 1, "{poll:?}");
        (socket.clone(), memory)
    });
    visited.collect()
}

/// What a visit to a machine that is known sends, and how many answers it gets.
async fn requests((socket, memory): &(PathBuf, Memory)) -> Result<(Vec<u8>, usize), Failure> {
    let stream = UnixStream::connect(socket).await?;
    let peer_pid = stream.peer_cred()?.pid().and_then(|pid| pid.try_into().ok());
    let mut memory = memory.clone();
    let mut conversation = Conversation::new(&mut memory, peer_pid);
    BufReader::new(stream).read_until(b'\n', conversation.room()).await?;
    conversation.digest(Instant::now())?;
    let requests = conversation.outgoing().to_vec();
    let lines = requests.iter().filter(|byte| **byte == b'\n').count();
    Ok((requests, lines))
}

async fn round_trips(sockets: &[PathBuf], requests: &Arc<[u8]>, lines: usize) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut visits = JoinSet::new();
    for socket in sockets {
        let (socket, requests, turns) = (socket.clone(), Arc::clone(requests), Arc::clone(&turns));
        visits.spawn(async move {
            let _turn = turns.acquire_owned().await;
            round_trip(&socket, &requests, lines).await
        });
    }
    while let Some(visited) = visits.join_next().await {
        assert!(matches!(visited, Ok(Ok(()))), "{visited:?}");
    }
}

async fn round_trip(socket: &Path, requests: &[u8], lines: usize) -> std::io::Result<()> {
    let mut stream = BufReader::with_capacity(16 << 10, UnixStream::connect(socket).await?);
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    stream.get_mut().write_all(requests).await?;
    for _ in 0..lines {
        line.clear();
        stream.read_until(b'\n', &mut line).await?;
    }
    Ok(())
}

/// Milliseconds of wall and of processor time.
fn timed(work: impl FnOnce()) -> Result<(f64, f64), Failure> {
    let processor = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime));
    let (started, used) = (Instant::now(), processor()?);
    work();
    let (wall, used) = (started.elapsed(), processor()?.saturating_sub(used));
    Ok((wall.as_secs_f64() * 1e3, used.as_secs_f64() * 1e3))
}

fn medians(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    let middle = rounds.len() / 2;
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wall = rounds[middle].0;
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    (wall, rounds[middle].1)
}

fn resident_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(resident.trim().trim_end_matches(" kB").parse()?)
}

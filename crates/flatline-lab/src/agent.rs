//! Running commands in a guest, over a virtio-serial port and a shell loop.
//!
//! To the guest goes a line `<number> <seconds> <command in hex>`; back comes a line
//! `<number> <status> <bytes of stdout> <bytes of stderr>` followed by exactly these bytes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The name of the port in QEMU and in the guest's sysfs.
pub(crate) const PORT: &str = "flatline.agent";

/// The guest's side, respawned by init should it die.
pub(crate) const SCRIPT: &str = include_str!("guest/agent.sh");

/// More than this from one command is an error, not a memory problem.
const MOST: usize = 64 << 20;

/// What a command in a guest did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit status, as the shell has it (128 and more: killed by a signal).
    pub status: u32,
    /// Its standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

/// The host's side. Commands run one after the other.
#[derive(Debug)]
pub(crate) struct Agent {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stream: UnixStream,
    received: Vec<u8>,
    number: u64,
}

impl Agent {
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(Error::file(socket))?;
        Ok(Self { state: Mutex::new(State { stream, received: Vec::new(), number: 0 }) })
    }

    /// Runs `command` by the guest's shell. At the deadline it is killed; a guest that does not even answer then
    /// is the same error.
    pub(crate) fn run(&self, command: &str, deadline: Duration) -> Result<Output> {
        let late = || Error::Deadline { what: format!("`{command}` in the guest"), deadline, seen: String::new() };
        let seconds = deadline.as_secs().max(1);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        state.send(seconds, command)?;
        // The guest's own timer acts first: its answer leaves the agent free for the next command.
        let output = state.receive(start + deadline + Duration::from_secs(5))?.ok_or_else(late)?;
        if output.status == 137 && start.elapsed() >= Duration::from_secs(seconds) {
            return Err(late());
        }
        Ok(output)
    }
}

impl State {
    fn send(&mut self, seconds: u64, command: &str) -> Result<()> {
        self.number += 1;
        let hex: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.stream, "{} {seconds} {hex}", self.number).map_err(Error::peer("guest agent"))
    }

    /// The answer to the command sent last; late answers to earlier ones are passed over.
    fn receive(&mut self, end: Instant) -> Result<Option<Output>> {
        loop {
            while let Some((number, output)) = take_answer(&mut self.received)? {
                if number == self.number {
                    return Ok(Some(output));
                }
            }
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Ok(None);
            };
            self.stream.set_read_timeout(Some(left)).map_err(Error::peer("guest agent"))?;
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Error::peer("guest agent")("QEMU closed the connection")),
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(Error::peer("guest agent")(error)),
            }
        }
    }
}

/// Takes the first answer off `received` once it is there in full.
fn take_answer(received: &mut Vec<u8>) -> Result<Option<(u64, Output)>> {
    let Some(end) = received.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let header = String::from_utf8_lossy(&received[..end]).into_owned();
    let senseless = || Error::peer("guest agent")(format!("answered `{header}`"));
    let numbers: Vec<u64> = header.split(' ').map_while(|word| word.parse().ok()).collect();
    let &[number, status, stdout, stderr] = &numbers[..] else { return Err(senseless()) };
    let size = |bytes: u64| usize::try_from(bytes).ok().filter(|&bytes| bytes <= MOST).ok_or_else(senseless);
    let (stdout, stderr) = (size(stdout)?, size(stderr)?);
    let body = end + 1;
    if received.len() < body + stdout + stderr {
        return Ok(None);
    }
    let text = |from: usize, length: usize| String::from_utf8_lossy(&received[from..from + length]).into_owned();
    let output = Output {
        status: u32::try_from(status).map_err(|_| senseless())?,
        stdout: text(body, stdout),
        stderr: text(body + stdout, stderr),
    };
    received.drain(..body + stdout + stderr);
    Ok(Some((number, output)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_whole_and_in_order() {
        let mut received = b"1 0 3 2\nout".to_vec();
        assert_eq!(take_answer(&mut received).unwrap(), None);
        received.extend(b"er2 7 0 0\n");
        let (number, output) = take_answer(&mut received).unwrap().unwrap();
        assert_eq!((number, output.status, &*output.stdout, &*output.stderr), (1, 0, "out", "er"));
        assert_eq!(take_answer(&mut received).unwrap().unwrap().1.status, 7);
        assert!(received.is_empty());
    }

    #[test]
    fn nonsense_is_an_error_and_reserves_nothing() {
        for nonsense in ["hello\n", "1 0 3\n", "1 0 99999999999 0\n", "\n", "1 99999999999 0 0\n"] {
            assert!(take_answer(&mut nonsense.as_bytes().to_vec()).is_err(), "{nonsense:?}");
        }
    }
}

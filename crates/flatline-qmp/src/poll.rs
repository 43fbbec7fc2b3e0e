//! One visit to one monitor: connect, ask, leave.

use crate::conversation::Conversation;
use crate::memory::Memory;
use crate::outcome::{CommandError, Poll, State};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

/// Monitors that answered last time are visited so many at once: the deadline of each begins with its own visit.
const AT_ONCE: usize = 128;
/// The others, likewise. Each may take until its deadline, so more of them wait at the same time.
const SILENT_AT_ONCE: usize = 512;

/// Visits a monitor, for no longer than `patience`; after that nothing more is sent to it.
pub async fn poll(socket: &Path, memory: &mut Memory, patience: Duration) -> Poll {
    let (mut poll, ended) = visit(socket, memory, Instant::now() + patience).await;
    let answered = poll.status.is_some() && poll.block_stats.is_some();
    match ended {
        // What is optional may be late without making the machine look dead.
        Ok(()) | Err(End::Late) if answered => poll.state = State::Up,
        Ok(()) => {
            let failed: Vec<String> = poll.failed.iter().map(CommandError::to_string).collect();
            poll.fail(socket, State::Error, &format!("its answers make no sense: {}", failed.join("; ")));
        }
        Err(End::Late) if poll.greeting.is_none() => poll.fail(socket, State::NoGreeting, "no greeting in time"),
        Err(End::Late) => poll.fail(socket, State::NoReply, "a greeting, then no answer in time"),
        Err(End::Connect(error)) => poll.fail(socket, state_of(&error), &error.to_string()),
        Err(End::Broken(reason)) => poll.fail(socket, State::Error, &reason),
    }
    memory.up = poll.state == State::Up;
    poll
}

/// Visits many monitors at once, each for no longer than `patience`. The answers come in the order of the sockets.
/// Who did not answer the last time is visited beside the others, so that silent ones do not delay them.
pub async fn poll_all(sockets: Vec<(PathBuf, Memory)>, patience: Duration) -> Vec<(Poll, Memory)> {
    let (up, silent) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(SILENT_AT_ONCE)));
    let mut visits = JoinSet::new();
    let mut polls: Vec<(Poll, Memory)> = Vec::new();
    polls.resize_with(sockets.len(), Default::default);
    for (number, (socket, mut memory)) in sockets.into_iter().enumerate() {
        let turns = Arc::clone(if memory.up { &up } else { &silent });
        visits.spawn(async move {
            // The semaphore is never closed, so there is a permit for whoever waits.
            let _turn = turns.acquire_owned().await;
            let poll = poll(&socket, &mut memory, patience).await;
            (number, poll, memory)
        });
    }
    while let Some(visited) = visits.join_next().await {
        if let Ok((number, poll, memory)) = visited {
            polls[number] = (poll, memory);
        }
    }
    polls
}

/// Why a visit ended before everything was answered.
enum End {
    Connect(io::Error),
    Late,
    Broken(String),
}

fn state_of(error: &io::Error) -> State {
    match error.kind() {
        ErrorKind::NotFound => State::Absent,
        ErrorKind::ConnectionRefused => State::Refused,
        ErrorKind::PermissionDenied => State::PermissionDenied,
        ErrorKind::WouldBlock => State::Busy,
        _ => State::Error,
    }
}

async fn visit(socket: &Path, memory: &mut Memory, deadline: Instant) -> (Poll, Result<(), End>) {
    let stream = match timeout_at(deadline.into(), UnixStream::connect(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return (Poll::default(), Err(End::Connect(error))),
        Err(_) => return (Poll::default(), Err(End::Late)),
    };
    let peer_pid = stream.peer_cred().ok().and_then(|peer| peer.pid()?.try_into().ok());
    let mut conversation = Conversation::new(memory, peer_pid);
    let ended = timeout_at(deadline.into(), converse(&stream, &mut conversation, deadline)).await;
    (conversation.end(), ended.unwrap_or(Err(End::Late)))
}

/// Reads and writes as either is possible: who writes everything first may wait for a peer that waits to be read.
async fn converse(stream: &UnixStream, conversation: &mut Conversation<'_>, deadline: Instant) -> Result<(), End> {
    let broken = |error: io::Error| End::Broken(error.to_string());
    loop {
        let writing = if conversation.outgoing().is_empty() { Interest::READABLE } else { Interest::WRITABLE };
        stream.ready(Interest::READABLE | writing).await.map_err(broken)?;
        match stream.try_read_buf(conversation.room()) {
            Ok(0) => return Err(End::Broken("it closed the connection".to_owned())),
            Ok(_) => {
                let now = Instant::now();
                if conversation.digest(now).map_err(|error| End::Broken(error.to_string()))? {
                    return Ok(());
                }
                // Whoever has always something to say is never waited for, so the deadline has to be looked at.
                if now >= deadline {
                    return Err(End::Late);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(error)),
        }
        if !conversation.outgoing().is_empty() {
            match stream.try_write(conversation.outgoing()) {
                Ok(sent) => conversation.sent(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

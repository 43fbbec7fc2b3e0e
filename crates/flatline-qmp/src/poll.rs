//! One visit to one monitor: connect, ask, leave.

use crate::message::{self, Message};
use crate::query::{Query, write_capabilities};
use crate::reply::{self, Block, BlockStats, Greeting, QueueStatus, Status, VirtioDevice};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

/// The longest line that is read: `query-block` of a machine with hundreds of disks in long snapshot chains.
pub const LONGEST_LINE: usize = 4 << 20;
/// So much is read in one visit, events included.
pub const MOST_BYTES: usize = 8 << 20;
/// So many virtio devices are looked into, and so many queues of each.
const MAX_DEVICES: usize = 64;
const MAX_QUEUES: u16 = 64;
/// Monitors that answered last time are visited so many at once: the deadline of each begins with its own visit.
const AT_ONCE: usize = 128;
/// Queues 0 and 1 of a SCSI controller carry control and events, no requests (virtio 1.1, section 5.6.2).
const FIRST_SCSI_QUEUE: u16 = 2;

/// What became of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// There is no socket.
    Absent,
    /// There is one and nobody listens: its QEMU has ended.
    Refused,
    /// We may not connect.
    PermissionDenied,
    /// Connected, and no greeting came: another client is being served, or QEMU is stopped or hangs.
    NoGreeting,
    /// A greeting came, and then not the answers: QEMU's main loop is blocked.
    NoReply,
    /// Others wait to be served already; the caller may know the same of a [`State::NoGreeting`].
    Busy,
    /// What came is not QMP, or the connection broke.
    Error,
    /// It answers.
    Up,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Absent,
        Self::Refused,
        Self::PermissionDenied,
        Self::NoGreeting,
        Self::NoReply,
        Self::Busy,
        Self::Error,
        Self::Up,
    ];

    /// The word for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::PermissionDenied => "permission_denied",
            Self::NoGreeting => "no_greeting",
            Self::NoReply => "no_reply",
            Self::Busy => "busy",
            Self::Error => "error",
            Self::Up => "up",
        }
    }
}

/// What a visit has brought. What was not answered, or not understood, is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// How it ended: up when [`Query::Status`] and [`Query::BlockStats`] were answered.
    pub state: State,
    /// Why it is not up, with the socket's path.
    pub error: Option<String>,
    /// The process that listens, as the kernel remembers it.
    pub peer_pid: Option<u32>,
    /// QEMU's greeting.
    pub greeting: Option<Greeting>,
    /// How long the answer to [`Query::Status`] took, in seconds.
    pub reply_seconds: Option<f64>,
    /// Answer to [`Query::Status`].
    pub status: Option<Status>,
    /// Answer to [`Query::Name`].
    pub name: Option<String>,
    /// Answer to [`Query::BlockStats`].
    pub block_stats: Option<Vec<BlockStats>>,
    /// Answer to [`Query::Block`].
    pub blocks: Option<Vec<Block>>,
    /// Answer to [`Query::Virtio`].
    pub virtio: Option<Vec<VirtioDevice>>,
    /// The request queues of each block and SCSI device all of whose queues answered, by path.
    pub queues: BTreeMap<String, Vec<QueueStatus>>,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            state: State::Error,
            error: None,
            peer_pid: None,
            greeting: None,
            reply_seconds: None,
            status: None,
            name: None,
            block_stats: None,
            blocks: None,
            virtio: None,
            queues: BTreeMap::new(),
        }
    }
}

/// What is remembered of a QEMU from visit to visit, so that one batch of questions is enough.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The QEMU it is about.
    peer: (Option<u32>, Option<Greeting>),
    /// Whether it answered.
    up: bool,
    /// It does not know `x-query-virtio`.
    no_virtio: bool,
    /// The request queues of its devices.
    queues: BTreeMap<String, Range<u16>>,
    /// The queues' answers of the visit in progress; `None` for a queue that does not exist.
    answers: BTreeMap<(String, u16), Option<QueueStatus>>,
    buffer: Vec<u8>,
}

/// Visits a monitor, for no longer than `patience`.
pub async fn poll(socket: &Path, memory: &mut Memory, patience: Duration) -> Poll {
    let mut poll = Poll::default();
    let ended = visit(socket, memory, Instant::now() + patience, &mut poll).await;
    let answered = poll.status.is_some() && poll.block_stats.is_some();
    match ended {
        // What is optional may be late without making the machine look dead.
        Ok(()) | Err(End::Late) if answered => poll.state = State::Up,
        Ok(()) => poll.fail(socket, State::Error, "its answers to query-status and query-blockstats make no sense"),
        Err(End::Late) if poll.greeting.is_none() => poll.fail(socket, State::NoGreeting, "no greeting in time"),
        Err(End::Late) => poll.fail(socket, State::NoReply, "a greeting, then no answer in time"),
        Err(End::Connect(error)) => poll.fail(socket, state_of(&error), &error.to_string()),
        Err(End::Broken(reason)) => poll.fail(socket, State::Error, &reason),
    }
    memory.up = poll.state == State::Up;
    poll
}

/// Visits many monitors at once, each for no longer than `patience`. The answers come in the order of the sockets.
/// Who did not answer the last time is visited beside the others, so that many silent ones delay nobody.
pub async fn poll_all(sockets: Vec<(PathBuf, Memory)>, patience: Duration) -> Vec<(Poll, Memory)> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut visits = JoinSet::new();
    let mut polls: Vec<(Poll, Memory)> = Vec::new();
    polls.resize_with(sockets.len(), Default::default);
    for (number, (socket, mut memory)) in sockets.into_iter().enumerate() {
        let turns = Arc::clone(&turns);
        visits.spawn(async move {
            // The semaphore is never closed, so there is a permit for whoever waits.
            let _turn = if memory.up { turns.acquire_owned().await.ok() } else { None };
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
    Connect(std::io::Error),
    Late,
    Broken(String),
}

impl Poll {
    fn fail(&mut self, socket: &Path, state: State, reason: &str) {
        self.state = state;
        self.error = Some(format!("{}: {reason}", socket.display()));
    }
}

fn state_of(error: &std::io::Error) -> State {
    match error.kind() {
        ErrorKind::NotFound => State::Absent,
        ErrorKind::ConnectionRefused => State::Refused,
        ErrorKind::PermissionDenied => State::PermissionDenied,
        ErrorKind::WouldBlock => State::Busy,
        _ => State::Error,
    }
}

async fn visit(socket: &Path, memory: &mut Memory, deadline: Instant, poll: &mut Poll) -> Result<(), End> {
    let stream = match timeout_at(deadline.into(), UnixStream::connect(socket)).await {
        Ok(connected) => connected.map_err(End::Connect)?,
        Err(_) => return Err(End::Late),
    };
    poll.peer_pid = stream.peer_cred().ok().and_then(|peer| peer.pid()?.try_into().ok());
    let mut connection = Connection::new(stream, deadline, std::mem::take(&mut memory.buffer));
    let ended = converse(&mut connection, memory, poll).await;
    memory.buffer = connection.into_buffer();
    ended
}

async fn converse(connection: &mut Connection, memory: &mut Memory, poll: &mut Poll) -> Result<(), End> {
    poll.greeting = Some(connection.greeting().await?);
    memory.meet((poll.peer_pid, poll.greeting.clone()));
    let mut batch = Batch::new(memory.first_questions());
    batch.negotiate = true;
    connection.ask(&batch, memory, poll).await?;
    // What is new is counted: QEMU refuses the first queue a device does not have.
    let mut uncounted = memory.uncounted(poll.virtio.as_deref().unwrap_or_default());
    while !uncounted.is_empty() {
        let questions = uncounted.iter().flat_map(Uncounted::questions).collect();
        connection.ask(&Batch::new(questions), memory, poll).await?;
        uncounted.retain_mut(|device| !device.counted(memory));
    }
    poll.queues = memory.complete_queues();
    Ok(())
}

/// A device whose queues are being counted.
struct Uncounted {
    path: String,
    first: u16,
    asked: Range<u16>,
}

impl Uncounted {
    fn questions(&self) -> impl Iterator<Item = Query> {
        self.asked.clone().map(|queue| Query::VirtioQueueStatus { path: self.path.as_str().into(), queue })
    }

    /// Looks at the answers; `false` when there may be more queues, and those are to be asked about.
    fn counted(&mut self, memory: &mut Memory) -> bool {
        let answer = |queue: &u16| memory.answers.get(&(self.path.clone(), *queue)).copied();
        let Some(end) = self.asked.clone().find(|queue| !matches!(answer(queue), Some(Some(_)))) else {
            self.asked = self.asked.end..self.asked.end * 2;
            return self.asked.start - self.first >= MAX_QUEUES;
        };
        // Refused, not unanswered: that is the end.
        if answer(&end).is_some() && end > self.first {
            memory.queues.insert(self.path.clone(), self.first..end);
        }
        true
    }
}

impl Memory {
    /// Bytes held for the next visit.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.capacity()
    }

    /// Forgets everything when another QEMU answers.
    fn meet(&mut self, peer: (Option<u32>, Option<Greeting>)) {
        self.answers.clear();
        if self.peer != peer {
            *self = Self { peer, up: self.up, ..Self::default() };
        }
    }

    fn first_questions(&self) -> Vec<Query> {
        let mut questions = vec![Query::Status, Query::Name, Query::BlockStats, Query::Block];
        if !self.no_virtio {
            questions.push(Query::Virtio);
        }
        let queues = self.queues.iter().flat_map(|(path, queues)| queues.clone().map(move |queue| (path, queue)));
        questions.extend(queues.map(|(path, queue)| Query::VirtioQueueStatus { path: path.as_str().into(), queue }));
        questions
    }

    /// The devices with requests that are new; those that are gone are forgotten.
    fn uncounted(&mut self, devices: &[VirtioDevice]) -> Vec<Uncounted> {
        self.queues.retain(|path, _| devices.iter().any(|device| device.path == *path));
        let new = |device: &VirtioDevice| {
            let first = match device.name.as_str() {
                "virtio-blk" => 0,
                "virtio-scsi" => FIRST_SCSI_QUEUE,
                _ => return None,
            };
            let unknown = !self.queues.contains_key(&device.path);
            unknown.then(|| Uncounted { path: device.path.clone(), first, asked: first..first + 4 })
        };
        devices.iter().filter_map(new).take(MAX_DEVICES.saturating_sub(self.queues.len())).collect()
    }

    /// The queues of every device all of whose queues answered; one that has fewer now is counted anew next time.
    fn complete_queues(&mut self) -> BTreeMap<String, Vec<QueueStatus>> {
        let answers = std::mem::take(&mut self.answers);
        let answer = |path: &String, queue: u16| answers.get(&(path.clone(), queue)).copied().flatten();
        self.queues.retain(|path, queues| queues.clone().all(|queue| answer(path, queue).is_some()));
        let status = |(path, queues): (&String, &Range<u16>)| {
            (path.clone(), queues.clone().filter_map(|queue| answer(path, queue)).collect())
        };
        self.queues.iter().map(status).collect()
    }

    /// Puts an answer where it belongs; one that can't be understood is none.
    fn take(&mut self, query: &Query, content: &str, poll: &mut Poll) {
        match query {
            Query::Status => poll.status = serde_json::from_str(content).ok(),
            Query::Name => poll.name = serde_json::from_str(content).ok().and_then(|name: reply::Name| name.name),
            Query::BlockStats => poll.block_stats = reply::list(content).ok(),
            Query::Block => poll.blocks = reply::list(content).ok(),
            Query::Iothreads => {}
            Query::Virtio => poll.virtio = reply::list(content).ok(),
            Query::VirtioQueueStatus { path, queue } => {
                self.answers.insert((path.to_string(), *queue), serde_json::from_str(content).ok());
            }
        }
    }

    fn refused(&mut self, query: &Query) {
        match query {
            Query::Virtio => self.no_virtio = true,
            Query::VirtioQueueStatus { path, queue } => drop(self.answers.insert((path.to_string(), *queue), None)),
            _ => {}
        }
    }
}

/// Questions that are sent in one go. A question's id is its place, the negotiation's is behind the last.
struct Batch {
    questions: Vec<Query>,
    negotiate: bool,
}

impl Batch {
    fn new(questions: Vec<Query>) -> Self {
        Self { questions, negotiate: false }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.negotiate {
            write_capabilities(self.questions.len(), &mut bytes);
        }
        self.questions.iter().enumerate().for_each(|(id, question)| question.write(id, &mut bytes));
        bytes
    }
}

/// A connection, and what has come over it and not been looked at.
struct Connection {
    stream: UnixStream,
    deadline: Instant,
    buffer: Vec<u8>,
    /// Up to where `buffer` has been looked at.
    seen: usize,
    received: usize,
}

impl Connection {
    /// Kept between visits: the answers of a machine with a few disks.
    const KEEP: usize = 64 << 10;

    fn new(stream: UnixStream, deadline: Instant, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { stream, deadline, buffer, seen: 0, received: 0 }
    }

    fn into_buffer(mut self) -> Vec<u8> {
        self.buffer.clear();
        self.buffer.shrink_to(Self::KEEP);
        self.buffer
    }

    async fn greeting(&mut self) -> Result<Greeting, End> {
        let line = self.line().await?;
        match message::parse(&self.buffer[line]) {
            Ok(Message::Greeting(content)) => Ok(Greeting::parse(content)),
            Ok(_) => Err(End::Broken("its first line is no greeting".to_owned())),
            Err(error) => Err(End::Broken(error.to_string())),
        }
    }

    /// Sends the questions and takes the answers in any order, until each has one.
    async fn ask(&mut self, batch: &Batch, memory: &mut Memory, poll: &mut Poll) -> Result<(), End> {
        let sent = Instant::now();
        self.send(&batch.to_bytes()).await?;
        let mut open = vec![true; batch.questions.len() + usize::from(batch.negotiate)];
        while open.contains(&true) {
            let line = self.line().await?;
            let message = message::parse(&self.buffer[line]).map_err(|error| End::Broken(error.to_string()))?;
            let id = match &message {
                Message::Return { id, .. } => *id,
                Message::Error { id: None, description, .. } => return Err(End::Broken(description.clone())),
                Message::Error { id, .. } => *id,
                Message::Greeting(_) | Message::Event => None,
            };
            // Only the first answer to a question counts, and none that nobody asked for.
            let Some(id) = id.filter(|id| open.get(*id) == Some(&true)) else { continue };
            open[id] = false;
            let Some(question) = batch.questions.get(id) else { continue };
            match message {
                Message::Return { value, .. } => memory.take(question, value, poll),
                _ => memory.refused(question),
            }
            if *question == Query::Status {
                poll.reply_seconds = Some(sent.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        match timeout_at(self.deadline.into(), self.stream.write_all(bytes)).await {
            Ok(written) => written.map_err(|error| End::Broken(error.to_string())),
            Err(_) => Err(End::Late),
        }
    }

    /// The next line, without its line break.
    async fn line(&mut self) -> Result<Range<usize>, End> {
        let mut searched = self.seen;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let line = self.seen..searched + length;
                self.seen = line.end + 1;
                return Ok(line);
            }
            // What has been looked at makes room.
            self.buffer.drain(..self.seen);
            self.seen = 0;
            searched = self.buffer.len();
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> Result<(), End> {
        if self.buffer.len() > LONGEST_LINE {
            return Err(End::Broken(format!("a line of more than {LONGEST_LINE} bytes")));
        }
        if self.received > MOST_BYTES {
            return Err(End::Broken(format!("more than {MOST_BYTES} bytes")));
        }
        // Whoever has always something to say is never waited for, so the deadline has to be looked at.
        if Instant::now() >= self.deadline {
            return Err(End::Late);
        }
        self.buffer.reserve(16 << 10);
        match timeout_at(self.deadline.into(), self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(End::Broken("it closed the connection".to_owned())),
            Ok(Ok(received)) => {
                self.received += received;
                Ok(())
            }
            Ok(Err(error)) => Err(End::Broken(error.to_string())),
            Err(_) => Err(End::Late),
        }
    }
}

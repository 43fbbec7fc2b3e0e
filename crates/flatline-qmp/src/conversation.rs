//! One visit to a monitor as a conversation: bytes from QEMU in, bytes to QEMU and a [`Poll`] out. Pure; time is given.
//!
//! It takes two round trips at most: after the greeting everything is asked in one go, and then, where there are
//! devices of which [`Memory`] does not know the queues yet, their queues.

use crate::lenient::cut;
use crate::lines::Lines;
use crate::memory::{Memory, QueueAnswer, QueueAnswers};
use crate::message::{self, InvalidMessage, Message};
use crate::outcome::{CommandError, Poll};
use crate::query::{Query, write_capabilities};
use crate::reply::{Greeting, List, Name};
use serde::Deserialize;
use std::time::Instant;

/// The negotiation's id; a question's is its place in the order of asking, from 1.
const NEGOTIATION: usize = 0;

/// Why nothing more can be understood of what a monitor says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A line that is no message.
    #[error(transparent)]
    Message(#[from] InvalidMessage),
    /// A message at the wrong time, or too much of anything.
    #[error("{0}")]
    Protocol(String),
}

/// A visit in progress.
#[derive(Debug)]
pub struct Conversation<'m> {
    lines: Lines,
    dialogue: Dialogue<'m>,
}

impl<'m> Conversation<'m> {
    /// With the process that listens, which tells one QEMU from the next.
    pub fn new(memory: &'m mut Memory, peer_pid: Option<u32>) -> Self {
        Self { lines: Lines::new(memory.limits), dialogue: Dialogue::new(memory, peer_pid) }
    }

    /// Where bytes from QEMU are to be appended. Each time, [`Self::digest`] must follow: it keeps the bounds.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.lines.room()
    }

    /// Looks at what was appended. Says whether that was all: there is nothing more to send or to wait for.
    ///
    /// # Errors
    /// When it is not QMP or exceeds a bound. What was answered before stays.
    pub fn digest(&mut self, now: Instant) -> Result<bool, Broken> {
        while let Some(line) = self.lines.next().map_err(Broken::Protocol)? {
            self.dialogue.hear(message::parse(self.lines.get(line))?, now)?;
        }
        Ok(self.dialogue.is_over())
    }

    /// What is to be sent now.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        &self.dialogue.outgoing[self.dialogue.sent..]
    }

    /// Takes note that so many bytes of [`Self::outgoing`] have been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.dialogue.sent += bytes;
    }

    /// What was answered, at any time.
    #[must_use]
    pub fn end(self) -> Poll {
        let Dialogue { memory, mut poll, queue_answers, .. } = self.dialogue;
        poll.queues = memory.complete(&queue_answers);
        poll
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    First,
    Second,
}

#[derive(Debug)]
struct Dialogue<'m> {
    memory: &'m mut Memory,
    poll: Poll,
    stage: Stage,
    /// Everything that was asked, and whether it is still to be answered.
    questions: Vec<(Query, bool)>,
    negotiated: bool,
    unanswered: usize,
    queue_answers: QueueAnswers,
    unasked_for: usize,
    asked_at: Option<Instant>,
    outgoing: Vec<u8>,
    sent: usize,
}

impl<'m> Dialogue<'m> {
    fn new(memory: &'m mut Memory, peer_pid: Option<u32>) -> Self {
        Self {
            memory,
            poll: Poll { peer_pid, ..Poll::default() },
            stage: Stage::Greeting,
            questions: Vec::new(),
            negotiated: false,
            unanswered: 0,
            queue_answers: QueueAnswers::new(),
            unasked_for: 0,
            asked_at: None,
            outgoing: Vec::new(),
            sent: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Second && self.negotiated && self.unanswered == 0
    }

    fn hear(&mut self, message: Message<'_>, now: Instant) -> Result<(), Broken> {
        match (message, &self.stage) {
            (Message::Greeting(content), Stage::Greeting) => self.greet(Greeting::parse(content), now),
            (_, Stage::Greeting) => return Err(Broken::Protocol("its first line is no greeting".to_owned())),
            (Message::Greeting(_) | Message::Event | Message::Return { id: None, .. }, _) => self.nobody_asked()?,
            (Message::Return { id: Some(id), value }, _) => self.answered(id, Ok(value), now)?,
            (Message::Error { id: Some(id), class, description }, _) => {
                self.answered(id, Err((class, description)), now)?;
            }
            (Message::Error { id: None, class, description }, _) => {
                return Err(Broken::Protocol(format!("{class}: {description}")));
            }
        }
        if self.stage == Stage::First && self.unanswered == 0 {
            self.stage = Stage::Second;
            let devices = self.poll.virtio.as_deref().unwrap_or_default();
            let questions = self.memory.further_questions(devices, &self.queue_answers);
            self.ask(questions);
        }
        Ok(())
    }

    fn greet(&mut self, greeting: Greeting, now: Instant) {
        self.memory.meet(self.poll.peer_pid, &greeting);
        self.poll.greeting = Some(greeting);
        self.stage = Stage::First;
        self.asked_at = Some(now);
        write_capabilities(NEGOTIATION, &mut self.outgoing);
        self.ask(self.memory.questions());
    }

    fn ask(&mut self, questions: Vec<Query>) {
        self.unanswered += questions.len();
        for question in questions {
            question.write(self.questions.len() + 1, &mut self.outgoing);
            self.questions.push((question, true));
        }
    }

    fn nobody_asked(&mut self) -> Result<(), Broken> {
        self.unasked_for += 1;
        let most = self.memory.limits.events;
        if self.unasked_for > most {
            return Err(Broken::Protocol(format!("more than {most} messages nobody asked for")));
        }
        Ok(())
    }

    /// Only the first answer to a question counts.
    fn answered(&mut self, id: usize, answer: Result<&str, (String, String)>, now: Instant) -> Result<(), Broken> {
        if id == NEGOTIATION {
            // Without it everything else is refused, whether QEMU knows it or not.
            let refused = |(class, description)| Broken::Protocol(format!("qmp_capabilities: {class}: {description}"));
            self.negotiated = true;
            return answer.map(drop).map_err(refused);
        }
        let Some((question, open @ true)) = self.questions.get_mut(id - 1) else { return self.nobody_asked() };
        *open = false;
        self.unanswered -= 1;
        let command = question.command();
        let taken = match answer {
            Ok(value) => take(question, value, &mut self.poll, &mut self.queue_answers)
                .map_err(|error| CommandError::Unreadable { command, reason: cut(&error.to_string()).to_owned() }),
            Err((class, description)) => Err(CommandError::Refused { command, class, description }),
        };
        if *question == Query::Status && self.poll.status.is_some() {
            self.poll.reply_seconds = self.asked_at.map(|asked| now.saturating_duration_since(asked).as_secs_f64());
        }
        if let Err(error) = taken {
            refused(question, error, &mut self.poll, self.memory, &mut self.queue_answers);
        }
        Ok(())
    }
}

/// Puts an answer where it belongs.
fn take(question: &Query, value: &str, poll: &mut Poll, queues: &mut QueueAnswers) -> serde_json::Result<()> {
    fn list<'a, T: Deserialize<'a>>(value: &'a str) -> serde_json::Result<Option<Vec<T>>> {
        serde_json::from_str(value).map(|List(entries)| Some(entries))
    }
    match question {
        Query::Status => poll.status = Some(serde_json::from_str(value)?),
        Query::Name => poll.name = serde_json::from_str::<Name>(value)?.name,
        Query::BlockStats => poll.block_stats = list(value)?,
        Query::Block => poll.blocks = list(value)?,
        Query::Iothreads => poll.iothreads = list(value)?,
        Query::Virtio => poll.virtio = list(value)?,
        Query::VirtioQueueStatus { path, queue } => {
            let status = QueueAnswer::Status(serde_json::from_str(value)?);
            queues.entry(path.clone()).or_default().insert(*queue, status);
        }
    }
    Ok(())
}

/// Remembers what a refusal tells: where a device's queues end, and what this QEMU does not know. Others are reported.
fn refused(question: &Query, error: CommandError, poll: &mut Poll, memory: &mut Memory, queues: &mut QueueAnswers) {
    let no_such_queue = matches!(&error, CommandError::Refused { description, .. } if description.starts_with("Invalid virtqueue number"));
    if error.is_unknown_command() && !matches!(question, Query::Status | Query::BlockStats) {
        memory.never_ask(question);
    }
    if let Query::VirtioQueueStatus { path, queue } = question {
        let answer = if no_such_queue { QueueAnswer::Missing } else { QueueAnswer::Refused };
        queues.entry(path.clone()).or_default().insert(*queue, answer);
    }
    if !no_such_queue {
        poll.failed.push(error);
    }
}

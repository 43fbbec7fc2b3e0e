//! What a sweep adds up.

use super::{Channel, OTHER, Options, Reading, State, UNREADABLE};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many different channels are told apart before the busiest are known; no kernel blocks in more at once.
const MAX_CHANNELS: usize = 512;

/// The sums of the sweep in progress.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) began: Instant,
    pub(super) states: [u64; State::ALL.len()],
    pub(super) scanned: u64,
    pub(super) beyond_bound: u64,
    pub(super) unreadable: u64,
    pub(super) wchan_readable: Option<bool>,
    pub(super) processes_visible: bool,
    /// Named channels; those of the sweep before stay, with no tasks, to keep the memory of their names.
    named: Vec<Channel>,
    hidden: Channel,
    rest: Channel,
}

impl Tally {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            states: Default::default(),
            scanned: 0,
            beyond_bound: 0,
            unreadable: 0,
            wchan_readable: None,
            processes_visible: false,
            named: Vec::new(),
            hidden: Channel::empty(UNREADABLE),
            rest: Channel::empty(OTHER),
        }
    }

    /// Starts from nothing again.
    pub(super) fn begin(&mut self, now: Instant) {
        let Self { named, hidden, rest, .. } = self;
        if named.len() == MAX_CHANNELS {
            named.retain(|channel| channel.tasks > 0);
        }
        named.iter_mut().chain([hidden, rest]).for_each(Channel::clear);
        self.began = now;
        self.states = Default::default();
        (self.scanned, self.beyond_bound, self.unreadable) = (0, 0, 0);
        (self.wchan_readable, self.processes_visible) = (None, false);
    }

    /// Counts a task by what it is doing.
    pub(super) fn count(&mut self, state: State) {
        self.scanned += 1;
        for (known, count) in State::ALL.iter().zip(&mut self.states) {
            *count += u64::from(*known == state);
        }
    }

    /// Counts a blocked task; no name is a channel the kernel does not tell.
    pub(super) fn block(&mut self, wchan: Option<&str>, age: Option<Duration>) {
        self.note_wchan(wchan.is_some());
        self.channel(wchan).add(1, age);
    }

    /// One wait channel could be read, or not: one that could is enough.
    pub(super) fn note_wchan(&mut self, readable: bool) {
        self.wchan_readable = Some(readable || self.wchan_readable == Some(true));
    }

    fn channel(&mut self, wchan: Option<&str>) -> &mut Channel {
        let Some(wchan) = wchan else { return &mut self.hidden };
        match self.named.iter().position(|channel| &*channel.wchan == wchan) {
            Some(index) => &mut self.named[index],
            None if self.named.len() < MAX_CHANNELS => {
                let index = self.named.len();
                self.named.push(Channel::empty(wchan));
                &mut self.named[index]
            }
            None => &mut self.rest,
        }
    }

    /// Writes the sums, the channels with most tasks first.
    pub(super) fn finish(&mut self, options: &Options, into: &mut Reading) {
        self.named.sort_unstable_by(|a, b| (Reverse(a.tasks), &a.wchan).cmp(&(Reverse(b.tasks), &b.wchan)));
        let used = self.named.partition_point(|channel| channel.tasks > 0);
        let (shown, folded) = self.named[..used].split_at(used.min(options.max_wchans));
        for channel in folded {
            self.rest.add(channel.tasks, channel.oldest);
        }
        into.channels.clear();
        into.channels.extend_from_slice(shown);
        into.channels.extend([&self.hidden, &self.rest].into_iter().filter(|channel| channel.tasks > 0).cloned());
        into.states = self.states;
        (into.scanned, into.beyond_bound, into.unreadable) = (self.scanned, self.beyond_bound, self.unreadable);
        (into.wchan_readable, into.processes_visible) = (self.wchan_readable, self.processes_visible);
    }
}

impl Channel {
    fn empty(wchan: &str) -> Self {
        Self { wchan: Arc::from(wchan), tasks: 0, oldest: None }
    }

    fn clear(&mut self) {
        (self.tasks, self.oldest) = (0, None);
    }

    fn add(&mut self, tasks: u64, oldest: Option<Duration>) {
        self.tasks += tasks;
        self.oldest = self.oldest.max(oldest);
    }
}

//! What is remembered of a QEMU from visit to visit, so that one batch of questions is enough.

use crate::lines::Limits;
use crate::query::Query;
use crate::reply::{Greeting, QueueStatus, VirtioDevice};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// So many virtio devices are looked into, and so many queues of each.
const MAX_DEVICES: usize = 64;
const MAX_QUEUES: u16 = 64;
/// Queues that may or may not exist are asked about so many at a time: 16, and the one behind them.
const PROBED: u16 = 17;
/// Devices whose queues are counted at one visit; the others' turn comes at the next.
const COUNTED_AT_ONCE: usize = 16;
/// Paths in QEMU's object tree are a few words; each is sent back with every question.
const LONGEST_PATH: usize = 1024;
/// Queues 0 and 1 of a SCSI controller carry control and events, no requests (virtio 1.1, section 5.6.2).
const FIRST_SCSI_QUEUE: u16 = 2;

/// What is remembered of one QEMU; a fresh one where nothing is known.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub(crate) limits: Limits,
    /// Whether it answered at the last visit.
    pub(crate) up: bool,
    peer: (Option<u32>, Option<Greeting>),
    /// Commands this QEMU does not have.
    unknown: BTreeSet<&'static str>,
    devices: BTreeMap<Arc<str>, Device>,
}

/// The request queues of a device.
#[derive(Debug, Clone)]
struct Device {
    /// Queues that exist.
    known: Range<u16>,
    extent: Extent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// There may be more.
    Open,
    /// There are no more.
    Counted,
    /// There are too many, or QEMU does not tell: no more questions.
    GivenUp,
}

/// What QEMU said of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueAnswer {
    /// It exists.
    Status(QueueStatus),
    /// There is none of that number.
    Missing,
    /// Something else.
    Refused,
}

/// The answers of one visit; a queue that is not in it was not asked about, or not answered in time.
pub(crate) type QueueAnswers = BTreeMap<Arc<str>, BTreeMap<u16, QueueAnswer>>;

impl Memory {
    /// With other bounds on what is read than the usual ones.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Forgets everything when another QEMU answers.
    pub(crate) fn meet(&mut self, peer_pid: Option<u32>, greeting: &Greeting) {
        let peer = (peer_pid, Some(greeting.clone()));
        if self.peer != peer {
            *self = Self { limits: self.limits, up: self.up, peer, ..Self::default() };
        }
    }

    /// The questions of the first batch: once everything is known of a machine, all there are.
    pub(crate) fn questions(&self) -> Vec<Query> {
        let queues = self.devices.iter().flat_map(|(path, device)| queues_of(path, device.asked()));
        Query::ALWAYS.into_iter().chain(queues).filter(|query| !self.unknown.contains(query.command())).collect()
    }

    /// The questions of the second batch: about devices that are new.
    pub(crate) fn further_questions(&mut self, devices: &[VirtioDevice], answers: &QueueAnswers) -> Vec<Query> {
        self.learn(answers);
        self.devices.retain(|path, _| devices.iter().any(|device| *device.path == **path));
        let mut questions = Vec::new();
        let mut open = self.devices.values().filter(|device| device.extent == Extent::Open).count();
        for VirtioDevice { path, name } in devices {
            let first = match name.as_str() {
                "virtio-blk" => 0,
                "virtio-scsi" => FIRST_SCSI_QUEUE,
                _ => continue,
            };
            let full = self.devices.len() >= MAX_DEVICES || open >= COUNTED_AT_ONCE;
            if full || path.len() > LONGEST_PATH || self.devices.contains_key(path.as_str()) {
                continue;
            }
            let device = Device { known: first..first, extent: Extent::Open };
            let path: Arc<str> = path.as_str().into();
            questions.extend(queues_of(&path, device.asked()));
            self.devices.insert(path, device);
            open += 1;
        }
        questions.retain(|query| !self.unknown.contains(query.command()));
        questions
    }

    /// Ends a visit: the queues of each device all of whose queues answered.
    pub(crate) fn complete(&mut self, answers: &QueueAnswers) -> BTreeMap<String, Vec<QueueStatus>> {
        self.learn(answers);
        let complete = |(path, device): (&Arc<str>, &Device)| {
            let answers = answers.get(path).filter(|_| device.extent == Extent::Counted)?;
            let status = |queue| match answers.get(&queue) {
                Some(QueueAnswer::Status(status)) => Some(*status),
                _ => None,
            };
            let queues: Option<Vec<QueueStatus>> = device.known.clone().map(status).collect();
            Some((path.to_string(), queues.filter(|queues| !queues.is_empty())?))
        };
        self.devices.iter().filter_map(complete).collect()
    }

    /// Takes note that QEMU does not have a command: a new version might.
    pub(crate) fn never_ask(&mut self, query: &Query) {
        self.unknown.insert(query.command());
    }

    /// Counts queues. A device that has lost some has been replaced, and is counted anew.
    fn learn(&mut self, answers: &QueueAnswers) {
        self.devices.retain(|path, device| answers.get(path).is_none_or(|answers| device.learn(answers)));
    }
}

impl Device {
    fn asked(&self) -> Range<u16> {
        let Range { start, end } = self.known;
        match self.extent {
            Extent::Open => start..(end + PROBED).min(start + MAX_QUEUES + 1),
            Extent::Counted => start..end,
            Extent::GivenUp => start..start,
        }
    }

    /// `false` when what was known is no longer so.
    fn learn(&mut self, answers: &BTreeMap<u16, QueueAnswer>) -> bool {
        if self.known.clone().any(|queue| answers.get(&queue) == Some(&QueueAnswer::Missing)) {
            return false;
        }
        while self.extent == Extent::Open {
            match answers.get(&self.known.end) {
                Some(QueueAnswer::Status(_)) => self.known.end += 1,
                Some(QueueAnswer::Missing) => self.extent = Extent::Counted,
                Some(QueueAnswer::Refused) => self.extent = Extent::GivenUp,
                None => break,
            }
            if self.known.len() > usize::from(MAX_QUEUES) {
                self.extent = Extent::GivenUp;
            }
        }
        true
    }
}

fn queues_of(path: &Arc<str>, queues: Range<u16>) -> impl Iterator<Item = Query> {
    queues.map(|queue| Query::VirtioQueueStatus { path: Arc::clone(path), queue })
}

#[cfg(test)]
mod tests {
    use super::{COUNTED_AT_ONCE, MAX_DEVICES, MAX_QUEUES, Memory, QueueAnswer, QueueAnswers};
    use crate::query::Query;
    use crate::reply::{Greeting, QueueStatus, Version, VirtioDevice};
    use proptest::prelude::*;

    const STATUS: QueueStatus = QueueStatus { inuse: 1, used_idx: None, last_avail_idx: None, queue_index: None };

    fn device(name: &str, number: usize) -> VirtioDevice {
        VirtioDevice { path: format!("/machine/{name}{number}"), name: name.to_owned() }
    }

    /// What a QEMU says whose devices all have queues below `end`.
    fn answer(queries: &[Query], end: u16, answers: &mut QueueAnswers) {
        for query in queries {
            let Query::VirtioQueueStatus { path, queue } = query else { continue };
            let answer = if *queue < end { QueueAnswer::Status(STATUS) } else { QueueAnswer::Missing };
            answers.entry(path.clone()).or_default().insert(*queue, answer);
        }
    }

    /// A visit: how many questions about queues it took in each batch, and of how many devices all queues are known.
    fn visit(memory: &mut Memory, devices: &[VirtioDevice], end: u16) -> (usize, usize, usize) {
        let mut answers = QueueAnswers::new();
        let first = memory.questions();
        answer(&first, end, &mut answers);
        let second = memory.further_questions(devices, &answers);
        answer(&second, end, &mut answers);
        let complete = memory.complete(&answers);
        let all = |queues: &Vec<QueueStatus>| !queues.is_empty() && queues.len() <= usize::from(end);
        assert!(complete.values().all(all), "{complete:?}");
        (first.len() - Query::ALWAYS.len(), second.len(), complete.len())
    }

    #[test]
    fn queues_are_counted_once_and_then_asked_about_in_the_first_batch() {
        let mut memory = Memory::default();
        let devices = [device("virtio-blk", 0), device("virtio-scsi", 1), device("virtio-net", 2)];
        // 0..17 of the disk and 2..19 of the controller are asked about; 0, 1 and 2, 3 exist.
        assert_eq!(visit(&mut memory, &devices[..1], 2), (0, 17, 1));
        assert_eq!(visit(&mut memory, &devices[..1], 2), (2, 0, 1));
        let mut memory = Memory::default();
        assert_eq!(visit(&mut memory, &devices, 4), (0, 34, 2));
        assert_eq!(visit(&mut memory, &devices, 4), (4 + 2, 0, 2));
        assert_eq!(visit(&mut memory, &[], 4), (6, 0, 0));
        assert_eq!(visit(&mut memory, &[], 4), (0, 0, 0));
    }

    #[test]
    fn a_device_with_other_queues_than_before_is_counted_anew() {
        let mut memory = Memory::default();
        let devices = [device("virtio-blk", 0)];
        visit(&mut memory, &devices, 4);
        assert_eq!(visit(&mut memory, &devices, 2), (4, 17, 1));
        assert_eq!(visit(&mut memory, &devices, 2), (2, 0, 1));
    }

    #[test]
    fn many_queues_are_counted_over_several_visits_and_too_many_are_not_looked_at() {
        let devices = [device("virtio-blk", 0)];
        let mut memory = Memory::default();
        let visits: Vec<_> = (0..6).map(|_| visit(&mut memory, &devices, MAX_QUEUES)).collect();
        assert_eq!(visits, [(0, 17, 0), (34, 0, 0), (51, 0, 0), (65, 0, 1), (64, 0, 1), (64, 0, 1)]);
        let mut memory = Memory::default();
        let visits: Vec<_> = (0..6).map(|_| visit(&mut memory, &devices, MAX_QUEUES + 1)).collect();
        assert_eq!(visits, [(0, 17, 0), (34, 0, 0), (51, 0, 0), (65, 0, 0), (0, 0, 0), (0, 0, 0)]);
    }

    #[test]
    fn many_devices_are_counted_in_turns_up_to_a_bound() {
        let devices: Vec<_> = (0..100).map(|number| device("virtio-blk", number)).collect();
        let mut memory = Memory::default();
        let visits: Vec<_> = (0..6).map(|_| visit(&mut memory, &devices, 1).2).collect();
        let expected = (1..=6).map(|visit| (visit * COUNTED_AT_ONCE).min(MAX_DEVICES));
        assert_eq!(visits, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_path_without_end_is_not_sent_back() {
        let mut devices = [device("virtio-blk", 0), device("virtio-blk", 1)];
        devices[0].path = "x".repeat(5000);
        assert_eq!(visit(&mut Memory::default(), &devices, 4), (0, 17, 1));
    }

    #[test]
    fn a_queue_that_does_not_answer_makes_its_device_absent_not_partial() {
        let devices = [device("virtio-blk", 0)];
        let mut memory = Memory::default();
        assert_eq!(visit(&mut memory, &devices, 4).2, 1);
        let mut answers = QueueAnswers::new();
        answer(&memory.questions(), 4, &mut answers);
        answers.values_mut().for_each(|queues| queues.retain(|queue, _| *queue != 3));
        assert!(memory.complete(&answers).is_empty());
        assert_eq!(visit(&mut memory, &devices, 4), (4, 0, 1));
    }

    #[test]
    fn a_device_that_does_not_tell_is_given_up() {
        let mut memory = Memory::default();
        let devices = [device("virtio-blk", 0)];
        let path = devices[0].path.as_str();
        memory.further_questions(&devices, &QueueAnswers::new());
        let answers = [(path.into(), [(0, QueueAnswer::Refused)].into())].into();
        assert!(memory.complete(&answers).is_empty());
        assert_eq!(visit(&mut memory, &devices, 4), (0, 0, 0));
    }

    #[test]
    fn what_a_qemu_does_not_know_is_asked_again_of_another() {
        let mut memory = Memory::default();
        let version = |minor| Greeting { version: Some(Version { major: 7, minor, micro: 0 }), oob: true };
        memory.meet(Some(1), &version(0));
        memory.never_ask(&Query::Virtio);
        memory.meet(Some(1), &version(0));
        assert!(!memory.questions().contains(&Query::Virtio));
        memory.meet(Some(1), &version(2));
        assert!(memory.questions().contains(&Query::Virtio));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_machine_is_known_in_the_end(devices in 0usize..80, end in 1u16..70, scsi in any::<bool>()) {
            let (name, first) = if scsi { ("virtio-scsi", 2) } else { ("virtio-blk", 0) };
            let devices: Vec<_> = (0..devices).map(|number| device(name, number)).collect();
            let mut memory = Memory::default();
            for _ in 0..40 {
                visit(&mut memory, &devices, end);
            }
            let queues = usize::from(end.saturating_sub(first));
            let known = if (1..=usize::from(MAX_QUEUES)).contains(&queues) { devices.len().min(MAX_DEVICES) } else { 0 };
            prop_assert_eq!(visit(&mut memory, &devices, end), (known * queues, 0, known));
        }
    }
}

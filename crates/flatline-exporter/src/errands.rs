//! Reads that may never return, each on a thread of its own.
//!
//! A collector that talks to many peers can't afford a read that hangs for one of them (a FUSE mount, a file that
//! needs another process's memory lock): it sends a thread on the errand and goes on without it. A key that is out
//! is not sent again, and at most [`MAX_OUT`] are out at once, so that hanging reads cost a bounded number of threads.
//! Where many keys hang together because one machine is behind them, only a share of those threads is theirs.

use crate::apart::{self, Job};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Threads that may hang at once.
pub(crate) const MAX_OUT: usize = 16;
/// Of these, how many may wait for the same peer.
pub(crate) const MAX_OUT_TO_ONE: usize = 4;

/// The errands of one collector.
#[derive(Debug)]
pub(crate) struct Errands<K, V> {
    name: &'static str,
    spawn: fn(&'static str, Job) -> bool,
    /// Whether two errands go to the same peer, and so hang together.
    together: fn(&K, &K) -> bool,
    /// Which are out, and since which call of [`Errands::run`].
    out: HashMap<K, u64>,
    calls: u64,
    send: Sender<(K, Option<V>)>,
    returned: Receiver<(K, Option<V>)>,
}

impl<K: Clone + Eq + Hash + Send + 'static, V: Send + 'static> Errands<K, V> {
    /// `name` is the threads' name, at most 15 bytes.
    pub(crate) fn new(name: &'static str) -> Self {
        Self::started_by(apart::spawn_beside, name)
    }

    /// For errands that may hang beyond the reach of SIGKILL: an exporter that is killed then leaves its port and its
    /// state directory to the next one. They must neither take a file along nor bring one back.
    pub(crate) fn apart(name: &'static str) -> Self {
        Self::started_by(apart::spawn, name)
    }

    /// For errands that call code of others, which wants a deeper stack and may keep files open between two of them.
    pub(crate) fn deep(name: &'static str) -> Self {
        Self::started_by(apart::spawn_deep, name)
    }

    fn started_by(spawn: fn(&'static str, Job) -> bool, name: &'static str) -> Self {
        let (send, returned) = channel();
        Self { name, spawn, together: |_, _| false, out: HashMap::new(), calls: 0, send, returned }
    }

    /// Sends at most [`MAX_OUT_TO_ONE`] at once to a peer: when it is dead, there are threads left for the others.
    pub(crate) fn sharing(self, together: fn(&K, &K) -> bool) -> Self {
        Self { together, ..self }
    }

    /// How many have not come back.
    pub(crate) fn out(&self) -> usize {
        self.out.len()
    }

    /// Whether this one has not come back.
    pub(crate) fn is_out(&self, key: &K) -> bool {
        self.out.contains_key(key)
    }

    /// Sends those of `wanted` that are not out already, as far as there are threads for them, and returns what has
    /// come back, from this call or earlier ones. Waits for the new ones, no longer than `patience`; who is later comes
    /// back with a later call. Who panics comes back without an answer.
    pub(crate) fn run<F: FnOnce() -> V + Send + 'static>(
        &mut self,
        wanted: impl IntoIterator<Item = (K, F)>,
        patience: Duration,
    ) -> Vec<(K, V)> {
        let deadline = Instant::now() + patience;
        self.calls += 1;
        let mut back = self.settled();
        let mut wanted: VecDeque<(K, F)> = wanted.into_iter().collect();
        self.start_what_fits(&mut wanted);
        // Whoever hung in an earlier call is not waited for again, not even for its thread.
        while self.out.values().any(|call| *call == self.calls) && self.receive(deadline, &mut back) {
            self.start_what_fits(&mut wanted);
        }
        back.extend(self.settled());
        back
    }

    /// What has come back meanwhile, without waiting.
    pub(crate) fn settled(&mut self) -> Vec<(K, V)> {
        let mut back = Vec::new();
        while self.receive(Instant::now(), &mut back) {}
        back
    }

    /// In their order, but for those whose peer has its share of the threads.
    fn start_what_fits<F: FnOnce() -> V + Send + 'static>(&mut self, wanted: &mut VecDeque<(K, F)>) {
        let mut next = 0;
        while let Some((key, _)) = wanted.get(next).filter(|_| self.out.len() < MAX_OUT) {
            if self.is_out(key) {
                drop(wanted.remove(next));
            } else if self.out_together_with(key) >= MAX_OUT_TO_ONE {
                next += 1;
            } else if let Some((key, read)) = wanted.remove(next) {
                self.start(key, read);
            }
        }
    }

    fn out_together_with(&self, key: &K) -> usize {
        self.out.keys().filter(|other| (self.together)(key, other)).count()
    }

    fn start<F: FnOnce() -> V + Send + 'static>(&mut self, key: K, read: F) {
        let (send, sent) = (self.send.clone(), key.clone());
        let errand = move || {
            // One that never reported would count as out for ever.
            let answer = catch_unwind(AssertUnwindSafe(read)).ok();
            let _ = send.send((sent, answer));
        };
        // A host that refuses a thread gets another chance with the next call.
        if (self.spawn)(self.name, Box::new(errand)) {
            self.out.insert(key, self.calls);
        }
    }

    /// Waits for the next one to come back; whether one has.
    fn receive(&mut self, deadline: Instant, back: &mut Vec<(K, V)>) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((key, answer)) = self.returned.recv_timeout(left) else { return false };
        self.out.remove(&key);
        back.extend(answer.map(|answer| (key, answer)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Errands, MAX_OUT, MAX_OUT_TO_ONE};
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn many_more_than_fit_at_once_all_come_back() {
        let mut errands = Errands::new("test");
        let mut back = errands.run((0..10 * MAX_OUT).map(|n| (n, move || n * 2)), PATIENCE);
        back.sort_unstable();
        assert_eq!(back, (0..10 * MAX_OUT).map(|n| (n, n * 2)).collect::<Vec<_>>());
        assert_eq!(errands.out(), 0);
    }

    #[test]
    fn who_hangs_is_left_out_and_not_sent_again() {
        let mut errands = Errands::new("test");
        let (release, released) = channel::<()>();
        let hang = move || {
            let _ = released.recv();
            1
        };
        assert!(errands.run([("stuck", hang)], Duration::from_millis(10)).is_empty());
        assert_eq!(errands.out(), 1);
        assert!(errands.is_out(&"stuck") && !errands.is_out(&"other"));
        // The second reader of the same resource would return at once; it must not even start.
        assert!(errands.run([2, 2].map(|n| ("stuck", move || n)), Duration::from_millis(10)).is_empty());
        assert_eq!(errands.run([("other", || 3)], PATIENCE), [("other", 3)]);
        release.send(()).expect("waiting");
        let mut back = Vec::new();
        while back.is_empty() {
            back = errands.settled();
        }
        assert_eq!(back, [("stuck", 1)]);
    }

    #[test]
    fn hanging_reads_cost_a_bounded_number_of_threads() {
        let mut errands = Errands::new("test");
        let (release, until) = channel::<()>();
        let until = Arc::new(Mutex::new(until));
        for round in 0..3 {
            let hang = |n: usize| (round * 100 + n, hanging(&until));
            assert!(errands.run((0..MAX_OUT).map(hang), Duration::from_millis(5)).is_empty());
            assert_eq!(errands.out(), MAX_OUT);
        }
        drop(release);
    }

    /// An errand that hangs until its sender is dropped.
    fn hanging(until: &Arc<Mutex<Receiver<()>>>) -> Box<dyn FnOnce() + Send> {
        let until = Arc::clone(until);
        Box::new(move || drop(until.lock().map(|until| until.recv())))
    }

    /// Sorted.
    fn keys<K: Ord, V>(back: Vec<(K, V)>) -> Vec<K> {
        let mut keys: Vec<K> = back.into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn one_dead_peer_has_only_its_share_of_the_threads() {
        let mut errands = Errands::new("test").sharing(|one: &(&str, usize), other| one.0 == other.0);
        let (release, until) = channel::<()>();
        let until = Arc::new(Mutex::new(until));
        let dead = || (0..2 * MAX_OUT).map(|n| (("dead", n), hanging(&until)));
        assert!(errands.run(dead(), Duration::from_millis(5)).is_empty());
        assert_eq!(errands.out(), MAX_OUT_TO_ONE);
        // It has more than one share, and all of it gets its turn: it answers.
        let alive = (0..2 * MAX_OUT).map(|n| (("alive", n), Box::new(|| ()) as Box<dyn FnOnce() + Send>));
        let back = errands.run(dead().chain(alive), PATIENCE);
        assert_eq!(keys(back), (0..2 * MAX_OUT).map(|n| ("alive", n)).collect::<Vec<_>>());
        assert_eq!(errands.out(), MAX_OUT_TO_ONE);
        drop(release);
    }

    /// With patience without end, waiting for one of them would never end.
    #[test]
    fn nobody_waits_when_nothing_new_is_out() {
        let mut errands = Errands::new("test");
        let (release, until) = channel::<()>();
        let until = Arc::new(Mutex::new(until));
        errands.run((0..MAX_OUT).map(|n| (n, hanging(&until))), Duration::from_millis(5));
        let patience = Duration::from_secs(1 << 30);
        assert!(errands.run([(MAX_OUT, hanging(&until))], patience).is_empty(), "there is no thread for it");
        assert!(errands.run([(0, hanging(&until))], patience).is_empty(), "it is out already");
        drop(release);
    }

    #[test]
    fn who_panics_comes_back_and_is_sent_again() {
        let mut errands = Errands::new("test");
        let panics: fn() -> u32 = || panic!("as this test wants it");
        assert_eq!(keys(errands.run([("bad", panics), ("good", || 1)], PATIENCE)), ["good"]);
        assert!(!errands.is_out(&"bad"));
        assert_eq!(errands.run([("bad", || 2)], PATIENCE), [("bad", 2)]);
    }
}

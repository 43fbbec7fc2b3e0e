//! Reads that may never return, each on a thread of its own.
//!
//! A collector that talks to many peers can't afford a read that hangs for one of them (a FUSE mount, a file that
//! needs another process's memory lock): it sends a thread on the errand and goes on without it. A key that is out
//! is not sent again, and at most [`MAX_OUT`] are out at once, so that hanging reads cost a bounded number of threads.

use crate::apart::{self, Job};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Threads that may hang at once.
pub(crate) const MAX_OUT: usize = 16;

/// The errands of one collector.
#[derive(Debug)]
pub(crate) struct Errands<K, V> {
    name: &'static str,
    spawn: fn(&'static str, Job) -> bool,
    /// Which are out, and since which call of [`Errands::run`].
    out: HashMap<K, u64>,
    calls: u64,
    send: Sender<(K, V)>,
    returned: Receiver<(K, V)>,
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
        Self { name, spawn, out: HashMap::new(), calls: 0, send, returned }
    }

    /// How many have not come back.
    pub(crate) fn out(&self) -> usize {
        self.out.len()
    }

    /// Whether this one has not come back.
    pub(crate) fn is_out(&self, key: &K) -> bool {
        self.out.contains_key(key)
    }

    /// Sends those of `wanted` that are not out already and returns what has come back, from this call or earlier
    /// ones. Waits for the new ones, no longer than `patience`; who is later comes back with a later call.
    pub(crate) fn run<F: FnOnce() -> V + Send + 'static>(
        &mut self,
        wanted: impl IntoIterator<Item = (K, F)>,
        patience: Duration,
    ) -> Vec<(K, V)> {
        let deadline = Instant::now() + patience;
        self.calls += 1;
        let mut back = Vec::new();
        for (key, read) in wanted {
            while self.out.len() >= MAX_OUT {
                match self.receive(deadline) {
                    Some(answer) => back.push(answer),
                    None => return back,
                }
            }
            if !self.out.contains_key(&key) {
                self.start(key, read);
            }
        }
        // Whoever hung in an earlier call is not waited for again.
        while self.out.values().any(|call| *call == self.calls) {
            match self.receive(deadline) {
                Some(answer) => back.push(answer),
                None => break,
            }
        }
        back.extend(self.settled());
        back
    }

    /// What has come back meanwhile, without waiting.
    pub(crate) fn settled(&mut self) -> Vec<(K, V)> {
        std::iter::from_fn(|| self.receive(Instant::now())).collect()
    }

    fn start<F: FnOnce() -> V + Send + 'static>(&mut self, key: K, read: F) {
        let (send, sent) = (self.send.clone(), key.clone());
        let errand = move || {
            let _ = send.send((sent, read()));
        };
        // A host that refuses a thread gets another chance with the next call.
        if (self.spawn)(self.name, Box::new(errand)) {
            self.out.insert(key, self.calls);
        }
    }

    fn receive(&mut self, deadline: Instant) -> Option<(K, V)> {
        let answer = self.returned.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        self.out.remove(&answer.0);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::{Errands, MAX_OUT};
    use std::sync::mpsc::channel;
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
        assert!(errands.run([("stuck", || 2)], Duration::from_millis(10)).is_empty());
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
        let (release, released) = std::sync::mpsc::sync_channel::<()>(0);
        let released = std::sync::Arc::new(std::sync::Mutex::new(released));
        for round in 0..3 {
            let hang = |n: usize| {
                let released = std::sync::Arc::clone(&released);
                (round * 100 + n, move || drop(released.lock().map(|released| released.recv())))
            };
            assert!(errands.run((0..MAX_OUT).map(hang), Duration::from_millis(5)).is_empty());
            assert_eq!(errands.out(), MAX_OUT);
        }
        drop(release);
    }
}

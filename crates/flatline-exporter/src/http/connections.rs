//! Who is connected, and who has to go when it gets crowded.
//!
//! A limit alone would let whoever opens that many connections and says nothing keep every scrape away. So a new
//! connection always finds room: the one that goes is one that waits for a request, and rather one that has never made any.
//! Who asks and then does not take the answer, a laggard, has to go where others want its place or its scrape's permit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A client has this long to take its answer, whoever else waits. It spares those that are slow for a moment; and as a scrape
/// may last about as long by itself, somebody who renews his connections in time gains no more than by scraping.
const GRACE: Duration = Duration::from_secs(1);

/// The connections that are open, by the order in which they came.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
    /// Somebody has left.
    left: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_age: BTreeMap<u64, Arc<Connection>>,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Requests that have been read and whose answer is not there yet.
    requests: AtomicUsize,
    /// Bytes of an answer have been written and not all are with the kernel.
    owes: AtomicBool,
    /// Since when the kernel has taken no more of an answer because the client does not.
    untaken_since: Mutex<Option<Instant>>,
    /// It has been answered once.
    served: AtomicBool,
    /// It was asked to go.
    told: AtomicBool,
    go: Notify,
    cut_off: Notify,
}

impl Connections {
    /// Enters a new one, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        let connection = Arc::new(Connection::default());
        let mut open = self.open();
        let age = open.next;
        open.next += 1;
        open.by_age.insert(age, Arc::clone(&connection));
        Entered { connections: Arc::clone(self), age, connection }
    }

    /// Asks up to `places` to go that wait for a request: the oldest of those that have never made one, then the oldest.
    /// Where they are too few, laggards are cut off. Nobody where all are being answered.
    pub(super) fn make_room(&self, places: usize) {
        let open = self.open();
        let waiting = |served| {
            let waits = move |connection: &&Arc<Connection>| {
                connection.waits() && !connection.told.load(Relaxed) && connection.served.load(Relaxed) == served
            };
            open.by_age.values().filter(waits)
        };
        let mut wanted = places;
        for connection in waiting(false).chain(waiting(true)).take(places) {
            connection.told.store(true, Relaxed);
            connection.go.notify_one();
            wanted -= 1;
        }
        open.laggards().iter().take(wanted).for_each(|laggard| laggard.cut_off.notify_one());
    }

    /// Makes room, and returns when somebody is gone.
    pub(super) async fn room_made(&self, places: usize) {
        let left = self.left.notified();
        self.make_room(places);
        left.await;
    }

    /// Cuts off who has left an answer untaken for longest, and returns when somebody is gone. False where nobody has.
    pub(super) async fn end_a_laggard(&self) -> bool {
        let left = self.left.notified();
        let laggard = self.open().laggards().first().map(|laggard| laggard.cut_off.notify_one());
        if laggard.is_some() {
            left.await;
        }
        laggard.is_some()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Those that have left an answer untaken beyond the grace, longest first.
    fn laggards(&self) -> Vec<&Connection> {
        let late = |connection| Some((Connection::untaken_since(connection)?, connection));
        let mut laggards: Vec<_> = self.by_age.values().filter_map(|connection| late(connection)).collect();
        laggards.retain(|(since, _)| since.elapsed() >= GRACE);
        laggards.sort_by_key(|(since, _)| *since);
        laggards.into_iter().map(|(_, connection)| connection).collect()
    }
}

impl Connection {
    /// Whether it neither is being answered nor has to be sent the rest of an answer.
    pub(super) fn waits(&self) -> bool {
        self.requests.load(Relaxed) == 0 && !self.owes.load(Relaxed)
    }

    /// Returns when it is asked to go.
    pub(super) async fn asked_to_go(&self) {
        self.go.notified().await;
    }

    /// Returns when it is cut off: it is to end at once, whatever it is about.
    pub(super) async fn is_cut_off(&self) {
        self.cut_off.notified().await;
    }

    /// A request is being answered until this is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Request {
        self.requests.fetch_add(1, Relaxed);
        Request(Arc::clone(self))
    }

    /// Something of an answer was written.
    pub(super) fn written(&self) {
        self.owes.store(true, Relaxed);
    }

    /// Nothing more of an answer could be written for now.
    pub(super) fn untaken(&self) {
        *self.untaken_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn untaken_since(&self) -> Option<Instant> {
        *self.untaken_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was written is with the kernel.
    pub(super) fn flushed(&self) {
        *self.untaken_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if self.owes.swap(false, Relaxed) {
            self.served.store(true, Relaxed);
        }
    }
}

/// A connection's entry.
#[derive(Debug)]
pub(super) struct Entered {
    connections: Arc<Connections>,
    age: u64,
    /// What is known of it.
    pub(super) connection: Arc<Connection>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.open().by_age.remove(&self.age);
        self.connections.left.notify_waiters();
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Request(Arc<Connection>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, Connections, GRACE};
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::{Context, Waker};

    fn told(connections: &[&Arc<Connection>]) -> Vec<bool> {
        connections.iter().map(|connection| connection.told.load(Relaxed)).collect()
    }

    #[test]
    fn who_never_asked_goes_before_who_did_and_nobody_who_is_being_answered() {
        let connections = Arc::new(Connections::default());
        let entries = [(); 4].map(|()| connections.enter());
        let [scraper, silent, asking, late] = &entries.each_ref().map(|entry| Arc::clone(&entry.connection));
        scraper.written();
        scraper.flushed();
        let being_answered = asking.request();
        let all = [scraper, silent, asking, late];
        connections.make_room(1);
        assert_eq!(told(&all), [false, true, false, false]);
        connections.make_room(1);
        assert_eq!(told(&all), [false, true, false, true], "the next of those that never asked");
        connections.make_room(1);
        assert_eq!(told(&all), [true, true, false, true], "then the one that waits between two scrapes");
        connections.make_room(1);
        assert_eq!(told(&all), [true, true, false, true], "and then nobody");
        drop(being_answered);
        asking.written();
        connections.make_room(1);
        assert!(!asking.told.load(Relaxed), "its answer is on the way");
        asking.flushed();
        connections.make_room(1);
        assert!(asking.told.load(Relaxed));
    }

    #[test]
    fn several_go_at_once_and_those_that_never_asked_first() {
        let connections = Arc::new(Connections::default());
        let entries = [(); 4].map(|()| connections.enter());
        let [scraper, first, second, third] = &entries.each_ref().map(|entry| Arc::clone(&entry.connection));
        scraper.written();
        scraper.flushed();
        connections.make_room(2);
        assert_eq!(told(&[scraper, first, second, third]), [false, true, true, false]);
        connections.make_room(100);
        assert_eq!(told(&[scraper, first, second, third]), [true; 4]);
    }

    #[tokio::test]
    async fn who_has_gone_is_asked_no_more_and_who_is_asked_hears_of_it() {
        let connections = Arc::new(Connections::default());
        drop(connections.enter());
        let entry = connections.enter();
        connections.make_room(1);
        entry.connection.asked_to_go().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_no_answer_goes_after_those_that_wait_and_longest_first() {
        let connections = Arc::new(Connections::default());
        let entries = [(); 3].map(|()| connections.enter());
        let [younger, older, waiting] = entries.each_ref().map(|entry| Arc::clone(&entry.connection));
        for laggard in [&older, &younger] {
            laggard.written();
            laggard.untaken();
            tokio::time::advance(GRACE).await;
        }
        connections.make_room(2);
        waiting.asked_to_go().await;
        older.is_cut_off().await;
        assert!(is_pending(younger.is_cut_off()), "only two had to go");
    }

    #[tokio::test(start_paused = true)]
    async fn a_laggard_is_one_beyond_the_grace_and_it_is_over_once_it_has_taken_all() {
        let connections = Arc::new(Connections::default());
        let entry = connections.enter();
        entry.connection.written();
        entry.connection.untaken();
        assert!(!connections.end_a_laggard().await, "slow for a moment");
        tokio::time::advance(GRACE).await;
        let leaving = async {
            entry.connection.is_cut_off().await;
            drop(entry);
        };
        assert!(tokio::join!(connections.end_a_laggard(), leaving).0);
        let entry = connections.enter();
        entry.connection.untaken();
        entry.connection.flushed();
        tokio::time::advance(GRACE).await;
        assert!(!connections.end_a_laggard().await, "it has taken its answer");
    }

    fn is_pending(future: impl Future) -> bool {
        std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

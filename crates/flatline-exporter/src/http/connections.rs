//! Who is connected, and who has to go when it gets crowded.
//!
//! A limit alone would let whoever opens that many connections and says nothing keep every scrape away. So a new
//! connection always finds room: the one that goes is one that waits for a request, and rather one that has never made any.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The connections that are open, by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Open>);

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
    /// It has been answered once.
    served: AtomicBool,
    /// It was asked to go.
    told: AtomicBool,
    go: Notify,
}

impl Connections {
    /// Enters a new one, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        let connection = Arc::new(Connection::default());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = open.next;
        open.next += 1;
        open.by_age.insert(age, Arc::clone(&connection));
        Entered { connections: Arc::clone(self), age, connection }
    }

    /// Asks up to `places` to go that wait for a request: the oldest of those that have never made one, then the oldest.
    /// Nobody where all are being answered.
    pub(super) fn make_room(&self, places: usize) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |served| {
            let waits = move |connection: &&Arc<Connection>| {
                connection.waits() && !connection.told.load(Relaxed) && connection.served.load(Relaxed) == served
            };
            open.by_age.values().filter(waits)
        };
        for connection in waiting(false).chain(waiting(true)).take(places) {
            connection.told.store(true, Relaxed);
            connection.go.notify_one();
        }
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

    /// A request is being answered until this is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Request {
        self.requests.fetch_add(1, Relaxed);
        Request(Arc::clone(self))
    }

    /// Something of an answer was written.
    pub(super) fn written(&self) {
        self.owes.store(true, Relaxed);
    }

    /// All that was written is with the kernel.
    pub(super) fn flushed(&self) {
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
        self.connections.0.lock().unwrap_or_else(PoisonError::into_inner).by_age.remove(&self.age);
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
    use super::{Connection, Connections};
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

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
}

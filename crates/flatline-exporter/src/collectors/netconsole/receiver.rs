//! The thread that receives.

use super::Sender;
use super::keeper::Keeper;
use super::tally::{Arrival, Limits, MAX_PACKET_BYTES, Received, Tally};
use flatline_events::Classifier;
use flatline_sources::SourceError;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long it waits for a packet before it says that it is alive.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Silent for this long, it hangs.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// Packets between two looks at the clock.
const BATCH: u32 = 256;
/// A batch that comes faster than this is a flood: the rest of the time belongs to others.
const BATCH_TAKES: Duration = Duration::from_millis(5);
const STACK_BYTES: usize = 256 * 1024;
/// Kernel memory for packets that wait, of which the kernel grants `net.core.rmem_max`: a dying kernel says everything at
/// once, and this host may be busy.
const WAITING_BYTES: usize = 4 << 20;

/// What the thread and the collector share.
struct Shared {
    counted: Mutex<Counted>,
    keeper: Option<Keeper>,
    socket: PathBuf,
}

struct Counted {
    tally: Tally,
    looked: Instant,
    error: Option<SourceError>,
}

impl Shared {
    /// Held for one packet at a time: a scrape waits for microseconds.
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: &std::io::Error) -> SourceError {
        SourceError::unanswered(&self.socket, error.to_string())
    }
}

/// Receives until it is dropped.
pub(super) struct Receiver {
    shared: Arc<Shared>,
}

impl Receiver {
    pub(super) fn start(
        socket: UdpSocket,
        classifier: Classifier,
        senders: &[Sender],
        limits: Limits,
        directory: Option<PathBuf>,
        max_file_bytes: u64,
    ) -> Result<Self, String> {
        let describe = |error: std::io::Error| error.to_string();
        socket.set_read_timeout(Some(LOOK_EVERY)).map_err(describe)?;
        set_socket_recv_buffer_size(&socket, WAITING_BYTES).map_err(|errno| describe(errno.into()))?;
        let address = socket.local_addr().map_err(describe)?;
        if directory.is_none() {
            tracing::warn!("no state directory: the last words of other hosts are counted but not kept");
        }
        let keeper = directory.map(|directory| Keeper::start(directory, senders, max_file_bytes)).transpose();
        let now = Instant::now();
        let counted = Counted { tally: Tally::new(senders, limits, now), looked: now, error: None };
        let shared = Arc::new(Shared {
            counted: Mutex::new(counted),
            keeper: keeper.map_err(describe)?,
            socket: format!("udp {address}").into(),
        });
        let receiving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("fl-netcon".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || receive(&socket, &classifier, &receiving)).map_err(describe)?;
        tracing::info!(udp = %address, "receiving netconsole packets");
        Ok(Self { shared })
    }

    /// Copies what has been counted.
    pub(super) fn snapshot(&self, into: &mut Received) -> Result<(), SourceError> {
        let counted = self.shared.lock();
        if let Some(error) = &counted.error {
            return Err(error.clone());
        }
        // Also when the thread has panicked.
        if counted.looked.elapsed() > DEAD_AFTER {
            let detail = format!("nobody has received for {} s", counted.looked.elapsed().as_secs());
            return Err(SourceError::unanswered(&self.shared.socket, detail));
        }
        into.clone_from(&counted.tally.received);
        drop(counted);
        for (number, sender) in into.senders.iter_mut().enumerate() {
            sender.kept_bytes = self.shared.keeper.as_ref().and_then(|keeper| keeper.bytes(number));
            sender.unkept = self.shared.keeper.as_ref().map_or(sender.messages, |keeper| keeper.unkept(number));
        }
        Ok(())
    }

    /// Why the newest line could not be written to its file.
    pub(super) fn file_error(&self) -> Option<SourceError> {
        self.shared.keeper.as_ref()?.error()
    }
}

fn receive(socket: &UdpSocket, classifier: &Classifier, shared: &Arc<Shared>) {
    // One byte more than is taken tells a packet that is too long.
    let mut buffer = vec![0; MAX_PACKET_BYTES + 1];
    // A collector that is started anew wants the socket.
    while Arc::strong_count(shared) > 1 {
        let begun = Instant::now();
        match receive_batch(socket, classifier, shared, &mut buffer) {
            Ok(true) => thread::sleep(BATCH_TAKES.saturating_sub(begun.elapsed())),
            Ok(false) => {}
            Err(error) => return shared.lock().error = Some(shared.error(&error)),
        }
        let (now, mut counted) = (Instant::now(), shared.lock());
        counted.looked = now;
        counted.tally.expire(now);
    }
}

/// Takes up to a batch of packets; whether it was a whole one.
fn receive_batch(
    socket: &UdpSocket,
    classifier: &Classifier,
    shared: &Shared,
    buffer: &mut [u8],
) -> std::io::Result<bool> {
    let begun = Instant::now();
    for _ in 0..BATCH {
        match socket.recv_from(buffer) {
            Ok((bytes, from)) => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let arrival = Arrival { at: Instant::now(), wall };
                let keep = |sender: usize, text: &str| {
                    if let Some(keeper) = &shared.keeper {
                        keeper.keep(sender, wall, text);
                    }
                };
                shared.lock().tally.take(&buffer[..bytes], from.ip(), arrival, classifier, keep);
            }
            // An ICMP answer to nothing of ours, or a signal.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
            Err(error) => return Err(error),
        }
        // Packets that come singly must not keep it from saying that it is alive.
        if begun.elapsed() >= LOOK_EVERY {
            return Ok(false);
        }
    }
    Ok(true)
}

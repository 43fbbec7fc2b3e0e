//! What blocks and has no deadline of its own: one at a time for each probe, on a thread of the runtime's bounded pool.
//! While it has not returned, whoever asked for it gives up at the probe's deadline, and further ones fail at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{JoinError, spawn_blocking};

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error("an earlier one has not returned yet")]
    Busy,
    #[error("it was given up: {0}")]
    Lost(#[from] JoinError),
}

/// What one probe does of its kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocking {
    busy: Arc<AtomicBool>,
}

/// Frees the probe's place when the work has returned, however late.
struct Place(Arc<AtomicBool>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Blocking {
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(NotDone::Busy);
        }
        let place = Place(Arc::clone(&self.busy));
        let work = move || {
            let _place = place;
            work()
        };
        Ok(spawn_blocking(work).await?)
    }
}

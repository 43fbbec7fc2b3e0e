//! Takes a changed configuration into force without a restart.

use crate::files::Files;
use crate::{ConfigError, WebConfig};
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// How often the files are looked at.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Enough for the YAML parser at its bounded depth and for reading an RSA key.
const STACK_BYTES: usize = 512 * 1024;

/// The configuration in force, kept up to date by a thread of its own.
///
/// A version that can't be used is logged once and leaves the previous one in force. A disk that
/// hangs holds up that thread only. Dropping this ends the thread as soon as it is free, unawaited.
#[derive(Debug)]
pub struct Reloader {
    shared: Arc<Shared>,
    /// Its drop is what the thread waits for.
    _stop: Sender<()>,
}

#[derive(Debug)]
struct Shared {
    current: ArcSwap<WebConfig>,
    successful: AtomicBool,
}

impl Reloader {
    /// Loads the file, which must succeed, and starts to watch it and the files it names.
    ///
    /// # Errors
    /// As [`WebConfig::load`], or when no thread can be started.
    pub fn start(path: &Path) -> Result<Self, ConfigError> {
        Self::start_with_interval(path, INTERVAL)
    }

    /// As [`Reloader::start`], looking at the files this often.
    ///
    /// # Errors
    /// As [`Reloader::start`].
    pub fn start_with_interval(path: &Path, interval: Duration) -> Result<Self, ConfigError> {
        let (config, files) = WebConfig::load_from(path);
        let config = config?;
        log_notices(path, &config);
        let shared = Arc::new(Shared { current: ArcSwap::from_pointee(config), successful: AtomicBool::new(true) });
        let (stop, stopped) = mpsc::channel();
        let watcher = Watcher { path: path.to_owned(), files, logged: None, shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("web-config".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || watcher.run(&stopped, interval)).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            reason: format!("no thread to watch it can be started ({error}); raise the limit of threads"),
        })?;
        Ok(Self { shared, _stop: stop })
    }

    /// The configuration in force. Cheap; never waits.
    #[must_use]
    pub fn current(&self) -> Arc<WebConfig> {
        self.shared.current.load_full()
    }

    /// Whether the files as last seen are in force, rather than an earlier version of them.
    #[must_use]
    pub fn last_reload_successful(&self) -> bool {
        self.shared.successful.load(Ordering::Relaxed)
    }
}

struct Watcher {
    path: PathBuf,
    files: Files,
    logged: Option<ConfigError>,
    shared: Arc<Shared>,
}

impl Watcher {
    fn run(mut self, stopped: &Receiver<()>, interval: Duration) {
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            if self.files.changed() {
                self.reload();
            }
        }
    }

    fn reload(&mut self) {
        match std::panic::catch_unwind(|| WebConfig::load_from(&self.path)) {
            Ok((outcome, files)) => {
                self.files = files;
                match outcome {
                    Ok(config) => self.accept(config),
                    Err(error) => self.refuse(error),
                }
            }
            // A parser's bug must not end all reloading in silence.
            Err(_) => self.refuse(ConfigError::File {
                path: self.path.clone(),
                reason: "reading it failed by a bug of the exporter; please report it, without the hashes".to_owned(),
            }),
        }
    }

    fn accept(&mut self, config: WebConfig) {
        tracing::info!(path = %self.path.display(), "web configuration reloaded");
        log_notices(&self.path, &config);
        self.logged = None;
        self.shared.current.store(Arc::new(config));
        self.shared.successful.store(true, Ordering::Relaxed);
    }

    fn refuse(&mut self, error: ConfigError) {
        self.shared.successful.store(false, Ordering::Relaxed);
        if self.logged.as_ref() != Some(&error) {
            tracing::error!(%error, "changed web configuration refused; the previous one stays in force");
            self.logged = Some(error);
        }
    }
}

fn log_notices(path: &Path, config: &WebConfig) {
    for notice in config.notices() {
        tracing::warn!(path = %path.display(), "{notice}");
    }
}

//! Logs on standard error, as logfmt or JSON, written by a thread of their own: when the journal hangs,
//! lines are lost, never a scrape.

use std::str::FromStr;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that may wait for a slow reader before further ones are dropped.
const BUFFERED_LINES: usize = 1024;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `level=info message="…" collector=memcg`
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is not a log format; use logfmt or json")),
        }
    }
}

/// Installs the logger; lines still buffered are written when the guard is dropped. The counter knows those that were not
/// written because nobody took them.
pub fn init(level: LevelFilter, format: Format) -> (WorkerGuard, ErrorCounter) {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES).finish(std::io::stderr());
    let dropped = writer.error_counter();
    let registry = tracing_subscriber::registry().with(level);
    // A second call (tests) keeps the first logger.
    let _ = match format {
        Format::Logfmt => registry
            .with(tracing_logfmt::builder().with_target(false).with_span_name(false).layer().with_writer(writer))
            .try_init(),
        Format::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false).with_writer(writer))
            .try_init(),
    };
    (guard, dropped)
}

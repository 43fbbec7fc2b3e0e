//! From readings to bytes: `prometheus-client` writes OpenMetrics 1.0, [`text`] turns that into
//! the text format 0.0.4, [`mod@format`] decides which of the two the client wants.

mod emitter;
pub mod format;
mod histogram;
pub mod text;

pub use emitter::{Emitter, Samples, Value};
pub use format::Format;
pub use histogram::Histogram;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// An immutable result of one collection.
pub trait Reading: Send + Sync {
    /// Writes the samples, family by family.
    ///
    /// # Errors
    /// Only what the output returns.
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result;

    /// Samples this reading left out because of a series cap.
    fn series_dropped(&self) -> u64 {
        0
    }
}

/// The readings of one scrape as `prometheus-client` wants them.
struct Scrape(Vec<Arc<dyn Reading>>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrape({} readings)", self.0.len())
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut emitter = Emitter::new(encoder);
        self.0.iter().try_for_each(|reading| reading.emit(&mut emitter))
    }
}

/// Writes the readings in the wanted format. `out` is cleared first and its capacity reused.
///
/// # Errors
/// Never in practice: writing to a `String` does not fail.
pub fn encode(readings: Vec<Arc<dyn Reading>>, format: Format, out: &mut String) -> fmt::Result {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(readings)));
    out.clear();
    match format {
        Format::OpenMetrics => {
            encode_registry(out, &registry)?;
            encode_eof(out)
        }
        Format::Text => {
            let mut writer = text::Writer::new(out);
            encode_registry(&mut writer, &registry)?;
            writer.finish()
        }
    }
}

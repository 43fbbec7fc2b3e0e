//! What readings write their samples to.

use super::Histogram;
use flatline_catalog::{Family, Kind, Label};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt;

/// Writes families to one exposition.
#[derive(Debug)]
pub struct Emitter<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder }
    }

    /// Writes the samples of one family. Each family is written once per exposition, all its samples
    /// together; a family without samples leaves no trace, since absent and zero are different things.
    ///
    /// # Errors
    /// Only what the output returns.
    pub fn family(
        &mut self,
        family: &'static Family,
        write: impl FnOnce(&mut Samples<'_, 'a>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut Samples { family, stage: Stage::Empty(&mut self.encoder) })
    }

    /// Writes a family that has one sample and no labels.
    ///
    /// # Errors
    /// Only what the output returns.
    pub fn single(&mut self, family: &'static Family, value: impl Into<Value>) -> fmt::Result {
        self.family(family, |samples| samples.push(&[], value))
    }
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'s, 'a> {
    family: &'static Family,
    stage: Stage<'s, 'a>,
}

/// HELP, TYPE and UNIT are written with the first sample.
#[derive(Debug)]
enum Stage<'s, 'a> {
    Empty(&'s mut DescriptorEncoder<'a>),
    Open(MetricEncoder<'s>),
    Broken,
}

impl Samples<'_, '_> {
    /// Writes one sample; `values` are the label values in the order the catalogue lists the labels.
    /// An empty value leaves its label out, which is what it means to Prometheus.
    ///
    /// # Errors
    /// Only what the output returns.
    pub fn push(&mut self, values: &[&str], value: impl Into<Value>) -> fmt::Result {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}: label count", self.family.name);
        let labels = Labels { labels: self.family.labels, values };
        let kind = self.family.kind;
        let encoder = self.open()?;
        if kind == Kind::Info {
            return encoder.encode_info(&labels);
        }
        // An empty label set would come out as `name{}`.
        if values.iter().all(|value| value.is_empty()) {
            return encode_value(encoder, kind, value.into());
        }
        encode_value(&mut encoder.encode_family(&labels)?, kind, value.into())
    }

    /// Writes a histogram without labels.
    ///
    /// # Errors
    /// Only what the output returns.
    pub fn push_histogram(&mut self, histogram: &Histogram) -> fmt::Result {
        debug_assert_eq!(self.family.kind, Kind::Histogram, "{}", self.family.name);
        let buckets: Vec<(f64, u64)> = histogram.buckets().collect();
        self.open()?.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
    }

    /// Writes a histogram with labels; `values` as for [`Samples::push`].
    ///
    /// # Errors
    /// Only what the output returns.
    pub fn push_histogram_of(&mut self, values: &[&str], histogram: &Histogram) -> fmt::Result {
        debug_assert_eq!(self.family.kind, Kind::Histogram, "{}", self.family.name);
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}: label count", self.family.name);
        let labels = Labels { labels: self.family.labels, values };
        let buckets: Vec<(f64, u64)> = histogram.buckets().collect();
        let mut encoder = self.open()?.encode_family(&labels)?;
        encoder.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
    }

    /// Writes a sample if there is a value: what could not be read is absent, not 0.
    ///
    /// # Errors
    /// Only what the output returns.
    pub fn push_some<V: Into<Value>>(&mut self, values: &[&str], value: Option<V>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.push(values, value))
    }
}

impl<'s> Samples<'s, '_> {
    fn open(&mut self) -> Result<&mut MetricEncoder<'s>, fmt::Error> {
        if let Stage::Empty(_) = self.stage {
            let Stage::Empty(encoder) = std::mem::replace(&mut self.stage, Stage::Broken) else {
                return Err(fmt::Error);
            };
            self.stage = Stage::Open(describe(encoder, self.family)?);
        }
        match &mut self.stage {
            Stage::Open(encoder) => Ok(encoder),
            Stage::Empty(_) | Stage::Broken => Err(fmt::Error),
        }
    }
}

fn encode_value(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Integer(value)) => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        (Kind::Counter, Value::Float(value)) => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        (_, Value::Integer(value)) => encoder.encode_gauge(&value),
        (_, Value::Float(value)) => encoder.encode_gauge(&value),
    }
}

static SECONDS: Unit = Unit::Seconds;
static BYTES: Unit = Unit::Bytes;

/// Writes HELP, TYPE and UNIT.
fn describe<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    family: &'static Family,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    // `prometheus-client` appends `_<unit>` and `_total` or `_info` itself.
    let unit = prometheus_unit(family.unit);
    let base = family.base_name();
    let name = match unit {
        Some(unit) => base.strip_suffix(unit.as_str()).and_then(|name| name.strip_suffix('_')).unwrap_or(base),
        None => base,
    };
    encoder.encode_descriptor(name, family.help, unit, metric_type(family.kind))
}

fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Info => MetricType::Info,
        Kind::Histogram => MetricType::Histogram,
    }
}

fn prometheus_unit(unit: flatline_catalog::Unit) -> Option<&'static Unit> {
    match unit {
        flatline_catalog::Unit::None => None,
        flatline_catalog::Unit::Seconds => Some(&SECONDS),
        flatline_catalog::Unit::Bytes => Some(&BYTES),
        flatline_catalog::Unit::Pages => Some(pages()),
    }
}

fn pages() -> &'static Unit {
    static PAGES: std::sync::OnceLock<Unit> = std::sync::OnceLock::new();
    PAGES.get_or_init(|| Unit::Other("pages".to_owned()))
}

/// A sample's value: integers keep all their digits, as byte counters need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Exact up to 2^64.
    Integer(u64),
    /// Everything else.
    Float(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(u64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<std::time::Duration> for Value {
    fn from(value: std::time::Duration) -> Self {
        Self::Float(value.as_secs_f64())
    }
}

/// Borrowed label names and values, so that a sample allocates nothing.
#[derive(Debug)]
struct Labels<'a> {
    labels: &'static [Label],
    values: &'a [&'a str],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (label, value) in self.labels.iter().zip(self.values).filter(|(_, value)| !value.is_empty()) {
            (label.name, *value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

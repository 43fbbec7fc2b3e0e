//! How often something took how long.

/// Counts of durations in seconds below each of a few bounds.
#[derive(Debug, Clone)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: the last has no upper end.
    counts: Vec<u64>,
    pub(super) sum: f64,
}

impl Histogram {
    /// An empty one; `bounds` rise and are finite.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts one more.
    pub fn observe(&mut self, seconds: f64) {
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(self.bounds.len());
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound and count of each bucket, not cumulative.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().copied().chain([f64::INFINITY]).zip(self.counts.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;
    use crate::exposition::{Emitter, Format, Reading, encode};
    use std::fmt;
    use std::sync::Arc;

    struct Beat(Histogram);

    impl Reading for Beat {
        fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
            out.family(&flatline_catalog::boots::HEARTBEAT_WRITE, |samples| samples.push_histogram(&self.0))
        }
    }

    #[test]
    fn buckets_are_cumulative_in_both_formats() {
        let mut histogram = Histogram::new(&[0.01, 0.1]);
        [0.01, 0.05, 0.05, 7.0].iter().for_each(|seconds| histogram.observe(*seconds));
        for format in [Format::Text, Format::OpenMetrics] {
            let mut text = String::new();
            encode(vec![Arc::new(Beat(histogram.clone()))], format, &mut text).expect("a String takes everything");
            let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(
                samples,
                [
                    "flatline_heartbeat_write_seconds_sum 7.11",
                    "flatline_heartbeat_write_seconds_count 4",
                    "flatline_heartbeat_write_seconds_bucket{le=\"0.01\"} 1",
                    "flatline_heartbeat_write_seconds_bucket{le=\"0.1\"} 3",
                    "flatline_heartbeat_write_seconds_bucket{le=\"+Inf\"} 4",
                ]
            );
            assert!(text.contains("# TYPE flatline_heartbeat_write_seconds histogram\n"), "{text}");
        }
    }
}

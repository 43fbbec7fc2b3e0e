//! What a scrape costs after reading: 20,000 samples with two labels, in both formats, into a reused buffer.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flatline_catalog::memcg;
use flatline_exporter::exposition::{Emitter, Format, Reading, encode};
use std::hint::black_box;
use std::sync::Arc;

const CGROUPS: u64 = 2_000;
const EVENTS: [&str; 5] = ["low", "high", "max", "oom", "oom_kill"];

/// Two families of event counters over made-up cgroups: 20,000 samples.
struct Cgroups(Vec<String>);

impl Reading for Cgroups {
    fn emit(&self, out: &mut Emitter<'_>) -> std::fmt::Result {
        for family in [&memcg::EVENTS, &memcg::LOCAL_EVENTS] {
            out.family(family, |samples| {
                for (index, cgroup) in (0u64..).zip(&self.0) {
                    for event in EVENTS {
                        samples.push(&[cgroup, event], index * 7919)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn encoding(criterion: &mut Criterion) {
    let names = (0..CGROUPS)
        .map(|index| format!("/kubepods.slice/kubepods-pod{index:04}.slice/cri-containerd-{index:08x}.scope"));
    let reading: Arc<dyn Reading> = Arc::new(Cgroups(names.collect()));
    let mut group = criterion.benchmark_group("encode_20k_samples");
    group.throughput(Throughput::Elements(CGROUPS * 10));
    for (name, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics)] {
        let mut buffer = String::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                encode(vec![Arc::clone(&reading)], format, &mut buffer).expect("a String takes everything");
                black_box(buffer.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encoding);
criterion_main!(benches);

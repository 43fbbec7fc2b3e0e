//! What classifying a line costs: the one automaton against trying the same patterns one by one.

mod mix;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flatline_events::{Classifier, kernel_expressions};
use mix::{kernel_line, mix};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use std::hint::black_box;

fn classify(criterion: &mut Criterion) {
    let lines = mix();
    let mut group = criterion.benchmark_group("95 % no event");
    group.throughput(Throughput::Elements(lines.len() as u64));
    let classifier = Classifier::new().expect("the tables");
    group.bench_function("one automaton", |bench| {
        bench.iter(|| lines.iter().filter(|text| classifier.classify(&kernel_line(black_box(text))).is_some()).count());
    });
    let patterns: Vec<Regex> = kernel_expressions()
        .iter()
        .map(|(_, text)| {
            let bytes_only = syntax::Config::new().unicode(false).utf8(false);
            Regex::builder().syntax(bytes_only).build(text).expect("a pattern")
        })
        .collect();
    group.sample_size(10);
    group.bench_function("one by one", |bench| {
        bench.iter(|| lines.iter().filter(|text| patterns.iter().any(|one| one.is_match(black_box(text)))).count());
    });
    group.finish();
    criterion.bench_function("compile the tables", |bench| bench.iter(Classifier::new));
}

criterion_group!(benches, classify);
criterion_main!(benches);

//! What classifying a line costs: the one automaton against trying the same patterns one by one.
//!
//! The lines are the kernel lines of the shared corpus, 19 that tell of no event to each that does.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flatline_events::{Classifier, Line, Source, kernel_expressions};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use std::hint::black_box;

const CORPUS: &str = include_str!("../tests/corpus/kmsg-dev.jsonl");

/// Texts of the corpus: those that tell of an event if `events`, or else those that do not.
fn texts(events: bool) -> Vec<String> {
    CORPUS
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|object| object["facility"] == 0 && (object["kind"] != "none") == events)
        .map(|object| object["line"].as_str().expect("a line").to_owned())
        .collect()
}

fn mix() -> Vec<String> {
    let quiet = texts(false);
    texts(true)
        .into_iter()
        .zip(quiet.chunks(19).cycle())
        .flat_map(|(event, quiet)| [&[event], quiet].concat())
        .collect()
}

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
        .map(|text| {
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

fn kernel_line(text: &str) -> Line<'_> {
    Line { text, source: Source::Kmsg, facility: Some(0), priority: None, ident: None }
}

criterion_group!(benches, classify);
criterion_main!(benches);

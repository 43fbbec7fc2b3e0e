//! What parsing costs, and what reading a tree of 1,000 cgroups costs against a bare loop over the same files.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flatline_sources::memcg::{Options, Reader, Reading};
use flatline_sources::synthetic::{FILES, write_tree};
use flatline_sources::{Roots, flat_keyed, psi};
use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::PathBuf;

fn recorded(name: &str) -> &'static [u8] {
    FILES.iter().find(|(file, _)| *file == name).map_or(b"", |(_, content)| content.as_bytes())
}

fn parsers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.bench_function("psi", |bench| bench.iter(|| psi::parse(black_box(recorded("memory.pressure")))));
    for name in ["memory.events", "memory.stat"] {
        let content = recorded(name);
        group.throughput(Throughput::Bytes(content.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| flat_keyed::entries(black_box(content)).map(|(_, value)| value).fold(0, u64::wrapping_add));
        });
    }
    group.finish();
}

fn trees(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let made = write_tree(directory.path(), 1000).expect("a writable directory");
    let files: Vec<PathBuf> = made.iter().flat_map(|cgroup| FILES.iter().map(|(name, _)| cgroup.join(name))).collect();
    let roots = Roots { cgroup: directory.path().into(), ..Roots::default() };
    let mut group = criterion.benchmark_group("1000 cgroups");
    group.sample_size(20);
    for (name, held) in [("reader holding files", 16_384), ("reader holding none", 0)] {
        let options = Options { max_held_files: held, ..Options::default() };
        let mut reader = Reader::probe(&roots, &options).present().expect("a cgroup-v2 tree");
        let mut reading = Reading::default();
        group.bench_function(name, |bench| bench.iter(|| reader.read(&mut reading, &mut |fault| panic!("{fault}"))));
    }
    let mut buffer = vec![0; 8192];
    group.bench_function("bare loop", |bench| {
        bench.iter(|| {
            for path in &files {
                File::open(path).and_then(|mut file| file.read(&mut buffer)).expect("a readable file");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, parsers, trees);
criterion_main!(benches);

//! MemcgLivelock against what real kernels recorded: the livelock and everything that looks like it.

use std::collections::BTreeMap;

use flatline_catalog::{Family, Label, memcg};
use flatline_rules::model::{Case, Samples, Signal};
use flatline_rules::span::Span;
use flatline_rules::{Config, signals};

const TARGET: (&str, &str) = ("flatline", "recorded:10120");

/// A recording: for every cgroup and second, the columns of `fixtures/memcg`.
struct Recording {
    seconds: u64,
    cgroups: BTreeMap<String, BTreeMap<u64, Vec<f64>>>,
}

const LOOK_ALIKES: [&str; 6] = ["a-pagecache", "b-localoom", "d-swapthrash", "e-cpu", "f-globaloom", "g-bursts"];

/// What is missing where the kernel was started with `psi=0`.
const PSI: [&Family; 2] = [&memcg::WAITING_SECONDS, &memcg::STALLED_SECONDS];

type Column = (usize, &'static Family, Option<(&'static Label, &'static str)>, f64);

/// Which column is which series, and in what unit.
const COLUMNS: [Column; 9] = [
    (0, &memcg::LOCAL_EVENTS, Some((&memcg::EVENT, "high")), 1.0),
    (1, &memcg::EVENTS, Some((&memcg::EVENT, "high")), 1.0),
    (2, &memcg::EVENTS, Some((&memcg::EVENT, "oom_kill")), 1.0),
    (3, &memcg::WAITING_SECONDS, Some((&memcg::RESOURCE, "memory")), 1e-6),
    (4, &memcg::STALLED_SECONDS, Some((&memcg::RESOURCE, "memory")), 1e-6),
    (5, &memcg::WAITING_SECONDS, Some((&memcg::RESOURCE, "io")), 1e-6),
    (6, &memcg::WAITING_SECONDS, Some((&memcg::RESOURCE, "cpu")), 1e-6),
    (7, &memcg::RECLAIM_SCANNED_PAGES, None, 1.0),
    (8, &memcg::RECLAIM_RECLAIMED_PAGES, None, 1.0),
];

impl Recording {
    fn read(name: &str) -> Self {
        let path = format!("{}/fixtures/memcg/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        let mut recording = Self { seconds: 0, cgroups: BTreeMap::new() };
        for line in std::fs::read_to_string(&path).unwrap().lines().skip(1) {
            let mut fields = line.split(',');
            let second: u64 = fields.next().unwrap().parse().unwrap();
            let cgroup = fields.next().unwrap().to_owned();
            let values = fields.map(|field| field.parse().unwrap()).collect();
            recording.seconds = recording.seconds.max(second);
            recording.cgroups.entry(cgroup).or_default().insert(second, values);
        }
        recording
    }

    /// The recording as an exporter would have shown it, scraped at every `step` seconds from second `phase` on.
    fn case(&self, config: &Config, name: &str, step: u64, phase: u64) -> Case {
        self.case_without(config, name, step, phase, &[])
    }

    fn case_without(&self, config: &Config, name: &str, step: u64, phase: u64, missing: &[&Family]) -> Case {
        let mut case = Case::new(config, "MemcgLivelock", name);
        for (cgroup, rows) in &self.cgroups {
            for (column, family, label, unit) in COLUMNS.iter().filter(|(_, family, ..)| !missing.contains(family)) {
                let scrapes = (phase..=self.seconds).step_by(usize::try_from(step).unwrap());
                let samples =
                    scrapes.fold((Samples::default(), false), |(samples, seen), second| match rows.get(&second) {
                        Some(row) => (samples.then(row[*column] * unit, 1), true),
                        None if seen => (samples.gone(), false),
                        None => (samples.gap(1), false),
                    });
                let labels: Vec<(&Label, &str)> =
                    std::iter::once((&memcg::CGROUP, cgroup.as_str())).chain(*label).collect();
                case = case.series(family, TARGET, &labels, samples.0);
            }
        }
        case
    }
}

/// How a scrape configuration looks at a recording.
struct Look {
    step: u64,
    phase: u64,
    window: u64,
}

/// As the defaults have it, as finely as was recorded, and with the shorter window that `signals` promises 18 s for.
fn looks() -> Vec<Look> {
    let mut looks = vec![Look { step: 1, phase: 0, window: 60 }, Look { step: 1, phase: 0, window: 30 }];
    looks.extend([0, 4, 8, 12].map(|phase| Look { step: 15, phase, window: 60 }));
    looks
}

fn run(cases: impl Fn(&Look, &Config) -> Vec<Case>) {
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (index, look) in looks().iter().enumerate() {
        let mut config = Config { scrape_interval: Span::seconds(look.step), ..Config::default() };
        config.memcg.livelock_window = Span::seconds(look.window);
        let mut signal: Signal = signals::all(&config).into_iter().find(|signal| signal.name == "memcg").unwrap();
        signal.cases = cases(look, &config);
        files.push(super::support::write(&signal, &config, &directory.path().join(index.to_string())));
    }
    let output = super::support::promtool(&["test", "rules"], &files);
    assert!(output.status.success(), "{}", super::support::said(&output));
}

#[test]
fn recorded_livelocks_fire_in_time_and_end_in_time() {
    // Name, the cgroup, its first and last second in the livelock.
    let livelocks =
        [("A", "/p/w", 12, Some(148)), ("A2-burner", "/p/w2", 12, None), ("a0-ramfs-unreclaimable", "/a", 7, None)];
    run(|look, config| {
        let cases = livelocks.map(|(name, cgroup, onset, end)| {
            let recording = Recording::read(name);
            let mut case = recording.case(config, name, look.step, look.phase);
            // The time at which promtool has seen everything up to that second of the recording.
            let at = |second: u64| Span::seconds((second - look.phase).div_ceil(look.step) * look.step);
            // 0.6 of the window, and what a scrape more or less makes of it.
            let promised = onset + look.window * 62 / 100 + 1 + if look.step > 1 { look.step } else { 0 };
            let firing: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("cgroup", cgroup)]];
            case = case.never_until(at(onset + look.window / 4)).fires(at(promised), firing);
            match end {
                Some(end) => case.fires(at(end - look.step), firing).quiet(at(end + look.window / 2 + look.step)),
                None => case.fires(at(recording.seconds - look.step), firing),
            }
        });
        cases.into()
    });
}

#[test]
fn recorded_look_alikes_never_fire() {
    run(|look, config| {
        let case = |name: &str, missing| {
            let recording = Recording::read(name);
            let case = recording.case_without(config, name, look.step, look.phase, missing);
            case.never_until(Span::seconds(recording.seconds + 60))
        };
        LOOK_ALIKES.iter().flat_map(|name| [case(name, &[]), case(name, &PSI)]).collect()
    });
}

#[test]
fn a_recorded_livelock_fires_where_the_kernel_does_not_tell_who_waits() {
    run(|look, config| {
        let recording = Recording::read("A");
        let case = recording.case_without(config, "A", look.step, look.phase, &PSI);
        let firing: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("cgroup", "/p/w")]];
        // From second 12 on; two windows, and a scrape more or less.
        let seen = (12 + look.window * 2 + 1 - look.phase).next_multiple_of(look.step);
        vec![case.never_until(Span::seconds(12 + look.window)).fires(Span::seconds(seen), firing)]
    });
}

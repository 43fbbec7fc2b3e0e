//! The files in the repository: complete, current, and true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flatline_catalog::{journal, kernel_log, netconsole};
use flatline_events::Kind;
use flatline_rules::config::SAMPLE;
use flatline_rules::{Config, File, explain, generate, guard, signals};

use super::support::{accepted, write};

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn configured() -> Config {
    let path = repository().join("rules/flatline-rules.yml");
    Config::parse("rules/flatline-rules.yml", &std::fs::read_to_string(path).unwrap()).unwrap()
}

/// As a test bench has it: everything within seconds.
const FAST: &str = "
scrape_interval: 1s
evaluation_interval: 1s
labels: {team: lab}
target_labels: [cluster]
devvm: {down_for: 5s, absent_for: 5s, absent_lookback: 1m, flapping_window: 30s, frozen_window: 15s}
exporter: {down_for: 5s, absent_for: 5s, absent_lookback: 1m}
collector: {stuck_over: 2s, stuck_for: 5s}
memcg: {livelock_window: 15s, livelock_for: 5s, band_for: 2s}
vm:
  stalled_window: 15s
  write_zero_window: 5s
  write_zero_baseline: 4m
  write_zero_per_second: 0.5
  gone_after: 15s
  qmp_unresponsive_for: 12s
  unreadable_for: 20s
  io_error_for: 5s
  throttle_window: 2m
watchdog: {not_armed_for: 5s, unowned_for: 2s, expected_owners: {'hemma:.*': wd_keepalive}}
tasks: {stuck_over: 10s}
mounts: {hung_over: 10s, lost_for: 30s}
gpu: {missing_for: 5s, stuck_over: 10s, ppt_watts: 300, hot_for: 5s}
boots: {recent: 30s, crash_loop_window: 2m, heartbeat_stalled_over: 5s}
kernel_log: {said_within: 32s}
journal: {said_within: 30s, not_followed_for: 5s}
netconsole: {said_within: 30s}
crash_capture:
  dump_within: 1m
  not_armed_for: 5s
  was_armed_within: 1m
  stale_after: 1m
  stale_for: 5s
  empty_within: 1m
  empty_for: 3s
";

/// The defaults, and what has none.
pub(crate) fn complete() -> Config {
    Config::parse("c.yml", "{watchdog: {expected_owners: {'hemma:.*': wd_keepalive}}, gpu: {ppt_watts: 300}}").unwrap()
}

/// Also those that are only there when they are configured.
fn alerts() -> BTreeSet<String> {
    let config = complete();
    signals::all(&config).iter().flat_map(|signal| &signal.alerts).map(|alert| alert.name.to_owned()).collect()
}

#[test]
fn the_sample_says_the_defaults() {
    assert_eq!(Config::parse("sample.yml", SAMPLE), Ok(Config::default()));
    assert_eq!(Config::parse("empty.yml", ""), Ok(Config::default()));
    let checked_in = std::fs::read_to_string(repository().join("rules/flatline-rules.yml")).unwrap();
    assert_eq!(checked_in, SAMPLE, "rules/flatline-rules.yml is what `flatline-rules init` prints");
}

#[test]
fn the_repository_holds_what_is_generated() {
    let files = generate(&configured()).unwrap();
    for File { path, content } in &files {
        let found = std::fs::read_to_string(repository().join(path)).unwrap_or_default();
        assert!(
            found == *content,
            "{} is not what is generated; run: cargo run -p flatline-rules -- generate --config rules/flatline-rules.yml --output .",
            path.display()
        );
    }
    let generated: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    for (folder, extension) in [("rules", ".rules.yml"), ("rules/tests", ".yml"), ("dashboards", ".json")] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = Path::new(folder).join(&name);
            assert!(
                !name.ends_with(extension) || generated.contains(path.as_path()),
                "{} is left over",
                path.display()
            );
        }
    }
}

#[test]
fn generating_twice_gives_the_same() {
    assert_eq!(generate(&configured()).unwrap(), generate(&configured()).unwrap());
}

#[test]
fn promtool_accepts_the_rules_and_every_unit_test_passes() {
    let directory = tempfile::tempdir().unwrap();
    let (rules, tests) = written(&Config::default(), directory.path());
    accepted(&["check", "rules"], &rules);
    assert!(tests.len() >= 5);
    // One as it is generated, beside all rules; the others as below.
    let short: Vec<_> = tests.into_iter().filter(|path| path.ends_with("tasks.test.yml")).collect();
    assert_eq!(short.len(), 1);
    accepted(&["test", "rules"], &short);
    every_unit_test_passes(&Config::default(), directory.path());
}

#[test]
fn a_test_bench_may_have_everything_within_seconds() {
    let config = Config::parse("fast.yml", FAST).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (rules, _) = written(&config, directory.path());
    accepted(&["check", "rules"], &rules);
    every_unit_test_passes(&config, directory.path());
}

/// As often as many a Prometheus scrapes; windows that would hold too few scrapes are longer.
const MINUTE: &str = "
scrape_interval: 1m
memcg: {livelock_window: 4m}
pressure: {thrash_window: 4m, thrash_for: 2m, sustained_window: 4m}
vm: {stalled_window: 4m, qmp_unresponsive_for: 4m, io_error_for: 4m}
reachability: {rotting_window: 4m}
";

#[test]
fn every_minute_is_often_enough() {
    let config = Config::parse("minute.yml", MINUTE).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (rules, _) = written(&config, directory.path());
    accepted(&["check", "rules"], &rules);
    every_unit_test_passes(&config, directory.path());
}

/// Every signal beside its own rules only: most of the time would go into evaluating all the others.
fn every_unit_test_passes(config: &Config, directory: &Path) {
    let signals = signals::all(config).into_iter().filter(|signal| !signal.cases.is_empty());
    let tests: Vec<_> = signals.map(|signal| write(&signal, config, &directory.join(signal.name))).collect();
    accepted(&["test", "rules"], &tests);
}

/// Writes all that is generated below a directory and returns its rule and test files.
fn written(config: &Config, directory: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut rules, mut tests) = (Vec::new(), Vec::new());
    for File { path, content } in generate(config).unwrap() {
        let target = directory.join(&path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(&target, content).unwrap();
        match path.to_string_lossy() {
            path if path.ends_with(".rules.yml") => rules.push(target),
            path if path.ends_with(".test.yml") => tests.push(target),
            _ => {}
        }
    }
    (rules, tests)
}

#[test]
fn no_test_file_names_an_alert_that_does_not_exist() {
    let rules = std::fs::read_to_string(repository().join("rules/flatline.rules.yml")).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("rules/tests")).unwrap() {
        let path = entry.unwrap().path();
        let tests = std::fs::read_to_string(&path).unwrap();
        assert_eq!(guard::unknown_alerts(&tests, &[&rules]), Ok(Vec::new()), "{}", path.display());
        let typo = tests.replacen("alertname: ", "alertname: Un", 1);
        assert_eq!(guard::unknown_alerts(&typo, &[&rules]).unwrap().len(), 1, "{}: a typo is found", path.display());
        seen += 1;
    }
    assert!(seen >= 5);
}

#[test]
fn every_alert_has_a_runbook_page_and_every_page_an_alert() {
    const SECTIONS: [&str; 6] = [
        "## What it means",
        "## First look",
        "## Capture before you touch anything",
        "## Fix",
        "## How to tell it is over",
        "## Where it comes from",
    ];
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(repository().join("docs/runbooks")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if alerts().contains(&name) {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(&format!("# {name}\n")), "{}: the title is the alert", path.display());
            let mut rest = text.as_str();
            for section in SECTIONS {
                let (before, after) =
                    rest.split_once(section).unwrap_or_else(|| panic!("{name}: no `{section}` in its place"));
                assert!(!before.trim().is_empty());
                rest = after;
            }
            assert!(rest.trim().len() > 40, "{name}: the last section is empty");
        }
        pages.insert(name);
    }
    pages.remove("README");
    assert_eq!(pages, alerts());
}

#[test]
fn every_alert_explains_itself() {
    for alert in alerts() {
        let text = explain::explain(&alert, &complete()).unwrap();
        assert!(text.contains("Fires when:\n  - ") && text.contains("Stays silent when:\n  - "), "{text}");
    }
    assert!(explain::explain("DevvmDwn", &Config::default()).unwrap_err().ends_with("did you mean `DevvmDown`?"));
}

#[test]
fn rules_name_kinds_that_the_classifier_knows() {
    let config = complete();
    let signals = signals::all(&config);
    let series = signals.iter().flat_map(|signal| &signal.cases).flat_map(|case| &case.series);
    let mut named = BTreeSet::new();
    for series in series {
        let kernel = series.family == &kernel_log::EVENTS || series.family == &netconsole::EVENTS;
        if kernel || series.family == &journal::EVENTS {
            let (_, name) = series.labels.iter().find(|(label, _)| label == "kind").unwrap();
            let kind = Kind::from_name(name).unwrap_or_else(|| panic!("no kind is called {name}"));
            assert_eq!(kind.is_kernel(), kernel, "{name} is not said there");
            named.insert(name);
        }
    }
    assert!(named.len() > 30, "only {named:?}");
}

#[test]
fn an_alert_can_be_switched_off_and_made_louder() {
    let text = "alerts: {DevvmFrozen: {enabled: false}, DevvmFlapping: {severity: page}}";
    let files = generate(&Config::parse("x", text).unwrap()).unwrap();
    assert!(files.iter().all(|file| !file.content.contains("DevvmFrozen")));
    let rules = &files[0].content;
    let flapping = &rules[rules.find("alert: DevvmFlapping").unwrap()..];
    assert!(flapping[..300].contains("severity: page"), "{flapping}");
}

#[test]
fn an_alert_can_have_times_and_labels_of_its_own() {
    let text = "
labels: {team: all}
alerts:
  DevvmFlapping: {for: 2m, keep_firing_for: 10m, labels: {team: network}}
  VmDiskWriteZero: {labels: {pager: storage}}
";
    let config = Config::parse("x", text).unwrap();
    let files = generate(&config).unwrap();
    let content = |path: &str| &files.iter().find(|file| file.path == Path::new(path)).unwrap().content;
    let rules = content("rules/flatline.rules.yml");
    let flapping = rules.split("- alert: ").find(|rule| rule.starts_with("DevvmFlapping")).unwrap();
    for line in ["for: 2m\n", "keep_firing_for: 10m\n", "team: network\n"] {
        assert!(flapping.contains(line), "{line} in {flapping}");
    }
    assert_eq!(rules.matches("keep_firing_for").count(), 1);
    assert_eq!(rules.matches("team: network").count(), 1);
    assert!(
        rules.contains("without (alertname, alertstate, severity, pager, team)"),
        "it remembers itself without them"
    );
    assert!(content("rules/grafana/flatline-alerts.yml").contains("keepFiringFor: 10m\n"));
    let tests = content("rules/tests/devvm.test.yml");
    assert!(tests.contains("DevvmFrozen") && !tests.contains("DevvmFlapping"), "its tests promise the declared times");
    assert!(
        explain::explain("DevvmFlapping", &config)
            .unwrap()
            .starts_with("DevvmFlapping (warning, for 2m, keeps firing for 10m)\n")
    );
    let directory = tempfile::tempdir().unwrap();
    let (rules, tests) = written(&config, directory.path());
    accepted(&["check", "rules"], &rules);
    // Only those that take no hours.
    let short: Vec<_> = tests.into_iter().filter(|path| path.ends_with("devvm.test.yml")).collect();
    accepted(&["test", "rules"], &short);
}

#[test]
fn one_job_for_both_leaves_the_exporter_alerts_out() {
    let files = generate(&Config::parse("x", "exporter: {job: devvm}").unwrap()).unwrap();
    assert!(files.iter().all(|file| !file.content.contains("alert: Exporter")));
    assert!(files[0].content.contains("alert: DevvmDown"));
}

#[test]
fn what_can_not_work_is_refused_with_line_and_reason() {
    for (text, refusal) in [
        ("devvm:\n  down_for: 3m\n  jobb: x\n", "c.yml:3: unknown key `jobb`; did you mean `job`?"),
        ("memgc: {}\n", "c.yml:1: unknown key `memgc`; did you mean `memcg`?"),
        ("devvm:\n  down_for: 3min\n", "c.yml:2: `3min` is no duration"),
        ("memcg:\n  band_for: 1m\n  livelock_window: 30s\n", "c.yml:3: memcg.livelock_window: 30s holds fewer than 4"),
        ("scrape_interval: 1m\n", "c.yml:1: memcg.livelock_window: 1m holds fewer than 4 scrapes"),
        ("memcg:\n  livelock_waiting_share: 1.5\n", "c.yml:2: memcg.livelock_waiting_share: 1.5 is no share"),
        ("memcg: {livelock_high_per_second: .nan}\n", "c.yml:1: memcg.livelock_high_per_second: NaN is not"),
        (
            "alerts:\n  DevvmDwn:\n    enabled: false\n",
            "c.yml:2: alerts.DevvmDwn: there is no such alert; did you mean `DevvmDown`?",
        ),
        (
            "alerts:\n  DevvmDown:\n    severity: pgae\n",
            "c.yml:3: `pgae` is none of page, warning, info; did you mean `page`?",
        ),
        ("alerts:\n  DevvmDown: {for: 3min}\n", "c.yml:2: `3min` is no duration"),
        ("alerts:\n  DevvmDown:\n    fro: 3m\n", "c.yml:3: unknown key `fro`; did you mean `for`?"),
        ("alerts:\n  DevvmDown:\n    labels: {a-b: c}\n", "c.yml:3: alerts.DevvmDown.labels.a-b: `a-b` is no label"),
        (
            "alerts:\n  VmDiskStalled:\n    keep_firing_for: 5m\n",
            "c.yml:3: alerts.VmDiskStalled.keep_firing_for: this alert remembers by itself",
        ),
        ("labels: {severity: x}\n", "c.yml:1: labels.severity: `severity` is set by"),
        ("target_labels: [a-b]\n", "c.yml:1: target_labels: `a-b` is no label name"),
        ("\nscrape_interval: 0s\n", "c.yml:2: scrape_interval: can't be 0s"),
        ("devvm: {flapping_changes: 4000}\n", "c.yml:1: devvm.flapping_changes: must be"),
        ("devvm:\n  absent_lookback: 1m\n", "c.yml:2: devvm.absent_lookback: 1m is forgotten"),
        ("devvm: {job: ''}\n", "c.yml:1: devvm.job: the name of a scrape job can't be empty"),
        (
            "mounts:\n  lost_for: 2m\n",
            "c.yml:2: mounts.lost_for: must be longer than mounts.hung_over (2m), as what hangs is no lost mount",
        ),
        ("gpu:\n  edge_celsius: 0\n", "c.yml:2: gpu.edge_celsius: 0 is not greater"),
        ("boots:\n  recent: 0s\n", "c.yml:2: boots.recent: can't be 0s"),
        ("boots: {crash_loop_short: 0}\n", "c.yml:1: boots.crash_loop_short: 0 is not greater"),
        ("kernel_log:\n  said_within: 10s\n", "c.yml:2: kernel_log.said_within: 10s holds fewer"),
        (
            "watchdog: {expected_owners: {'hemma(': x}}\n",
            "c.yml:1: watchdog.expected_owners.hemma(: `hemma(` is no pattern",
        ),
        ("watchdog: {expected_owners: {hemma: 'x['}}\n", "c.yml:1: watchdog.expected_owners.hemma: `x[` is no pattern"),
        ("vm:\n  stalled_window: 30s\n", "c.yml:2: vm.stalled_window: 30s holds fewer than 4"),
        ("vm:\n  write_zero_baseline: 3h\n", "c.yml:2: vm.write_zero_baseline: 3h is less than 40"),
        ("vm: {write_zero_share: 10}\n", "c.yml:1: vm.write_zero_share: 10 is no share"),
        ("outputs: {operator: {name: Flat_line}}\n", "c.yml:1: outputs.operator.name: `Flat_line` is no name"),
        ("outputs:\n  mimir:\n    namespace: ''\n", "c.yml:3: outputs.mimir.namespace: the ruler's"),
        ("outputs: {grafana: {datasource_uid: a b}}\n", "c.yml:1: outputs.grafana.datasource_uid: `a b` is no UID"),
        ("outputs: {grafana: {org_id: 0}}\n", "c.yml:1: outputs.grafana.org_id: organisations"),
        ("runbook_base_url: runbooks\n", "c.yml:1: runbook_base_url: `runbooks` is no http"),
        ("scrape_interval: 15s\nscrape_interval: 15s\n", "c.yml:2: duplicate"),
        ("devvm: [\n", "c.yml:"),
    ] {
        let error = Config::parse("c.yml", text).unwrap_err().to_string();
        assert!(error.starts_with(refusal), "{text:?} gave: {error}");
    }
}

//! `deploy/prometheus/`: the whole says what its parts say, and what it names is there.

use std::collections::BTreeMap;
use std::path::Path;

use flatline_rules::Config;
use serde::Deserialize;
use serde_json::Value;

use super::super::support::{accepted, promtool, said};
use super::{deploy, list, resolved, texts, yaml};

/// An entry of a list of targets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Targets {
    pub(super) targets: Vec<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

pub(super) fn whole() -> Value {
    yaml(&deploy("prometheus/prometheus.yml"))
}

/// Everything that file discovery reads, of scrapes and of Alertmanagers.
fn discovered(config: &Value) -> Vec<&str> {
    let places = list(config, "scrape_configs").iter().chain(list(&config["alerting"], "alertmanagers"));
    places.flat_map(|place| list(place, "file_sd_configs")).flat_map(|files| texts(files, "files")).collect()
}

/// What a configuration names, relative to itself.
pub(super) fn files(config: &Value) -> Vec<&str> {
    let mut files = texts(config, "rule_files");
    files.extend(discovered(config));
    assert_eq!(files.len(), 4, "{files:?}");
    files
}

/// The lists of targets in a directory.
pub(super) fn targets(directory: &Path) -> Vec<Targets> {
    let config = whole();
    let names = discovered(&config).into_iter().map(|path| path.strip_prefix("targets/").unwrap());
    names.flat_map(|name| yaml::<Vec<Targets>>(&directory.join(name))).collect()
}

fn host_and_port(target: &str) -> bool {
    target.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[test]
fn promtool_is_content_and_every_file_is_there() {
    let path = deploy("prometheus/prometheus.yml");
    accepted(&["check", "config"], std::slice::from_ref(&path));
    let output = said(&promtool(&["check", "config"], &[path]));
    assert!(output.contains("1 rule files found") && !output.contains("WARNING"), "{output}");
    for file in files(&whole()) {
        let found = resolved(&deploy("prometheus"), file);
        assert!(found.is_file(), "{} is not there", found.display());
    }
    for directory in ["prometheus/targets", "compose/targets"] {
        let targets: Vec<String> = targets(&deploy(directory)).into_iter().flat_map(|entry| entry.targets).collect();
        assert!(targets.len() == 2 && targets.iter().all(|target| host_and_port(target)), "{targets:?}");
    }
}

#[test]
fn it_scrapes_what_the_rules_ask_for() {
    let (config, rules) = (whole(), Config::default());
    let jobs: Vec<_> = list(&config, "scrape_configs").iter().map(|job| job["job_name"].as_str().unwrap()).collect();
    assert_eq!(jobs, [rules.devvm.job, rules.exporter.job]);
    assert_eq!(config["global"]["scrape_interval"], rules.scrape_interval.to_string());

    let part: Value = yaml(&deploy("prometheus/scrape.yml"));
    let jobs_of_part: Vec<_> = list(&part, "scrape_configs").iter().map(|job| &job["job_name"]).collect();
    assert_eq!(jobs_of_part, jobs);
    for job in list(&part, "scrape_configs") {
        assert_eq!(job["scrape_interval"], config["global"]["scrape_interval"]);
    }
    let part: Value = yaml(&deploy("prometheus/alerting.yml"));
    let relabelled = |config: &Value| config["alerting"]["alert_relabel_configs"].clone();
    assert!(relabelled(&part).is_array());
    assert_eq!(relabelled(&part), relabelled(&config), "of deploy/prometheus/alerting.yml and prometheus.yml");
}

//! What `docs/incidents.md` says, held against promtool and all rules.

use std::path::Path;

use flatline_rules::outputs::incident_tests;
use flatline_rules::{Config, generate, incidents};

use super::support::accepted;

#[test]
fn every_incident_is_told_when_the_page_says_and_nothing_else_is() {
    let config = Config::default();
    let directory = tempfile::tempdir().unwrap();
    let rules = generate(&config).unwrap().into_iter().find(|file| file.path == Path::new("rules/flatline.rules.yml"));
    std::fs::write(directory.path().join("flatline.rules.yml"), rules.unwrap().content).unwrap();
    let incidents = incidents::all(&config);
    assert!(incidents.iter().all(|incident| !incident.told.is_empty()));
    let tests: Vec<_> = incidents
        .chunks(1)
        .enumerate()
        .map(|(number, incident)| {
            let path = directory.path().join(format!("{number}.test.yml"));
            std::fs::write(&path, incident_tests(incident, &config).unwrap()).unwrap();
            path
        })
        .collect();
    accepted(&["test", "rules"], &tests);
}

//! `deploy/grafana/provisioning`: by the schemas, and fitting the dashboards.

use flatline_rules::Config;
use serde_json::Value;

use super::super::dashboards;
use super::{deploy, faults, list, schema, text_of, typos_are_found, validator, yaml};

const DATASOURCES: &str = "grafana/provisioning/datasources/flatline.yml";
const PROVIDERS: &str = "grafana/provisioning/dashboards/flatline.yml";

pub(super) fn datasources() -> Vec<Value> {
    list(&yaml(&deploy(DATASOURCES)), "datasources").to_vec()
}

/// Where the dashboards are looked for, and who they are.
pub(super) fn folder() -> String {
    let config: Value = yaml(&deploy(PROVIDERS));
    let [provider] = list(&config, "providers") else { panic!("not one provider") };
    provider["options"]["path"].as_str().unwrap().to_owned()
}

#[test]
fn it_is_valid_and_typos_are_found() {
    let datasources = validator(schema("grafana-provisioning"), Some("datasources"));
    let typos = [
        ("apiVersion: 1", "apiVersion: 2"),
        ("datasources:", "dataSources:"),
        ("uid: prometheus", "uid: prometheus!"),
        ("uid: prometheus", "uids: prometheus"),
        ("type: prometheus", "type: prometeus"),
        ("type: prometheus", "type: alertmanager"),
        ("type: alertmanager", "type: prometheus"),
        ("access: proxy", "access: server"),
        ("url: http://prometheus", "url: prometheus"),
        ("isDefault: true", "isDefault: 1"),
        ("isDefault: true", "default: true"),
        ("httpMethod: POST", "httpMethod: PUT"),
        ("httpMethod: POST", "method: POST"),
        ("timeInterval: 15s", "timeInterval: 15"),
        ("manageAlerts:", "managedAlerts:"),
        ("alertmanagerUid:", "alertmanagerUID:"),
        ("implementation: prometheus", "implementation: thanos"),
        ("handleGrafanaManagedAlerts: false", "handleGrafanaManagedAlerts: no one"),
        ("jsonData:", "jsondata:"),
    ];
    typos_are_found(&text_of(&deploy(DATASOURCES)), &typos, |value| faults(&datasources, value));

    let providers = validator(schema("grafana-provisioning"), Some("dashboards"));
    let typos = [
        ("providers:", "provider:"),
        ("orgId: 1", "orgId: 0"),
        ("orgId: 1", "orgID: 1"),
        ("type: file", "type: files"),
        ("allowUiUpdates:", "allowUIUpdates:"),
        ("disableDeletion: false", "disableDeletion: 0"),
        ("updateIntervalSeconds: 60", "updateIntervalSeconds: 60s"),
        ("path: /etc", "path: etc"),
        ("path:", "paths:"),
    ];
    typos_are_found(&text_of(&deploy(PROVIDERS)), &typos, |value| faults(&providers, value));
}

/// The data sources that are there, in the ways in which they are asked for.
#[test]
fn every_dashboard_and_every_alert_finds_its_datasource() {
    let (sources, rules) = (datasources(), Config::default());
    let by_uid = |uid: &str| sources.iter().filter(|source| source["uid"] == uid).collect::<Vec<_>>();
    let [asked_by_alerts] = by_uid(&rules.outputs.grafana.datasource_uid)[..] else { panic!("not one of that uid") };
    assert_eq!(asked_by_alerts["type"], "prometheus");
    assert_eq!(asked_by_alerts["jsonData"]["timeInterval"], rules.scrape_interval.to_string());
    let alertmanager = asked_by_alerts["jsonData"]["alertmanagerUid"].as_str().unwrap();
    assert!(matches!(by_uid(alertmanager)[..], [source] if source["type"] == "alertmanager"), "{alertmanager}");

    let defaults: Vec<_> = sources.iter().filter(|source| source["isDefault"] == true).collect();
    let [default] = defaults[..] else { panic!("not one default") };
    for (path, dashboard) in dashboards::generated() {
        // A variable of data sources that holds none yet takes the default of its type.
        let variables = list(&dashboard["templating"], "list");
        let chosen: Vec<_> = variables.iter().filter(|variable| variable["type"] == "datasource").collect();
        let [chosen] = chosen[..] else { panic!("{path}: not one variable of data sources") };
        assert_eq!((&chosen["name"], &chosen["query"]), (&"datasource".into(), &default["type"]), "{path}");
        assert!(chosen["current"].is_null(), "{path}");
        let mut asked = Vec::new();
        uids(&dashboard, &mut asked);
        assert!(asked.len() > 3, "{path}");
        for uid in asked {
            let known = uid == "${datasource}" || !by_uid(uid).is_empty();
            assert!(known, "{path}: no data source is called {uid}");
        }
    }
}

/// The uid of every `datasource`, however deep.
fn uids<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    found.extend(value["datasource"]["uid"].as_str());
    match value {
        Value::Object(map) => map.values().for_each(|value| uids(value, found)),
        Value::Array(values) => values.iter().for_each(|value| uids(value, found)),
        _ => {}
    }
}

/// Within `$...`, what is neither a variable of the dashboard nor one of Grafana's own would be sent as it stands.
#[test]
fn every_variable_of_every_dashboard_is_there() {
    for (path, dashboard) in dashboards::generated() {
        let names: Vec<_> =
            list(&dashboard["templating"], "list").iter().map(|v| v["name"].as_str().unwrap()).collect();
        let text = dashboard.to_string();
        let mut seen = 0;
        for (at, _) in text.match_indices('$') {
            let rest = text[at + 1..].trim_start_matches('{');
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let known = name.starts_with("__") || names.contains(&name.as_str());
            let is_end_of_a_pattern = name.is_empty();
            assert!(known || is_end_of_a_pattern, "{path}: ${name} is no variable");
            seen += usize::from(known);
        }
        assert!(seen > 3, "{path}");
    }
}

#[test]
fn dashboards_have_names_of_their_own() {
    let mut uids: Vec<String> =
        dashboards::generated().iter().map(|(_, dashboard)| dashboard["uid"].as_str().unwrap().to_owned()).collect();
    let all = uids.len();
    uids.sort();
    uids.dedup();
    assert_eq!(uids.len(), all);
}

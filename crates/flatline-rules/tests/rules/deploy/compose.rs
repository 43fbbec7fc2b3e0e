//! `deploy/compose.yaml`: by the schema of the Compose Specification, and leading nowhere that is not there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::super::generated::repository;
use super::super::support::said;
use super::{
    capabilities, deploy, faults, grafana, list, pinned, prometheus, resolved, schema, text_of, texts, typos_are_found,
    validator, version, yaml,
};

fn compose() -> Value {
    yaml(&deploy("compose.yaml"))
}

/// The parts of a whole that are an object.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value))
}

fn mounts<'a>(service: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    let of_kind = list(service, "volumes").iter().filter(move |mount| mount["type"] == kind);
    of_kind.map(|mount| (mount["source"].as_str().unwrap(), mount["target"].as_str().unwrap(), mount))
}

/// The file of the repository that a service sees at a path.
fn seen(service: &Value, path: &Path) -> PathBuf {
    let below = |(source, target, _)| Some((target, source, path.strip_prefix(target).ok()?));
    let nearest = mounts(service, "bind").filter_map(below).max_by_key(|(target, ..)| target.len());
    let (_, source, rest) = nearest.unwrap_or_else(|| panic!("nothing is mounted at {}", path.display()));
    resolved(&deploy(""), source).join(rest)
}

/// The value of a flag.
fn flag<'a>(service: &'a Value, name: &str) -> &'a str {
    let mut values =
        texts(service, "command").into_iter().filter_map(|flag| flag.strip_prefix(name)?.strip_prefix('='));
    values.next_back().unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn it_is_valid_and_typos_are_found() {
    let validator = validator(schema("compose-spec"), None);
    let typos = [
        ("services:", "service:"),
        ("image:", "images:"),
        ("build:", "builds:"),
        ("dockerfile:", "docker_file:"),
        ("restart: unless-stopped", "restart: [unless-stopped]"),
        ("network_mode:", "networkmode:"),
        ("userns_mode: host", "usernsmode: host"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
        ("cap_add:", "capadd:"),
        ("security_opt:", "security_opts:"),
        ("device_cgroup_rules:", "device_cgroup_rule:"),
        ("read_only: true", "readonly: true"),
        ("read_only: true", "read_only: [yes]"),
        ("oom_score_adj: -900", "oom_score_adj: -1900"),
        ("mem_reservation:", "memory_reservation:"),
        ("memlock: -1", "memlock: [-1]"),
        ("source: /,", "src: /,"),
        ("propagation: rslave", "propagations: rslave"),
        ("create_host_path: false", "create_hostpath: false"),
        ("type: volume", "type: volumes"),
        ("ports: [\"127.0.0.1:9090:9090\"]", "ports: \"127.0.0.1:9090:9090\""),
        ("extra_hosts:", "extra_host:"),
        ("environment:", "environments:"),
        ("volumes:\n  state:", "volume:\n  state:"),
        ("secrets:\n  slack-webhook-url:\n    file:", "secrets:\n  slack-webhook-url:\n    files:"),
    ];
    typos_are_found(&text_of(&deploy("compose.yaml")), &typos, |value| faults(&validator, value));
}

/// What the schema can't say: names that are used are declared, and the other way round.
#[test]
fn volumes_and_secrets_are_declared_once_and_used() {
    let compose = compose();
    let declared = |what: &str| members(&compose[what]).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    let services = || members(&compose["services"]).map(|(_, service)| service);
    let mut used: Vec<_> = services().flat_map(|service| mounts(service, "volume")).map(|(name, ..)| name).collect();
    used.sort_unstable();
    assert_eq!(used, declared("volumes"));
    let secrets = services().flat_map(|service| list(service, "secrets"));
    assert_eq!(secrets.map(|secret| secret["source"].as_str().unwrap()).collect::<Vec<_>>(), declared("secrets"));
}

/// Of the host, no more than was thought of; of the repository, what is there; and nothing that could be written to.
#[test]
fn what_is_mounted_is_there() {
    let (compose, mut of_host) = (compose(), Vec::new());
    for (name, service) in members(&compose["services"]) {
        for (source, _, mount) in mounts(service, "bind") {
            assert_eq!(mount["read_only"], true, "{name}: {source}");
            if source.starts_with('/') {
                of_host.push((name, source));
            } else {
                assert_eq!(mount["bind"]["create_host_path"], false, "{name}: {source} would be made if it were gone");
                assert!(resolved(&deploy(""), source).is_dir(), "{name}: {source} is not there");
            }
        }
    }
    assert_eq!(of_host, [("exporter", "/"), ("exporter", "/proc"), ("exporter", "/sys")]);
    let secret = compose["secrets"]["slack-webhook-url"]["file"].as_str().unwrap();
    let ignored = text_of(&repository().join(".gitignore"));
    let path = Path::new("/deploy").join(secret.strip_prefix("./").unwrap());
    assert!(ignored.lines().any(|line| path.starts_with(line)), "git would take {} along", path.display());
}

#[test]
fn prometheus_finds_its_files_and_its_targets() {
    let compose = compose();
    let services = &compose["services"];
    let prometheus = &services["prometheus"];
    let config = Path::new(flag(prometheus, "--config.file"));
    assert_eq!(yaml::<Value>(&seen(prometheus, config)), prometheus::whole());
    for file in prometheus::files(&prometheus::whole()) {
        let path = resolved(config.parent().unwrap(), file);
        assert!(seen(prometheus, &path).is_file(), "{} is not mounted", path.display());
    }
    let lists = seen(prometheus, &config.parent().unwrap().join("targets"));
    assert_eq!(lists, deploy("compose/targets"));
    let known: Vec<_> = texts(prometheus, "extra_hosts").iter().map(|host| host.split_once(':').unwrap().0).collect();
    for target in prometheus::targets(&lists).into_iter().flat_map(|entry| entry.targets) {
        let (host, port) = target.split_once(':').unwrap();
        let exporter = known.contains(&host) && port == "10120" && services["exporter"]["network_mode"] == "host";
        assert!(exporter || listens(services, host, port), "nobody is {target}");
    }
    let first = &prometheus::targets(&lists)[0];
    assert!(first.labels.contains_key("instance"), "every machine would be called host.docker.internal");
}

/// Whether a service says that it listens there.
fn listens(services: &Value, name: &str, port: &str) -> bool {
    texts(&services[name], "ports").iter().any(|published| published.rsplit(':').next() == Some(port))
}

#[test]
fn alertmanager_finds_its_templates_and_slacks_address() {
    let compose = compose();
    let alertmanager = &compose["services"]["alertmanager"];
    let path = Path::new(flag(alertmanager, "--config.file"));
    let config: Value = yaml(&seen(alertmanager, path));
    for template in texts(&config, "templates") {
        assert!(seen(alertmanager, &path.parent().unwrap().join(template)).is_file(), "{template}");
    }
    let [secret] = list(alertmanager, "secrets") else { panic!("not one secret") };
    let mut told = 0;
    for slack in list(&config, "receivers").iter().flat_map(|receiver| list(receiver, "slack_configs")) {
        assert_eq!(slack["api_url_file"], secret["target"]);
        told += 1;
    }
    assert_eq!(told, 3);
}

#[test]
fn grafana_finds_its_provisioning_and_its_sources() {
    let compose = compose();
    let grafana = &compose["services"]["grafana"];
    let provisioning = seen(grafana, Path::new("/etc/grafana/provisioning"));
    assert_eq!(provisioning, deploy("grafana/provisioning"));
    assert_eq!(seen(grafana, Path::new(&grafana::folder())), repository().join("dashboards"));
    let home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    assert!(seen(grafana, Path::new(home)).is_file(), "{home} is not mounted");
    for source in grafana::datasources() {
        let address = source["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let (host, port) = address.split_once(':').unwrap();
        assert!(listens(&compose["services"], host, port), "nobody is {address}");
    }
}

#[test]
fn versions_are_pinned_and_only_the_exporter_is_reachable() {
    let compose = compose();
    for (name, service) in members(&compose["services"]) {
        let image = service["image"].as_str().unwrap();
        assert!(pinned(image), "{name}: {image}");
        assert!(texts(service, "ports").iter().all(|port| port.starts_with("127.0.0.1:")), "{name}");
    }
    let exporter = &compose["services"]["exporter"];
    assert_eq!(exporter["image"], format!("flatline-exporter:{}", version()));
    let build = &exporter["build"];
    let context = resolved(&deploy(""), build["context"].as_str().unwrap());
    assert_eq!(context, repository());
    assert!(context.join(build["dockerfile"].as_str().unwrap()).is_file());
}

/// The least that the systemd unit has found to be enough.
#[test]
fn the_exporter_has_the_capabilities_of_its_unit() {
    let compose = compose();
    assert_eq!(texts(&compose["services"]["exporter"], "cap_add"), capabilities());
    for (name, service) in members(&compose["services"]) {
        assert_eq!(texts(service, "cap_drop"), ["ALL"], "{name}");
        assert!(texts(service, "security_opt").contains(&"no-new-privileges:true"), "{name}");
        assert!(service["privileged"].is_null(), "{name}");
    }
}

/// Of the programs themselves, as Debian has them; the exporter's are tried in its own tests.
#[test]
#[expect(clippy::disallowed_methods, reason = "tests may start what is deployed")]
fn flags_of_prometheus_and_alertmanager_exist() {
    let compose = compose();
    for (service, program) in [("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")] {
        let help = said(&Command::new(program).arg("--help").output().unwrap());
        let flags = texts(&compose["services"][service], "command");
        assert!(flags.len() > 1);
        for flag in flags {
            let (name, _) = flag.split_once('=').unwrap();
            let known = |end: &str| help.contains(&format!("{name}{end}"));
            assert!(known("=") || known(" "), "{program} knows no {name}");
        }
    }
}

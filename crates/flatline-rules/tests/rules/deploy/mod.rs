//! What is in `deploy/`: valid by the formats' schemas, and every file, name, port and flag in it is real.

mod compose;
mod docker;
mod grafana;
mod kubernetes;
mod prometheus;

use std::path::{Component, Path, PathBuf};

use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::generated::repository;

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml<T: DeserializeOwned>(path: &Path) -> T {
    serde_yaml::from_str(&text_of(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn schema(name: &str) -> Value {
    let path = format!("{}/tests/deploy-schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&text_of(Path::new(&path))).unwrap()
}

/// A schema, or one of its definitions.
fn validator(mut schema: Value, definition: Option<&str>) -> Validator {
    if let Some(definition) = definition {
        assert!(schema["$defs"][definition].is_object(), "no definition is called {definition}");
        schema["$ref"] = format!("#/$defs/{definition}").into();
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{} {error}", error.instance_path())).collect()
}

/// Makes each slip of the pen, and demands that somebody minds.
fn typos_are_found(text: &str, typos: &[(&str, &str)], faults: impl Fn(&Value) -> Vec<String>) {
    assert_eq!(faults(&serde_yaml::from_str(text).unwrap()), Vec::<String>::new());
    for (from, to) in typos {
        let (before, after) = text.split_once(from).unwrap_or_else(|| panic!("{from} is nowhere"));
        let mistaken = serde_yaml::from_str::<Value>(&format!("{before}{to}{after}"));
        let found = mistaken.map_or_else(|error| vec![error.to_string()], |value| faults(&value));
        assert!(!found.is_empty(), "nobody minds {to} in place of {from}");
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    list(value, key).iter().map(|item| item.as_str().unwrap()).collect()
}

/// `from` followed by `path`, without `..`.
fn resolved(from: &Path, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in from.join(path).components() {
        if component == Component::ParentDir {
            assert!(whole.pop(), "{path} leads out of the file system");
        } else {
            whole.push(component);
        }
    }
    whole
}

/// The capabilities that the systemd unit gives, without their prefix, and the one for the kernel's log, which nobody
/// hands over to a container.
fn capabilities() -> Vec<String> {
    let unit = text_of(&deploy("systemd/flatline-exporter.service"));
    let line = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
    let of_unit = line.split_whitespace().map(|name| name.strip_prefix("CAP_").unwrap());
    of_unit.chain(["SYSLOG"]).map(str::to_owned).collect()
}

/// The version in the workspace's manifest.
fn version() -> String {
    let manifest = text_of(&repository().join("Cargo.toml"));
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    line.trim_matches('"').to_owned()
}

/// That an image names one version and not whatever is newest.
fn pinned(image: &str) -> bool {
    image.rsplit_once(':').is_some_and(|(_, tag)| tag.contains('.') || tag.contains("-20"))
}

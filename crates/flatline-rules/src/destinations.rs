//! Where else the rules run, and what they are called there.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::span::Span;

/// The places beside Prometheus itself. `sample.yml` documents every key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Outputs {
    pub operator: Operator,
    pub mimir: Mimir,
    pub grafana: Grafana,
}

/// The Prometheus Operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Operator {
    pub name: String,
    pub namespace: Option<String>,
    pub labels: BTreeMap<String, String>,
}

/// Mimir's or Cortex's ruler.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Mimir {
    pub namespace: String,
    pub query_offset: Option<Span>,
}

/// Grafana's own alerting.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Grafana {
    pub datasource_uid: String,
    pub folder: String,
    pub org_id: u64,
}

impl Default for Operator {
    fn default() -> Self {
        Self { name: "flatline".to_owned(), namespace: None, labels: BTreeMap::new() }
    }
}

impl Default for Mimir {
    fn default() -> Self {
        Self { namespace: "flatline".to_owned(), query_offset: None }
    }
}

impl Default for Grafana {
    fn default() -> Self {
        Self { datasource_uid: "prometheus".to_owned(), folder: "Flatline".to_owned(), org_id: 1 }
    }
}

impl Outputs {
    /// The first key whose value can't work, and why.
    pub(crate) fn first_problem(&self) -> Option<(String, String)> {
        let Self { operator, mimir, grafana } = self;
        let wrong = |key: &str, reason: String| Some((format!("outputs.{key}"), reason));
        if !kubernetes_name(&operator.name) {
            return wrong("operator.name", format!("`{}` is no name of a Kubernetes object", operator.name));
        }
        if let Some(namespace) = operator.namespace.as_ref().filter(|name| !kubernetes_name(name)) {
            return wrong("operator.namespace", format!("`{namespace}` is no name of a Kubernetes namespace"));
        }
        if mimir.namespace.is_empty() {
            return wrong("mimir.namespace", "the ruler's namespace can't be empty".to_owned());
        }
        if !grafana_uid(&grafana.datasource_uid) {
            return wrong("grafana.datasource_uid", format!("`{}` is no UID of Grafana", grafana.datasource_uid));
        }
        if grafana.folder.trim().is_empty() {
            return wrong("grafana.folder", "the folder can't be empty".to_owned());
        }
        if grafana.org_id == 0 {
            return wrong("grafana.org_id", "organisations are numbered from 1".to_owned());
        }
        None
    }
}

/// A label by RFC 1123, as Kubernetes wants namespaces to be.
fn kubernetes_name(name: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && ends(name.bytes().next())
        && ends(name.bytes().last())
}

/// At most 40 letters, digits, `-` and `_`.
fn grafana_uid(uid: &str) -> bool {
    (1..=40).contains(&uid.len())
        && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

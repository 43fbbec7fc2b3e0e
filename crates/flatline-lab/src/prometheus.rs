//! The real Prometheus of Debian, with a configuration made for one test.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Error, Program, Result, Running, http, wait_for};

/// How long Prometheus and Alertmanager may take to be ready.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Label names and values.
pub type Labels = BTreeMap<String, String>;

/// A scrape job: one second between scrapes, path `/metrics`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Scrape {
    configuration: Value,
}

impl Scrape {
    /// A job with one target.
    pub fn new(job: &str, target: SocketAddr) -> Self {
        let configuration = json!({
            "job_name": job,
            "scrape_interval": "1s",
            "static_configs": [{ "targets": [target.to_string()] }],
        });
        Self { configuration }
    }

    /// A job whose targets are known by these instance labels, whatever their real addresses.
    pub fn known_as(job: &str, targets: &[(SocketAddr, &str)]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = |(address, instance): &(SocketAddr, &str)| json!({ "targets": [address.to_string()], "labels": { "instance": instance } });
        Self::new(job, any).setting("static_configs", targets.iter().map(config).collect::<Vec<_>>())
    }

    /// Adds a target with labels of its own.
    pub fn target(mut self, target: SocketAddr, labels: &[(&str, &str)]) -> Self {
        let labels: Labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        if let Some(targets) = self.configuration["static_configs"].as_array_mut() {
            targets.push(json!({ "targets": [target.to_string()], "labels": labels }));
        }
        self
    }

    /// Scrapes with this URL parameter, e.g. `collect[]`.
    pub fn parameter(self, name: &str, values: &[&str]) -> Self {
        let mut parameters = self.configuration.get("params").cloned().unwrap_or_else(|| json!({}));
        parameters[name] = json!(values);
        self.setting("params", parameters)
    }

    /// Any other setting of a `scrape_config`: `scrape_timeout`, `basic_auth`, `scrape_protocols` (2.49 and newer).
    pub fn setting(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.configuration[name] = value.into();
        self
    }
}

/// What a Prometheus is to be; see [`Prometheus::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PrometheusBuilder {
    program: Option<PathBuf>,
    scrapes: Vec<Value>,
    rules: Vec<String>,
    rule_files: Vec<PathBuf>,
    alertmanagers: Vec<String>,
    history: Vec<String>,
    alert_relabeling: Value,
}

impl PrometheusBuilder {
    /// Starts this program instead of Debian's `prometheus`.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Adds a scrape job.
    pub fn scrape(mut self, scrape: Scrape) -> Self {
        self.scrapes.push(scrape.configuration);
        self
    }

    /// Adds rules, as the text of a rule file. Rules without an interval are evaluated each second.
    pub fn rules(mut self, yaml: impl Into<String>) -> Self {
        self.rules.push(yaml.into());
        self
    }

    /// Adds a rule file.
    pub fn rule_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.rule_files.push(path.into());
        self
    }

    /// Sends alerts there.
    pub fn alertmanager(mut self, address: SocketAddr) -> Self {
        self.alertmanagers.push(address.to_string());
        self
    }

    /// Has these samples from the start: OpenMetrics text with times, ended by `# EOF`. `promtool` makes blocks of it.
    /// It can't mark series as ended, as a scrape that fails does: they are forgotten after 30 seconds instead of five
    /// minutes, so scrapes must be closer than that.
    pub fn history(mut self, openmetrics: impl Into<String>) -> Self {
        self.history.push(openmetrics.into());
        self
    }

    /// Changes the labels of alerts before they are sent: the `alert_relabel_configs`.
    pub fn alert_relabeling(mut self, rules: impl Into<Value>) -> Self {
        self.alert_relabeling = rules.into();
        self
    }

    /// Starts it and returns when it is ready.
    pub fn start(&self) -> Result<Prometheus> {
        let directory =
            tempfile::Builder::new().prefix("flatline-prometheus-").tempdir().map_err(Error::file("/tmp"))?;
        let configuration = directory.path().join("prometheus.yml");
        let text = self.configuration(directory.path())?.to_string();
        fs::write(&configuration, text).map_err(Error::file(&configuration))?;
        let data = directory.path().join("data");
        for openmetrics in &self.history {
            let path = directory.path().join("history.om");
            fs::write(&path, openmetrics).map_err(Error::file(&path))?;
            let blocks = ["tsdb", "create-blocks-from", "openmetrics", "--quiet"];
            Program::find("promtool", "prometheus")?.args(blocks).args([&path, &data]).run()?;
        }
        let program = match &self.program {
            Some(path) => Program::at(path),
            None => Program::find("prometheus", "prometheus")?,
        };
        let forget = (!self.history.is_empty()).then_some("--query.lookback-delta=30s");
        let mut process = program
            .args(forget)
            .args([format!("--config.file={}", configuration.display())])
            .args([format!("--storage.tsdb.path={}", data.display())])
            .args(["--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"])
            .scratch(directory.path())
            .start()?;
        let address = ready_address(&mut process)?;
        Ok(Prometheus { process, address, directory })
    }

    /// JSON, which is YAML as well.
    fn configuration(&self, directory: &Path) -> Result<Value> {
        let mut rule_files: Vec<PathBuf> = Vec::new();
        for path in &self.rule_files {
            rule_files.push(fs::canonicalize(path).map_err(Error::file(path))?);
        }
        for (number, text) in self.rules.iter().enumerate() {
            let path = directory.join(format!("rules-{number}.yml"));
            fs::write(&path, text).map_err(Error::file(&path))?;
            rule_files.push(path);
        }
        Ok(json!({
            "global": { "evaluation_interval": "1s" },
            "scrape_configs": self.scrapes,
            "rule_files": rule_files,
            "alerting": {
                "alert_relabel_configs": self.alert_relabeling,
                "alertmanagers": [{ "static_configs": [{ "targets": self.alertmanagers }] }],
            },
        }))
    }
}

/// Where a program of the Prometheus family listens, as soon as it is ready; it chooses the free port itself.
pub(crate) fn ready_address(process: &mut Running) -> Result<SocketAddr> {
    let address = process.wait_for("a `Listening on` line", START_DEADLINE, |log| {
        let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
        line.split_once("address=")?.1.split_whitespace().next()?.parse::<SocketAddr>().ok()
    })?;
    let ready = format!("http://{address}/-/ready");
    wait_for(format!("{ready} to answer"), START_DEADLINE, || match process.failure() {
        Some(failure) => Err(failure),
        None => Ok(http::answers(&ready).then_some(())),
    })?;
    Ok(address)
}

/// A running Prometheus, killed and removed on drop.
#[derive(Debug)]
pub struct Prometheus {
    process: Running,
    address: SocketAddr,
    directory: TempDir,
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels, `__name__` among them.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// An active alert's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// The expression holds, `for` has not passed.
    Pending,
    /// It is being sent.
    Firing,
}

/// An active alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// `alertname`.
    pub name: String,
    /// Pending or firing.
    pub state: AlertState,
    /// All labels.
    pub labels: Labels,
    /// The annotations, expanded.
    pub annotations: Labels,
}

/// What Prometheus thinks of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetHealth {
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
    /// Not scraped yet.
    Unknown,
}

/// A target and how its last scrape went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `job`, `instance` and the rest.
    pub labels: Labels,
    /// The last scrape's outcome.
    pub health: TargetHealth,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
}

/// What a target says about one of its families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The family.
    pub metric: String,
    /// `counter`, `gauge` and so on.
    pub kind: String,
    /// HELP.
    pub help: String,
    /// UNIT, which only OpenMetrics has.
    pub unit: String,
}

impl Prometheus {
    /// A Prometheus that scrapes nothing, evaluates each second and keeps its data in a temporary directory.
    pub fn builder() -> PrometheusBuilder {
        PrometheusBuilder::default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log, to look into after a failure.
    pub fn log(&self) -> &crate::Log {
        self.process.log()
    }

    /// Evaluates an expression now; a scalar is one sample without labels.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let data = self.api("query", &[("query", expression)])?;
        if data["resultType"] == "scalar" {
            return Ok(vec![Sample { labels: Labels::new(), value: value(&data["result"]) }]);
        }
        let result = elements(&data["result"]);
        Ok(result
            .map(|element| Sample { labels: labels(&element["metric"]), value: value(&element["value"]) })
            .collect())
    }

    /// Waits until an expression yields something, and returns that.
    pub fn wait_until(&self, expression: &str, deadline: Duration) -> Result<Vec<Sample>> {
        self.wait(expression, deadline, || Ok(Some(self.query(expression)?).filter(|samples| !samples.is_empty())))
    }

    /// The pending and firing alerts.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        let data = self.api("alerts", &[])?;
        let alert = |element: &Value| {
            let labels = labels(&element["labels"]);
            Alert {
                name: labels.get("alertname").cloned().unwrap_or_default(),
                state: if element["state"] == "firing" { AlertState::Firing } else { AlertState::Pending },
                labels,
                annotations: self::labels(&element["annotations"]),
            }
        };
        Ok(elements(&data["alerts"]).map(alert).collect())
    }

    /// Waits until an alert of this name is in this state.
    pub fn wait_for_alert(&self, name: &str, state: AlertState, deadline: Duration) -> Result<Alert> {
        self.wait(&format!("alert {name} {state:?}"), deadline, || {
            Ok(self.alerts()?.into_iter().find(|alert| alert.name == name && alert.state == state))
        })
    }

    /// Waits until no alert of this name is pending or firing.
    pub fn wait_for_no_alert(&self, name: &str, deadline: Duration) -> Result<()> {
        self.wait(&format!("alert {name} to resolve"), deadline, || {
            Ok(self.alerts()?.iter().all(|alert| alert.name != name).then_some(()))
        })
    }

    /// The targets, with what went wrong at their last scrape.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let data = self.api("targets", &[("state", "active")])?;
        let target = |element: &Value| Target {
            labels: labels(&element["labels"]),
            health: match element["health"].as_str() {
                Some("up") => TargetHealth::Up,
                Some("down") => TargetHealth::Down,
                _ => TargetHealth::Unknown,
            },
            last_error: text(&element["lastError"]),
        };
        Ok(elements(&data["activeTargets"]).map(target).collect())
    }

    /// What the targets of a job say about their families.
    pub fn metadata(&self, job: &str) -> Result<Vec<Metadata>> {
        let data = self.api("targets/metadata", &[("match_target", &format!("{{job={job:?}}}"))])?;
        let metadata = |element: &Value| Metadata {
            metric: text(&element["metric"]),
            kind: text(&element["type"]),
            help: text(&element["help"]),
            unit: text(&element["unit"]),
        };
        Ok(elements(&data).map(metadata).collect())
    }

    /// Any other question: the `data` of `GET /api/v1/<path>`.
    pub fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        Ok(http::get_json(&self.url(&format!("/api/v1/{path}")), parameters)?["data"].take())
    }

    /// Reads configuration and rule files again.
    pub fn reload(&self) -> Result<()> {
        http::post(&self.url("/-/reload"))
    }

    /// Its directory: `prometheus.yml`, `rules-0.yml` ..., `data`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// [`wait_for`], telling at the deadline what the targets and alerts were.
    fn wait<T>(&self, what: &str, deadline: Duration, attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        wait_for(what, deadline, attempt).map_err(|error| match error {
            Error::Deadline { what, deadline, .. } => Error::Deadline { what, deadline, seen: self.situation() },
            other => other,
        })
    }

    /// Targets and alerts, a line each.
    fn situation(&self) -> String {
        let targets = self.targets().unwrap_or_default().into_iter();
        let targets = targets.map(|target| format!("{:?} {:?} {}", target.labels, target.health, target.last_error));
        let alerts = self.alerts().unwrap_or_default().into_iter();
        let alerts = alerts.map(|alert| format!("{:?} {:?}", alert.labels, alert.state));
        targets.chain(alerts).collect::<Vec<_>>().join("\n")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn elements(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn labels(object: &Value) -> Labels {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The value of a `[timestamp, "value"]` pair; Prometheus's `+Inf` and `NaN` are Rust's, too.
fn value(pair: &Value) -> f64 {
    pair[1].as_str().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

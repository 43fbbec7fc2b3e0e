//! The real Alertmanager of Debian.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::prometheus::{labels, ready_address, text};
use crate::{Error, Labels, Program, Result, Running, http, wait_for};

/// A running Alertmanager, killed and removed on drop.
#[derive(Debug)]
pub struct Alertmanager {
    process: Running,
    address: SocketAddr,
    _directory: TempDir,
}

/// An alert that Alertmanager has received and not yet forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its labels.
    pub labels: Labels,
    /// `active`, `suppressed` (silenced or inhibited) or `unprocessed`.
    pub state: String,
}

impl Alertmanager {
    /// Starts it with this configuration (the text of `alertmanager.yml`), alone in its cluster.
    pub fn start(configuration: &str) -> Result<Self> {
        Self::start_with(configuration, &[])
    }

    /// Likewise, with these files beside `alertmanager.yml`, by name; to its readers it is
    /// `http://alertmanager.example`, so that its messages are the same every time.
    pub fn start_with(configuration: &str, beside: &[(&str, &str)]) -> Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("flatline-alertmanager-").tempdir().map_err(Error::file("/tmp"))?;
        let file = directory.path().join("alertmanager.yml");
        fs::write(&file, configuration).map_err(Error::file(&file))?;
        for (name, text) in beside {
            let file = directory.path().join(name);
            fs::write(&file, text).map_err(Error::file(&file))?;
        }
        let mut process = Program::find("prometheus-alertmanager", "prometheus-alertmanager")?
            .args([format!("--config.file={}", file.display())])
            .args([format!("--storage.path={}", directory.path().join("data").display())])
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .args(["--web.external-url=http://alertmanager.example"])
            .scratch(directory.path())
            .start()?;
        let address = ready_address(&mut process)?;
        Ok(Self { process, address, _directory: directory })
    }

    /// A configuration that sends every alert to this Slack webhook after a second, and its end as well.
    pub fn slack_configuration(webhook: &str) -> String {
        let slack = json!({ "api_url": webhook, "channel": "#flatline", "send_resolved": true });
        json!({
            "route": {
                "receiver": "slack",
                "group_by": ["alertname"],
                "group_wait": "1s",
                "group_interval": "1s",
                "repeat_interval": "1h",
            },
            "receivers": [{ "name": "slack", "slack_configs": [slack] }],
        })
        .to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log, to look into after a failure.
    pub fn log(&self) -> &crate::Log {
        self.process.log()
    }

    /// The alerts it knows.
    pub fn alerts(&self) -> Result<Vec<Notification>> {
        let answer = http::get_json(&self.url("/api/v2/alerts"), &[])?;
        let alert = |element: &Value| Notification {
            labels: labels(&element["labels"]),
            state: text(&element["status"]["state"]),
        };
        Ok(answer.as_array().into_iter().flatten().map(alert).collect())
    }

    /// Waits until it has received an alert of this name.
    pub fn wait_for_alert(&self, name: &str, deadline: Duration) -> Result<Notification> {
        wait_for(format!("{name} at Alertmanager"), deadline, || {
            Ok(self
                .alerts()?
                .into_iter()
                .find(|alert| alert.labels.get("alertname").is_some_and(|known| known == name)))
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

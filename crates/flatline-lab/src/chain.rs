//! The chain that watches: Prometheus with the generated rules, Alertmanager with the generated configuration, and a Slack
//! that writes down what it is told.

use std::path::Path;

use flatline_rules::outputs::alertmanager::{ALERTING, CONFIGURATION, TEMPLATE};
use flatline_rules::{Config, File, generate};
use serde_json::{Value, json};

use crate::others::{Others, RULES_OF};
use crate::{Alertmanager, Error, Prometheus, Result, Scrape, SlackReceiver};

/// A running chain. Dropping it ends all of it.
#[derive(Debug)]
pub struct Chain {
    // The order matters: who sends ends before who receives.
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    slack: SlackReceiver,
    _secret: tempfile::NamedTempFile,
}

impl Chain {
    /// Starts it over these scrape jobs. `settings` is given the file with Slack's URL and says how the rules and the
    /// routing are to be, as `flatline-rules.yml` does. Rules of others are evaluated beside ours, and tell nobody.
    pub fn start(settings: impl FnOnce(&Path) -> String, scrapes: Vec<Scrape>, others: &[Others]) -> Result<Self> {
        let slack = SlackReceiver::start()?;
        let secret = tempfile::NamedTempFile::new().map_err(Error::file("/tmp"))?;
        std::fs::write(secret.path(), slack.url() + "\n").map_err(Error::file(secret.path()))?;
        let files = generated(&settings(secret.path()))?;
        let text = |path: &str| files.iter().find(|file| file.path == Path::new(path)).map_or("", |file| &file.content);
        let alertmanager = Alertmanager::start_with(text(CONFIGURATION), &[("flatline.tmpl", text(TEMPLATE))])?;
        let mut builder = Prometheus::builder()
            .rules(text("rules/flatline.rules.yml"))
            .alert_relabeling(relabeling(text(ALERTING))?)
            .alertmanager(alertmanager.address());
        for rules in others {
            builder = builder.rules(rules.text());
        }
        let prometheus = scrapes.into_iter().fold(builder, crate::PrometheusBuilder::scrape).start()?;
        Ok(Self { prometheus, alertmanager, slack, _secret: secret })
    }

    /// What scrapes and judges.
    #[must_use]
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// What groups, silences and sends.
    #[must_use]
    pub fn alertmanager(&self) -> &Alertmanager {
        &self.alertmanager
    }

    /// What people would read.
    #[must_use]
    pub fn slack(&self) -> &SlackReceiver {
        &self.slack
    }
}

fn generated(settings: &str) -> Result<Vec<File>> {
    let config = Config::parse("lab.yml", settings).map_err(Error::peer("flatline-rules"))?;
    generate(&config).map_err(Error::peer("flatline-rules"))
}

/// As generated, but the alerts of others are not sent.
fn relabeling(alerting: &str) -> Result<Value> {
    let mut alerting: Value = serde_yaml::from_str(alerting).map_err(Error::peer(ALERTING))?;
    let mut relabeling = vec![json!({ "source_labels": [RULES_OF], "regex": ".+", "action": "drop" })];
    relabeling
        .extend(alerting["alerting"]["alert_relabel_configs"].as_array_mut().map(std::mem::take).unwrap_or_default());
    Ok(Value::from(relabeling))
}

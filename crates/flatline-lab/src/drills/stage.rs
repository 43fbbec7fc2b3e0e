//! The chain that watches: Prometheus with the generated rules, Alertmanager with the generated configuration, Slack.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flatline_rules::outputs::alertmanager::{ALERTING, CONFIGURATION, TEMPLATE};
use flatline_rules::{Config, File, generate};
use serde_json::{Value, json};

use crate::scenarios::built;
use crate::{Alertmanager, Error, Program, Prometheus, Result, Running, Scrape, SlackReceiver};

/// How long the exporter may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// How fast time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As in production: scraped and evaluated every 15 s, with all windows as they are by default.
    Production,
    /// Everything a second, and a baseline of minutes in place of hours.
    Seconds,
}

impl Pace {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Production => "every 15 s, default windows",
            Self::Seconds => "every second, windows of seconds",
        }
    }

    /// Between two scrapes.
    #[must_use]
    pub const fn interval(self) -> Duration {
        match self {
            Self::Production => Duration::from_secs(15),
            Self::Seconds => Duration::from_secs(1),
        }
    }

    const fn rules(self) -> &'static str {
        match self {
            Self::Production => "scrape_interval: 15s\nevaluation_interval: 15s\n",
            Self::Seconds => {
                "scrape_interval: 1s\nevaluation_interval: 1s\n\
                 devvm: {down_for: 5s, absent_for: 5s}\n\
                 exporter: {down_for: 5s, absent_for: 5s}\n\
                 memcg: {livelock_window: 15s, band_for: 2s}\n\
                 tasks: {stuck_over: 10s}\nboots: {heartbeat_stalled_over: 10s}\n\
                 vm: {stalled_window: 5s, write_zero_window: 5s, write_zero_baseline: 200s, gone_after: 30s, \
                 qmp_unresponsive_for: 6s, io_error_for: 5s}\n"
            }
        }
    }
}

/// Something to be scraped.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The scrape job: `devvm` must answer, `flatline` is the exporter of another host, `node` is node_exporter.
    pub job: &'static str,
    /// The instance it is known by, whatever its real address.
    pub instance: &'static str,
    /// Where it answers.
    pub address: SocketAddr,
}

/// A running chain. Dropping it ends all of it.
#[derive(Debug)]
pub struct Stage {
    // The order matters: who sends ends before who receives.
    prometheus: Prometheus,
    _alertmanager: Alertmanager,
    slack: SlackReceiver,
    jobs: Vec<&'static str>,
    _secret: tempfile::NamedTempFile,
}

impl Stage {
    /// Starts the chain over these targets, and waits until each has been scraped.
    pub fn over(pace: Pace, targets: &[Watched]) -> Result<Self> {
        let slack = SlackReceiver::start()?;
        let secret = tempfile::NamedTempFile::new().map_err(Error::file("/tmp"))?;
        std::fs::write(secret.path(), slack.url()).map_err(Error::file(secret.path()))?;
        let files = generated(pace, secret.path())?;
        let text = |path: &str| files.iter().find(|file| file.path == Path::new(path)).map_or("", |file| &file.content);
        let alertmanager = Alertmanager::start_with(text(CONFIGURATION), &[("flatline.tmpl", text(TEMPLATE))])?;
        let alerting: Value = serde_yaml::from_str(text(ALERTING)).map_err(Error::peer(ALERTING))?;
        let mut jobs: Vec<_> = targets.iter().map(|target| target.job).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let mut builder = Prometheus::builder()
            .rules(text("rules/flatline.rules.yml"))
            .alert_relabeling(alerting["alerting"]["alert_relabel_configs"].clone())
            .alertmanager(alertmanager.address());
        for job in &jobs {
            builder = builder.scrape(scrape(job, pace, targets));
        }
        let prometheus = builder.start()?;
        prometheus.wait_until(&format!("count(up == 1) == {}", targets.len()), pace.interval() * 3 + LISTENS_WITHIN)?;
        Ok(Self { prometheus, _alertmanager: alertmanager, slack, jobs, _secret: secret })
    }

    /// What scrapes and judges.
    #[must_use]
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// What people would read.
    #[must_use]
    pub fn slack(&self) -> &SlackReceiver {
        &self.slack
    }

    /// The scrape jobs.
    #[must_use]
    pub fn jobs(&self) -> &[&'static str] {
        &self.jobs
    }
}

fn generated(pace: Pace, webhook_file: &Path) -> Result<Vec<File>> {
    let text = format!("{}alertmanager: {{slack_api_url_file: {}}}\n", pace.rules(), webhook_file.display());
    let config = Config::parse("drill.yml", &text).map_err(Error::peer("flatline-rules"))?;
    generate(&config).map_err(Error::peer("flatline-rules"))
}

fn scrape(job: &str, pace: Pace, targets: &[Watched]) -> Scrape {
    let of_job = targets.iter().filter(|target| target.job == job);
    let configs: Vec<Value> = of_job
        .clone()
        .map(|target| json!({ "targets": [target.address.to_string()], "labels": { "instance": target.instance } }))
        .collect();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let first = of_job.map(|target| target.address).next().unwrap_or(any);
    let seconds = pace.interval().as_secs();
    // Prometheus waits 10 s for a scrape unless told otherwise, and never longer than the interval.
    let timeout = seconds.min(10);
    Scrape::new(job, first)
        .setting("static_configs", configs)
        .setting("scrape_interval", format!("{seconds}s"))
        .setting("scrape_timeout", format!("{timeout}s"))
}

/// The exporter, built by cargo if it isn't yet.
pub(super) fn exporter() -> Result<PathBuf> {
    built("flatline-exporter", "flatline-exporter")
}

/// An exporter on this host, as on a hypervisor.
pub(super) fn on_this_host(arguments: &[String]) -> Result<(Running, SocketAddr)> {
    let mut process = Program::at(exporter()?)
        .args(["--collector.disable-defaults", "--web.listen-address=127.0.0.1:0", "--state.directory="])
        .args(arguments)
        .start()?;
    let address = process.wait_for("the address it listens on", LISTENS_WITHIN, |log| {
        let line = log.lines().find(|line| line.contains("message=listening"))?;
        line.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
    })?;
    Ok((process, address))
}

//! What a scenario is watched by, and how fast time passes in it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scenarios::built;
use crate::{Chain, Guest, GuestBuilder, Others, Program, Prometheus, Result, Running, Scrape, SlackReceiver};

/// Where node_exporter answers in a guest.
const NODE_EXPORTER: u16 = 9100;
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

/// The chain over the machines of a scenario.
#[derive(Debug)]
pub(super) struct Stage {
    chain: Chain,
    jobs: Vec<&'static str>,
}

impl Stage {
    /// Starts the chain over these targets, and waits until each has been scraped.
    pub(super) fn over(pace: Pace, targets: &[Watched], others: &[Others]) -> Result<Self> {
        let mut jobs: Vec<_> = targets.iter().map(|target| target.job).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let settings =
            |secret: &Path| format!("{}alertmanager: {{slack_api_url_file: {}}}\n", pace.rules(), secret.display());
        let scrapes = jobs.iter().map(|job| scrape(job, pace, targets)).collect();
        let chain = Chain::start(settings, scrapes, others)?;
        let all_answer = format!("count(up == 1) == {}", targets.len());
        chain.prometheus().wait_until(&all_answer, pace.interval() * 3 + LISTENS_WITHIN)?;
        Ok(Self { chain, jobs })
    }

    /// What scrapes and judges.
    pub(super) fn prometheus(&self) -> &Prometheus {
        self.chain.prometheus()
    }

    /// What people would read.
    pub(super) fn slack(&self) -> &SlackReceiver {
        self.chain.slack()
    }

    /// The scrape jobs.
    pub(super) fn jobs(&self) -> &[&'static str] {
        &self.jobs
    }
}

fn scrape(job: &str, pace: Pace, targets: &[Watched]) -> Scrape {
    let of_job = targets.iter().filter(|target| target.job == job);
    let targets: Vec<_> = of_job.map(|target| (target.address, target.instance)).collect();
    let seconds = pace.interval().as_secs();
    // Prometheus waits 10 s for a scrape unless told otherwise, and never longer than the interval.
    let timeout = seconds.min(10);
    Scrape::known_as(job, &targets)
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

/// node_exporter runs in the guest.
pub(super) fn with_node_exporter(guest: GuestBuilder) -> Result<GuestBuilder> {
    let program = Program::find("prometheus-node-exporter", "prometheus-node-exporter")?;
    let start = "prometheus-node-exporter >/dev/null 2>&1 &";
    Ok(guest.binary(program.path()).forward(NODE_EXPORTER).script(start))
}

/// node_exporter in the guest.
pub(super) fn node(guest: &Guest) -> Result<Watched> {
    Ok(Watched { job: "node", instance: "devvm:9100", address: guest.address(NODE_EXPORTER)? })
}

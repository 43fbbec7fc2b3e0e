//! `flatline-exporter`: a Prometheus exporter for machines that are dead but look alive.
//!
//! [`cli`] reads the settings, [`scheduler`] runs one thread per collector, [`collectors`] holds one file
//! per signal, [`exposition`] turns readings into bytes and [`http`] serves them. `ARCHITECTURE.md` is the map.

mod apart;
pub mod cli;
pub mod collector;
pub mod collectors;
pub mod commands;
pub mod config_file;
mod errands;
pub mod exposition;
mod flags;
pub mod http;
mod kept;
pub mod logging;
pub mod runtime;
pub mod scheduler;
pub mod self_metrics;
mod state;
pub mod version;

use cli::Settings;
use collector::Environment;
use commands::Task;
use flatline_sources::Roots;
use flatline_web::Reloader;
use http::server::{MAX_CONNECTIONS, Server, into_tokio};
use http::{App, Buffers, MAX_PASSWORD_CHECKS};
use scheduler::Scheduler;
use self_metrics::SelfMetrics;
use std::ffi::OsString;
use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tracing_appender::non_blocking::ErrorCounter;

/// How long the start-up report waits for collectors to find their sources.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);
/// How long answers in flight may take after SIGTERM.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The whole program. Returns when told to stop; threads that hang in the kernel are left to it.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let settings = match cli::parse(arguments) {
        Ok(settings) => settings,
        Err(cli::Error::Flags(error)) => error.exit(),
        Err(error) => return refuse(&error.to_string()),
    };
    let output = || std::io::stdout().lock();
    match &settings.task {
        None => {}
        Some(Task::Classify) => return commands::classify::run(std::io::stdin().lock(), output()),
        Some(Task::Boots(request)) => {
            return commands::boots::run(request, &settings.roots, &settings.state_directory, output());
        }
    }
    let locked = if settings.lock_memory { runtime::lock_memory() } else { Err("--no-runtime.lock-memory".to_owned()) };
    let (log, dropped_lines) = logging::init(settings.log_level, settings.log_format);
    if let Err(reason) = &locked {
        tracing::info!(reason, "memory is not locked; answers may be late while the host swaps");
    }
    if settings.roots != Roots::default() && !flatline_sources::confines_links() {
        tracing::warn!("this kernel has no openat2 (Linux 5.6): links in the --path.* trees are followed out of them");
    }
    let outcome = serve(&settings, locked.is_ok(), dropped_lines);
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => refuse(&reason),
    };
    drop(log);
    code
}

fn refuse(reason: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "flatline-exporter: {reason}");
    ExitCode::FAILURE
}

fn serve(settings: &Settings, memory_locked: bool, dropped_lines: ErrorCounter) -> Result<(), String> {
    // Before the first socket and the first lock.
    apart::prepare();
    let fd_budget = runtime::raise_fd_limit();
    let listeners =
        if settings.systemd_socket { http::listen::from_systemd()? } else { http::listen::bind(&settings.listen)? };
    let web = settings.web_config_file.as_ref().map(|path| Reloader::start(path)).transpose();
    let web = web.map_err(|error| error.to_string())?.map(Arc::new);
    let state = state::open(&settings.state_directory)?;
    let state_wanted = !settings.state_directory.as_os_str().is_empty();
    let self_metrics =
        SelfMetrics::new(memory_locked, state_wanted, state.clone(), dropped_lines, settings.exporter_metrics);
    let environment = Environment { roots: settings.roots.clone(), flags: settings.flags.clone(), fd_budget, state };
    let scheduler = Scheduler::start(&settings.enabled, &settings.disabled, &environment)
        .map_err(|error| format!("can't start a thread: {error}"))?;
    let app = Arc::new(App {
        scheduler,
        self_metrics,
        web,
        telemetry_path: settings.telemetry_path.clone(),
        deadline: settings.deadline,
        gzip: settings.gzip,
        scrapes: (settings.max_requests > 0).then(|| Arc::new(Semaphore::new(settings.max_requests))),
        max_requests: settings.max_requests,
        ready: AtomicBool::new(false),
        buffers: Arc::new(Buffers::default()),
        connections: Arc::default(),
        password_checks: Arc::new(Semaphore::new(MAX_PASSWORD_CHECKS)),
    });
    // One thread answers all scrapes: half the memory of a thread pool at the same latency.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| format!("can't start the runtime: {error}"))?;
    let outcome = runtime.block_on(answer(app, listeners, MAX_CONNECTIONS.min(fd_budget / 2).max(8)));
    state::leave(&environment);
    runtime.shutdown_background();
    outcome
}

async fn answer(app: Arc<App>, listeners: Vec<TcpListener>, max_connections: usize) -> Result<(), String> {
    let describe = |error: std::io::Error| error.to_string();
    let mut terminate = signal(SignalKind::terminate()).map_err(describe)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(describe)?;
    let (stop, stopping) = watch::channel(false);
    let server = Server::new(Arc::clone(&app), max_connections, stopping);
    let mut addresses = Vec::new();
    for listener in listeners {
        addresses.push(listener.local_addr().map_err(describe)?);
        tokio::spawn(server.clone().accept(into_tokio(listener).map_err(describe)?));
    }
    app.scheduler.settled(Instant::now() + SETTLE_WITHIN).await;
    app.ready.store(true, Ordering::Relaxed);
    for address in addresses {
        tracing::info!(%address, url = landing_url(address, app.web.is_some()), "listening");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(true);
    drop(server);
    tokio::select! {
        () = stop.closed() => {}
        () = tokio::time::sleep(FINISH_WITHIN) => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The address as one would type it into a browser on this host.
fn landing_url(address: std::net::SocketAddr, web_config: bool) -> String {
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let scheme = if web_config { "https or http" } else { "http" };
    format!("{scheme}://{host}:{}/", address.port())
}

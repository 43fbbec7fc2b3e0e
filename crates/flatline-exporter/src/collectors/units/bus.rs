//! Asks systemd over D-Bus (org.freedesktop.systemd1(5)).
//!
//! root asks systemd's own socket, as systemctl does, so that a dead message bus hides nothing; everybody else asks
//! over the bus. A connection lasts for one reading. Nothing here waits for long: the caller ends it at its deadline.

use super::unit::{State, TimerProperties, Unit};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zbus::connection::{Builder, Connection};
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type, Value};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const TIMER: &str = "org.freedesktop.systemd1.Timer";

/// What is to be asked for.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Units named in full, which are shown whatever they do.
    pub(super) names: Vec<String>,
    /// Patterns, by which systemd chooses among those it has loaded.
    pub(super) patterns: Vec<String>,
}

/// What systemd said of itself and of a unit of those that were chosen.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) version: Option<String>,
    pub(super) failed: Option<u32>,
    pub(super) units: Vec<Unit>,
    pub(super) left_out: usize,
}

/// A unit in `ListUnits*`: name, description, load state, active state, sub state, whom it follows, its object, and
/// the number, type and object of its job.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Where systemd can be asked.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    private: PathBuf,
    bus: PathBuf,
}

impl Sockets {
    pub(super) fn below(rootfs: &Path) -> Self {
        Self { private: rootfs.join("run/systemd/private"), bus: rootfs.join("run/dbus/system_bus_socket") }
    }

    /// What an error is about.
    pub(super) fn bus(&self) -> &Path {
        &self.bus
    }

    async fn connect(&self) -> zbus::Result<Connection> {
        if let Ok(stream) = tokio::net::UnixStream::connect(&self.private).await {
            return Builder::unix_stream(stream).p2p().build().await;
        }
        let stream = tokio::net::UnixStream::connect(&self.bus).await;
        Builder::unix_stream(stream.map_err(|error| zbus::Error::InputOutput(error.into()))?).build().await
    }
}

/// Asks everything; `choose` says which of the listed units are of interest, by name and state, and how many at most.
pub(super) async fn ask(
    sockets: &Sockets,
    question: &Question,
    most: usize,
    mut choose: impl FnMut(&str, Option<State>) -> bool,
) -> zbus::Result<Answer> {
    let connection = sockets.connect().await?;
    let mut answer = Answer {
        version: property(&connection, MANAGER_PATH, MANAGER, "Version").await,
        failed: property(&connection, MANAGER_PATH, MANAGER, "NFailedUnits").await,
        ..Answer::default()
    };
    let mut listed = Vec::new();
    if !question.names.is_empty() {
        listed = list(&connection, "ListUnitsByNames", &(&question.names,)).await?;
    }
    if !question.patterns.is_empty() {
        let states: [&str; 0] = [];
        let found = list(&connection, "ListUnitsByPatterns", &(&states[..], &question.patterns)).await?;
        listed.extend(found.into_iter().filter(|unit| choose(&unit.0, State::parse(&unit.3))));
    }
    listed.sort_by(|one, other| one.0.cmp(&other.0));
    listed.dedup_by(|one, other| one.0 == other.0);
    answer.left_out = listed.len().saturating_sub(most);
    listed.truncate(most);
    for unit in listed {
        answer.units.push(look(&connection, unit).await?);
    }
    Ok(answer)
}

async fn list<B: serde::Serialize + DynamicType>(
    connection: &Connection,
    method: &str,
    body: &B,
) -> zbus::Result<Vec<Listed>> {
    let reply = connection.call_method(Some(SYSTEMD), MANAGER_PATH, Some(MANAGER), method, body).await?;
    reply.body().deserialize()
}

async fn look(connection: &Connection, listed: Listed) -> zbus::Result<Unit> {
    let (name, _, load_state, state, sub_state, _, object, ..) = listed;
    let mut unit =
        Unit { name, load_state, state: State::parse(&state), sub_state, result: None, restarts: None, timer: None };
    if unit.name.ends_with(".service") {
        unit.result = property(connection, &object, SERVICE, "Result").await;
        unit.restarts = property(connection, &object, SERVICE, "NRestarts").await;
    }
    if unit.name.ends_with(".timer") {
        unit.timer = Some(timer(connection, &object).await?.at(clocks()));
    }
    Ok(unit)
}

/// One property; `None` where this systemd does not have it, or the unit has just gone.
async fn property<T>(connection: &Connection, object: &str, interface: &str, name: &str) -> Option<T>
where
    T: TryFrom<OwnedValue> + Type,
{
    let interfaces = Some("org.freedesktop.DBus.Properties");
    let reply = connection.call_method(Some(SYSTEMD), object, interfaces, "Get", &(interface, name)).await.ok()?;
    reply.body().deserialize::<OwnedValue>().ok()?.try_into().ok()
}

async fn timer(connection: &Connection, object: &str) -> zbus::Result<TimerProperties> {
    let interfaces = Some("org.freedesktop.DBus.Properties");
    let reply = connection.call_method(Some(SYSTEMD), object, interfaces, "GetAll", &(TIMER,)).await?;
    let all: HashMap<String, OwnedValue> = reply.body().deserialize()?;
    let micros = |name: &str| all.get(name).and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
    Ok(TimerProperties {
        last_trigger: micros("LastTriggerUSec"),
        next_realtime: micros("NextElapseUSecRealtime"),
        next_monotonic: micros("NextElapseUSecMonotonic"),
        accuracy: micros("AccuracyUSec"),
        recurs: recurs(&all),
    })
}

/// Whether a timer triggers again and again. One that counts from boot or from its own start only (`OnBootSec=`) has done
/// all it will ever do, and what it started may run for ever.
fn recurs(properties: &HashMap<String, OwnedValue>) -> bool {
    // The setting it comes from, its value, and when it is next; the last two differ in type and don't matter.
    let settings = |name: &str| match &**properties.get(name)? {
        Value::Array(timers) => Some(timers.iter().filter_map(setting).collect::<Vec<_>>()),
        _ => None,
    };
    match (settings("TimersMonotonic"), settings("TimersCalendar")) {
        (Some(monotonic), Some(calendar)) => {
            !calendar.is_empty() || monotonic.iter().any(|setting| setting.starts_with("OnUnit"))
        }
        // Who does not tell is taken at its word that it waits.
        _ => true,
    }
}

fn setting<'a>(timer: &'a Value<'_>) -> Option<&'a str> {
    match timer {
        Value::Structure(timer) => match timer.fields().first()? {
            Value::Str(setting) => Some(setting.as_str()),
            _ => None,
        },
        _ => None,
    }
}

fn clocks() -> (Duration, Duration) {
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let realtime = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (realtime, Duration::try_from(monotonic).unwrap_or_default())
}

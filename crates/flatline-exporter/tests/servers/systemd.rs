//! A systemd that says what it is told to, over its own socket or a message bus (org.freedesktop.systemd1(5)).

#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file and uses its part")]
#![allow(clippy::needless_pass_by_value, reason = "D-Bus methods take what they are sent")]

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use zbus::connection::Builder;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

/// A unit as the manager lists it.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// A unit and what it does, in systemd's words.
#[derive(Debug, Clone)]
pub struct Unit {
    pub name: &'static str,
    pub state: &'static str,
    pub sub_state: &'static str,
    pub result: &'static str,
    pub restarts: u32,
    /// Of a timer: last trigger, next times by both clocks, accuracy.
    pub timer: [u64; 4],
    /// Of a timer: what it counts from, `OnBootUSec` and the like; without any it goes by a calendar.
    pub counts_from: &'static [&'static str],
}

impl Unit {
    pub const fn new(name: &'static str, state: &'static str, sub_state: &'static str) -> Self {
        Self { name, state, sub_state, result: "success", restarts: 0, timer: [0; 4], counts_from: &[] }
    }

    fn path(&self) -> ObjectPath<'static> {
        let escaped: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        ObjectPath::try_from(format!("/org/freedesktop/systemd1/unit/{escaped}")).expect("a path")
    }

    fn listed(&self, load_state: &str) -> Listed {
        let none = || ObjectPath::from_static_str_unchecked("/").into();
        let text = str::to_owned;
        (
            text(self.name),
            text("described"),
            text(load_state),
            text(self.state),
            text(self.sub_state),
            String::new(),
            self.path().into(),
            0,
            String::new(),
            none(),
        )
    }
}

/// What can be changed while it runs.
pub type Units = Arc<Mutex<Vec<Unit>>>;

struct Manager(Units);

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    #[zbus(property)]
    fn version(&self) -> String {
        "252.38-1~deb12u1".to_owned()
    }

    #[zbus(property, name = "NFailedUnits")]
    fn n_failed_units(&self) -> u32 {
        self.0.lock().expect("units").iter().filter(|unit| unit.state == "failed").map(|_| 1).sum()
    }

    fn list_units_by_patterns(&self, _states: Vec<String>, patterns: Vec<String>) -> Vec<Listed> {
        let units = self.0.lock().expect("units");
        let matches =
            |unit: &&Unit| patterns.iter().any(|pattern| unit.name.ends_with(pattern.trim_start_matches('*')));
        units.iter().filter(matches).map(|unit| unit.listed("loaded")).collect()
    }

    fn list_units_by_names(&self, names: Vec<String>) -> Vec<Listed> {
        let units = self.0.lock().expect("units");
        let named = names.into_iter().map(|name| {
            let known = units.iter().find(|unit| unit.name == name);
            known.map_or_else(
                || {
                    let mut missing = Unit::new("missing", "inactive", "dead").listed("not-found");
                    missing.0 = name;
                    missing
                },
                |unit| unit.listed("loaded"),
            )
        });
        named.collect()
    }
}

struct Service(Unit);

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        self.0.result.to_owned()
    }

    #[zbus(property, name = "NRestarts")]
    fn n_restarts(&self) -> u32 {
        self.0.restarts
    }
}

struct Timer(Unit);

#[zbus::interface(name = "org.freedesktop.systemd1.Timer")]
impl Timer {
    #[zbus(property, name = "LastTriggerUSec")]
    fn last_trigger_usec(&self) -> u64 {
        self.0.timer[0]
    }

    #[zbus(property, name = "NextElapseUSecRealtime")]
    fn next_elapse_usec_realtime(&self) -> u64 {
        self.0.timer[1]
    }

    #[zbus(property, name = "NextElapseUSecMonotonic")]
    fn next_elapse_usec_monotonic(&self) -> u64 {
        self.0.timer[2]
    }

    #[zbus(property)]
    fn timers_monotonic(&self) -> Vec<(String, u64, u64)> {
        self.0.counts_from.iter().map(|&setting| (setting.to_owned(), 60, 0)).collect()
    }

    #[zbus(property)]
    fn timers_calendar(&self) -> Vec<(String, String, u64)> {
        let daily = ("OnCalendar".to_owned(), "daily".to_owned(), 0);
        if self.0.counts_from.is_empty() { vec![daily] } else { Vec::new() }
    }

    #[zbus(property, name = "AccuracyUSec")]
    fn accuracy_usec(&self) -> u64 {
        self.0.timer[3]
    }
}

fn serving<'a>(mut builder: Builder<'a>, units: &Units) -> Builder<'a> {
    builder = builder.serve_at("/org/freedesktop/systemd1", Manager(Arc::clone(units))).expect("served");
    for unit in units.lock().expect("units").iter() {
        builder = builder.serve_at(unit.path(), Service(unit.clone())).expect("served");
        builder = builder.serve_at(unit.path(), Timer(unit.clone())).expect("served");
    }
    builder
}

fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime")
            .block_on(work);
    });
}

/// Listens at systemd's own socket.
pub fn private(socket: &Path, units: &Units) {
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("socket");
    listener.set_nonblocking(true).expect("socket");
    let units = Arc::clone(units);
    on_a_thread(async move {
        let listener = tokio::net::UnixListener::from_std(listener).expect("socket");
        let mut connections = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            let guid = zbus::Guid::generate();
            let builder = Builder::unix_stream(client).server(guid).expect("a server").p2p();
            // A client may go away at any time.
            connections.extend(serving(builder, &units).build().await);
        }
    });
}

/// Takes systemd's name on a message bus; returns when it has it.
pub fn on_bus(socket: &Path, units: &Units) {
    let (address, units) = (format!("unix:path={}", socket.display()), Arc::clone(units));
    let (ready, is_ready): (_, Receiver<()>) = channel();
    on_a_thread(async move {
        let builder =
            Builder::address(address.as_str()).expect("address").name("org.freedesktop.systemd1").expect("name");
        let _connection = serving(builder, &units).build().await.expect("on the bus");
        ready.send(()).expect("waiting");
        std::future::pending::<()>().await;
    });
    is_ready.recv_timeout(crate::common::PATIENCE).expect("systemd's name on the bus");
}

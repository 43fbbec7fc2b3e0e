//! Flatline's rules as data.
//!
//! A signal ([`signals`]) declares its alerts, the unit-test series that make them fire and that must not, and the
//! dashboard panels that show it. The outputs ([`outputs`]) are pure functions of these values and the user's
//! [`config::Config`]: Prometheus rule files, promtool unit tests, Alertmanager's configuration and messages
//! ([`notify`], [`response`]), Grafana dashboards, the table of alerts, and what would have been told of real [`incidents`].
//! Every expression is built from catalogue families ([`promql`]) and its text is held against the catalogue again
//! before anything is written ([`check`]).

pub mod boards;
pub mod check;
pub mod config;
pub mod destinations;
pub mod explain;
pub mod guard;
pub mod incidents;
pub mod model;
pub mod notify;
pub mod outputs;
pub mod prometheus;
pub mod promql;
pub mod response;
pub mod scenes;
pub mod signals;
pub mod span;

pub use config::Config;
pub use outputs::{File, generate};

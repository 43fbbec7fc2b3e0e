//! What the lines of the kernel log and of the journal tell: pure, no I/O, no metrics.
//!
//! [`kmsg::Record`] parses what `/dev/kmsg` returns, [`netconsole`] what other hosts send, [`journal::Entry`] what the
//! journal holds; [`Classifier`] finds the [`Kind`] of a line and its labels.
//! A false alarm is worse than a missed line, and parts of the kernel log are chosen by attackers (process names,
//! USB strings, firewall prefixes), so every pattern is anchored at the start of the line and nothing is searched
//! for. A report of many lines is told by one of them; its other lines are no event.

mod classifier;
mod event;
mod families;
mod kind;
mod pattern;

pub mod journal;
pub mod json;
pub mod kmsg;
pub mod netconsole;

pub use classifier::{Classifier, Line, Source, TableError, kernel_expressions, kinds_with_patterns};
pub use event::{Event, Labels};
pub use kind::Kind;

//! What is asked over the network now and then: who, how often, and what answer is a good one.
//!
//! Pure: what a configured probe means, what a status and a body tell, and until when a certificate holds. Connecting is
//! the exporter's.

mod certificate;
mod target;
mod verdict;

pub use certificate::expiry;
pub use target::{Place, Statuses, Target, TargetError};
pub use verdict::{Failure, Verdict, judge};

#[cfg(test)]
mod tests;

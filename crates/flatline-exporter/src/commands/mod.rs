//! What the program can do besides serving metrics, one file per subcommand.

pub mod boots;
pub mod classify;

use clap::{ArgMatches, Command};

/// A subcommand that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Classify log lines from standard input.
    Classify,
    /// Show the host's boots, or say that this one ends.
    Boots(boots::Request),
}

impl Task {
    /// The subcommands' declarations.
    pub(crate) fn commands() -> [Command; 2] {
        [boots::command(), classify::command()]
    }

    /// The one that was asked for.
    pub(crate) fn of(matches: &ArgMatches) -> Option<Self> {
        match matches.subcommand()? {
            (classify::NAME, _) => Some(Self::Classify),
            (boots::NAME, matches) => Some(Self::Boots(boots::Request::of(matches))),
            _ => None,
        }
    }
}

//! The part of `status` that is looked at (`proc_pid_status(5)`): whether the task is still blocked, and whether it
//! has run since the last look.

use crate::flat_keyed::split_line;
use crate::value::number;
use crate::vm::State;

/// A task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Context switches since it began, voluntary and not: unchanged while it sleeps one and the same sleep.
    pub switches: u64,
}

/// Parses `status`; `None` when a line that is needed is missing or no number.
#[must_use]
pub fn parse(content: &[u8]) -> Option<Status> {
    let (mut state, mut voluntary, mut involuntary) = (None, None, None);
    let mut rest = content;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        rest = after;
        if let Some(value) = line.strip_prefix(b"State:") {
            state = Some(State::of(*value.trim_ascii().first()?));
        } else if let Some(value) = line.strip_prefix(b"voluntary_ctxt_switches:") {
            voluntary = Some(number(value.trim_ascii())?);
        } else if let Some(value) = line.strip_prefix(b"nonvoluntary_ctxt_switches:") {
            involuntary = Some(number(value.trim_ascii())?);
        }
    }
    Some(Status { state: state?, switches: voluntary?.checked_add(involuntary?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(state: &str, voluntary: u64, involuntary: u64) -> String {
        // The name is first, and any process may choose its own; the kernel escapes newlines in it.
        format!(
            "Name:\tState:\\nhog\nUmask:\t0022\nState:\t{state}\nTgid:\t114\nThreads:\t1\n\
             voluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t{involuntary}\n"
        )
    }

    #[test]
    fn reads_state_and_switches() {
        let parsed = parse(status("D (disk sleep)", 4800, 129).as_bytes());
        assert_eq!(parsed, Some(Status { state: State::DiskSleep, switches: 4929 }));
    }

    #[test]
    fn what_is_missing_is_refused() {
        let whole = status("D (disk sleep)", 1, 2);
        for line in ["State:\tD (disk sleep)\n", "\nvoluntary_ctxt_switches:\t1", "nonvoluntary_ctxt_switches:\t2"] {
            assert_eq!(parse(whole.replace(line, "").as_bytes()), None, "{line}");
        }
        assert_eq!(parse(status("D", u64::MAX, 1).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn switches_add_up(voluntary in 0..u64::MAX / 2, involuntary in 0..u64::MAX / 2) {
            let parsed = parse(status("S (sleeping)", voluntary, involuntary).as_bytes()).expect("a status");
            prop_assert_eq!(parsed.switches, voluntary + involuntary);
        }
    }
}

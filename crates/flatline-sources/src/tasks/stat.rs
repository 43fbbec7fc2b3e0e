//! The part of `stat` that is looked at (`proc_pid_stat(5)`), without an allocation.

use crate::value::number;
use crate::vm::State;

/// A task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Its name, any bytes, at most 15 of a process and 63 of a kernel worker.
    pub comm: &'a [u8],
    /// What it is doing.
    pub state: State,
    /// The threads of its process.
    pub threads: u64,
    /// When it started, in clock ticks since boot: with its id it names a task for good.
    pub start_ticks: u64,
}

/// Parses `stat`; `None` when it is anything else. The name may hold parentheses and spaces, so the numbers begin
/// after the last parenthesis.
#[must_use]
pub fn parse(content: &[u8]) -> Option<Stat<'_>> {
    let open = content.iter().position(|byte| *byte == b'(')?;
    let close = content.iter().rposition(|byte| *byte == b')')?;
    let comm = content.get(open + 1..close)?;
    let mut fields = content[close + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let &[state] = fields.next()? else { return None };
    // Fields are numbered as in the manual: the state is 3, so the next one is 4.
    let threads = number(fields.nth(20 - 4)?)?;
    let start_ticks = number(fields.nth(22 - 21)?)?;
    Some(Stat { comm, state: State::of(state), threads, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recorded in a memcg livelock.
    const HOG: &str = "114 (hog) D 1 0 0 0 -1 4194304 56992 0 0 0 47 142 0 0 20 0 1 0 3324 240951296 57037 18446744073709551615 4198400 4760785 140728020234320 0 0 0 0 6 0 1 0 0 17 0 0 0 0 0 0 4932824 4957232 265363456 140728020242352 140728020242374 140728020242374 140728020242416 0\n";

    #[test]
    fn reads_a_recorded_task() {
        let expected = Stat { comm: b"hog", state: State::DiskSleep, threads: 1, start_ticks: 3324 };
        assert_eq!(parse(HOG.as_bytes()), Some(expected));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let end_of_start = HOG.find(" 3324").expect("the start") + 5;
        for length in 0..end_of_start - 4 {
            assert_eq!(parse(&HOG.as_bytes()[..length]), None, "{length}");
        }
        assert!(parse(&HOG.as_bytes()[..end_of_start]).is_some());
        assert_eq!(parse(b")("), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_name_is_a_name(comm in proptest::collection::vec(any::<u8>(), 0..16)) {
            let (before, after) = HOG.split_once("hog").expect("a name");
            let content = [before.as_bytes(), &comm, after.as_bytes()].concat();
            let stat = parse(&content).expect("a stat");
            prop_assert_eq!(stat.comm, comm);
            prop_assert_eq!((stat.state, stat.start_ticks), (State::DiskSleep, 3324));
        }
    }
}

//! `/proc/fs/cifs/Stats`: what the kernel's SMB client counts (written by `fs/smb/client/cifs_debug.c`,
//! described in `Documentation/admin-guide/cifs/usage.rst`).

use crate::value::number;

/// Shares told apart; further ones count in the totals only.
const MAX_SHARES: usize = 256;

/// The client's figures. What a kernel does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cifs {
    /// Sessions with servers.
    pub sessions: Option<u64>,
    /// Shares in use.
    pub shares_in_use: Option<u64>,
    /// Requests that wait for a server's reply.
    pub requests_in_flight: Option<u64>,
    /// How often a session was made anew since the module was loaded or its statistics were cleared.
    pub session_reconnects: Option<u64>,
    /// How often a share was.
    pub share_reconnects: Option<u64>,
    /// Share by share.
    pub shares: Vec<Share>,
}

/// One share (`\\server\share`); sessions that have it in common are added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// Whether the client has lost it and has not got it back.
    pub disconnected: bool,
    /// Requests sent.
    pub requests: Option<u64>,
    /// Requests that have failed.
    pub failures: Option<u64>,
}

impl Cifs {
    /// Parses the file; what is not known is skipped. `None` when nothing in it is.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        let mut cifs = Self::default();
        let mut share = None;
        for line in content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            if let Some(found) = heading(line) {
                share = cifs.share(found);
            } else if let Some(share) = share.and_then(|index: usize| cifs.shares.get_mut(index)) {
                share.line(line);
            } else {
                cifs.line(line);
            }
        }
        (cifs != Self::default()).then_some(cifs)
    }

    fn line(&mut self, line: &[u8]) {
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [b"CIFS", b"Session:", count] => self.sessions = number(count),
            [b"Share", b"(unique", b"mount", b"targets):", count] => self.shares_in_use = number(count),
            [b"Operations", b"(MIDs):", count] => self.requests_in_flight = number(count),
            [sessions, b"session", shares, b"share", b"reconnects"] => {
                (self.session_reconnects, self.share_reconnects) = (number(sessions), number(shares));
            }
            _ => {}
        }
    }

    /// The place of the share of that name, new or not.
    fn share(&mut self, (name, disconnected): (String, bool)) -> Option<usize> {
        let place = self.shares.iter().position(|share| share.name == name).or_else(|| {
            let room = self.shares.len() < MAX_SHARES;
            room.then(|| self.shares.push(Share { name, ..Share::default() }))?;
            Some(self.shares.len() - 1)
        })?;
        self.shares.get_mut(place)?.disconnected |= disconnected;
        Some(place)
    }
}

impl Share {
    fn line(&mut self, line: &[u8]) {
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [b"SMBs:", count, ..] => add(&mut self.requests, number(count)),
            // SMB2 and later; `Open files: 1 total (local), 0 open on server` is none of them.
            [_, _, b"total", failed, b"failed"] => add(&mut self.failures, number(failed)),
            _ => {}
        }
    }
}

fn add(sum: &mut Option<u64>, more: Option<u64>) {
    *sum = more.map(|more| sum.unwrap_or(0).saturating_add(more)).or(*sum);
}

/// `1) \\server\share`, and `DISCONNECTED` behind a tabulator.
fn heading(line: &[u8]) -> Option<(String, bool)> {
    let bracket = line.iter().position(|byte| *byte == b')')?;
    number(line.get(..bracket)?)?;
    let rest = line.get(bracket + 1..)?.strip_prefix(b" ")?;
    let mut parts = rest.splitn(2, |byte| *byte == b'\t');
    let name = parts.next().filter(|name| name.starts_with(b"\\\\"))?;
    let disconnected = parts.next().is_some_and(|rest| rest.trim_ascii() == b"DISCONNECTED");
    Some((super::text(name.trim_ascii()), disconnected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `cifs_stats_proc_show` and `smb2_print_stats` write it, in the words of the kernel's documentation.
    const STATS: &str = "\
Resources in use
CIFS Session: 2
Share (unique mount targets): 4
SMB Request/Response Buffer: 2 Pool size: 6
SMB Small Req/Resp Buffer: 2 Pool size: 30
Total Large 120 Small 4711 Allocations
Operations (MIDs): 7

3 session 5 share reconnects
Total vfs operations: 5716 maximum at one time: 9

Max requests in flight: 12
1) \\\\10.10.0.35\\media library\tDISCONNECTED 
SMBs: 4203
Bytes read: 10737418240  Bytes written: 88
Open files: 1 total (local), 0 open on server
TreeConnects: 6 total 5 failed
TreeDisconnects: 0 total 0 failed
Creates: 311 total 12 failed
Closes: 299 total 0 failed
Reads: 2500 total 1 failed
2) \\\\10.10.0.36\\backup
SMBs: 17
TreeConnects: 1 total 0 failed
3) \\\\10.10.0.36\\backup
SMBs: 3
TreeConnects: 1 total 1 failed
";

    #[test]
    fn counters_and_shares() {
        let cifs = Cifs::parse(STATS.as_bytes()).expect("statistics");
        assert_eq!((cifs.sessions, cifs.shares_in_use, cifs.requests_in_flight), (Some(2), Some(4), Some(7)));
        assert_eq!((cifs.session_reconnects, cifs.share_reconnects), (Some(3), Some(5)));
        let share = |name: &str, disconnected, requests, failures| Share {
            name: name.to_owned(),
            disconnected,
            requests: Some(requests),
            failures: Some(failures),
        };
        let shares =
            [share(r"\\10.10.0.35\media library", true, 4203, 18), share(r"\\10.10.0.36\backup", false, 20, 1)];
        assert_eq!(cifs.shares, shares);
    }

    #[test]
    fn what_is_not_said_is_absent() {
        assert_eq!(Cifs::parse(b""), None);
        assert_eq!(Cifs::parse(b"something else\n"), None);
        let few = Cifs::parse(b"CIFS Session: 1\n1) \\\\s\\x\nSMBs: -5\n").expect("statistics");
        assert_eq!((few.sessions, few.session_reconnects), (Some(1), None));
        assert_eq!((few.shares[0].requests, few.shares[0].failures), (None, None));
    }

    #[test]
    fn shares_are_bounded() {
        let shares = (0..2 * MAX_SHARES).map(|n| format!("{n}) \\\\server\\share{n}\nSMBs: 1\n"));
        let cifs = Cifs::parse(shares.collect::<String>().as_bytes()).expect("statistics");
        assert_eq!(cifs.shares.len(), MAX_SHARES);
        assert!(cifs.shares.iter().all(|share| share.requests == Some(1)), "what is left out counts for nobody else");
    }

    /// Recorded on Debian's 6.1, whose kernel keeps `CONFIG_CIFS_STATS2`, after a minute without a word from Samba.
    #[test]
    fn a_recorded_server_that_is_silent() {
        let recorded = include_bytes!("../../../../fixtures/mounts/proc/fs/cifs/Stats");
        let share = Share {
            name: r"\\10.10.0.35\media library".to_owned(),
            disconnected: true,
            requests: Some(30),
            failures: Some(0),
        };
        let expected = Cifs {
            sessions: Some(1),
            shares_in_use: Some(2),
            requests_in_flight: Some(1),
            session_reconnects: Some(2),
            share_reconnects: Some(0),
            shares: vec![share],
        };
        assert_eq!(Cifs::parse(recorded), Some(expected));
    }

    proptest! {
        #[test]
        fn figures_survive(sessions: u64, shares: u64, mids: u64, a: u64, b: u64, smbs: u64, name in "[a-zA-Z0-9 ._$-]{1,20}[a-z]") {
            let content = format!(
                "Resources in use\nCIFS Session: {sessions}\nShare (unique mount targets): {shares}\nOperations (MIDs): {mids}\n\n{a} session {b} share reconnects\n1) \\\\{name}\\x\nSMBs: {smbs}\n"
            );
            let cifs = Cifs::parse(content.as_bytes()).expect("statistics");
            prop_assert_eq!((cifs.sessions, cifs.shares_in_use, cifs.requests_in_flight), (Some(sessions), Some(shares), Some(mids)));
            prop_assert_eq!((cifs.session_reconnects, cifs.share_reconnects), (Some(a), Some(b)));
            prop_assert_eq!((&cifs.shares[0].name, cifs.shares[0].requests), (&format!("\\\\{name}\\x"), Some(smbs)));
        }

        #[test]
        fn no_content_panics(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let shares = Cifs::parse(&content).map_or(0, |cifs| cifs.shares.len());
            prop_assert!(shares <= MAX_SHARES);
        }
    }
}

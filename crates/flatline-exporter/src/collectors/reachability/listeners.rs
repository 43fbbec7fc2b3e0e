//! What listens, asked on a thread of its own, and who owns it, looked for when something new listens.

use crate::collector::Faults;
use crate::errands::Errands;
use flatline_sources::reachability::{Listeners, Owners, Source, read_listeners, search};
use flatline_sources::{HostPath, SourceError};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Going through all processes is dear, so it is not done more often, and without news far less often.
const SEARCH_EVERY: Duration = Duration::from_secs(60);
const SEARCH_AGAIN_EVERY: Duration = Duration::from_secs(600);

type Read = (Result<Listeners, SourceError>, Vec<SourceError>);

/// Asks for them.
#[derive(Debug)]
pub(super) struct Asker {
    procfs: HostPath,
    source: Source,
    most: usize,
    errands: Errands<(), Read>,
    searches: Errands<(), (HashSet<u64>, Owners)>,
    owners: Owners,
    /// The sockets that were looked for.
    sought: HashSet<u64>,
    searched: Option<Instant>,
}

impl Asker {
    pub(super) fn new(procfs: HostPath, source: Source, most: usize) -> Self {
        Self {
            procfs,
            source,
            most,
            errands: Errands::apart("fl-listen"),
            searches: Errands::apart("fl-owners"),
            owners: Owners::new(),
            sought: HashSet::new(),
            searched: None,
        }
    }

    /// What listens now; `None` when the kernel does not say within `patience`.
    pub(super) fn ask(&mut self, patience: Duration, faults: &mut Faults) -> Option<Listeners> {
        let (procfs, source, most) = (self.procfs.clone(), self.source, self.most);
        let read = move || {
            let mut errors = Vec::new();
            let listeners = read_listeners(source, &procfs, most, &mut |error| errors.push(error.clone()));
            (listeners, errors)
        };
        // What comes from an earlier call is old.
        self.errands.settled();
        let (listeners, errors) = self.errands.run([((), read)], patience).pop()?.1;
        errors.iter().for_each(|error| faults.report(error));
        let listeners = listeners.map_err(|error| faults.report(&error)).ok()?;
        self.find_owners(&listeners, patience);
        Some(listeners)
    }

    /// The command that owns this socket.
    pub(super) fn owner(&self, socket: u64) -> Option<&str> {
        self.owners.get(&socket).map(String::as_str)
    }

    fn find_owners(&mut self, listeners: &Listeners, patience: Duration) {
        let mut found = self.searches.settled();
        let sockets: HashSet<u64> = listeners.listeners.iter().map(|listener| listener.inode).collect();
        self.owners.retain(|socket, _| sockets.contains(socket));
        if self.is_due(&sockets) {
            self.searched = Some(Instant::now());
            let (procfs, wanted) = (self.procfs.clone(), sockets.clone());
            let look = move || {
                let owners = search(&procfs, &wanted);
                (wanted, owners)
            };
            found.extend(self.searches.run([((), look)], patience));
        }
        for ((), (sought, owners)) in found {
            self.sought = sought;
            self.owners = owners;
        }
        self.owners.retain(|socket, _| sockets.contains(socket));
    }

    fn is_due(&self, sockets: &HashSet<u64>) -> bool {
        let Some(searched) = self.searched else { return true };
        let unknown = sockets.iter().any(|socket| !self.owners.contains_key(socket));
        let news = sockets.iter().any(|socket| !self.sought.contains(socket));
        unknown && searched.elapsed() >= if news { SEARCH_EVERY } else { SEARCH_AGAIN_EVERY }
    }
}

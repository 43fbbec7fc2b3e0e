//! Taking hold of the state directory at start-up, and the last word in it.

use crate::collector::Environment;
use flatline_ledger::{
    Farewell, Identity, Leaving, Moment, StateDirectory, StateError, say_farewell, system_is_stopping,
};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// A disk that takes longer is taken for dead: the exporter runs on without.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes hold of the directory; nothing when it is named empty, or can't be used, which is logged.
///
/// # Errors
/// When another exporter holds it: two would spoil each other's counts.
pub(crate) fn open(path: &Path) -> Result<Option<StateDirectory>, String> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let (send, opened) = channel();
    let wanted = path.to_owned();
    let thread = thread::Builder::new().name("fl-state".to_owned());
    let started = thread.spawn(move || {
        let _ = send.send(StateDirectory::open(&wanted));
    });
    let lacking = "; counters begin anew with every start, and boots are not remembered";
    match started.ok().and_then(|_| opened.recv_timeout(PATIENCE).ok()) {
        Some(Ok(state)) => Ok(Some(state)),
        Some(Err(error @ StateError::InUse { .. })) => Err(error.to_string()),
        Some(Err(error)) => {
            tracing::warn!("{error}{lacking}");
            Ok(None)
        }
        None => {
            tracing::warn!("{}: the disk does not answer{lacking}", path.display());
            Ok(None)
        }
    }
}

/// Says how the exporter leaves: with the whole system, which ends the boot cleanly, or alone. Not on a dead disk.
pub(crate) fn leave(environment: &Environment) {
    let Some(state) = environment.state.clone() else { return };
    let roots = environment.roots.clone();
    let (send, left) = channel();
    let farewell = move || {
        let evidence = system_is_stopping(&roots);
        let leaving = if evidence.is_some() { Leaving::System } else { Leaving::Exporter };
        let reason = evidence.map_or_else(|| "SIGTERM".to_owned(), |file| format!("SIGTERM while there is /{file}"));
        if let Ok(identity) = Identity::read(&roots) {
            let farewell = Farewell::new(identity.boot, Moment::now(), leaving, &reason);
            if let Err(error) = say_farewell(state.path(), &farewell) {
                tracing::warn!(%error, "how this boot ends will not be known");
            }
        }
        let _ = send.send(());
    };
    if thread::Builder::new().name("fl-state".to_owned()).spawn(farewell).is_ok() {
        let _ = left.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::open;
    use std::path::Path;

    #[test]
    fn a_directory_is_made_and_held_by_one() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("a/b");
        let held = open(&path).expect("free").expect("usable");
        let refused = open(&path).expect_err("held");
        assert!(refused.contains("a/b") && refused.contains("in use"), "{refused}");
        drop(held);
        assert!(open(&path).expect("free again").is_some());
    }

    #[test]
    fn without_a_usable_directory_the_exporter_runs_on() {
        assert!(open(Path::new("")).expect("none wanted").is_none());
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("file"), "").expect("write");
        assert!(open(&directory.path().join("file/state")).expect("no reason to stop").is_none());
    }
}

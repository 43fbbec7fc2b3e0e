//! The boots the journal knows, asked for once in the life of a state directory.
//!
//! This is one of the two places where the exporter starts a process: the journal's format is private to systemd, and
//! nobody waits for the answer. A journal of years may take minutes.

use flatline_ledger::{JournalBoot, parse_list_boots};
use std::io::{Error, ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Ten thousand boots.
const MAX_BYTES: u64 = 4 << 20;

/// In the journal's order.
pub(super) type Boots = Vec<JournalBoot>;

/// Whose journal, and who reads it.
pub(super) struct Journal {
    /// The journalctl.
    pub(super) program: String,
    /// Where the host's files are, if not at `/`: a container's own journal knows nothing of the host.
    pub(super) root: Option<PathBuf>,
}

/// Asks on a thread of its own.
pub(super) fn ask(journal: Journal) -> Option<Receiver<Boots>> {
    let (send, boots) = channel();
    let errand = move || match list_boots(&journal) {
        Ok(listed) => {
            let (boots, problems) = parse_list_boots(&listed);
            if let (true, Some(problem)) = (boots.is_empty(), problems.first()) {
                return tracing::warn!(
                    detail = problem.detail,
                    "what the journal says of earlier boots is not understood"
                );
            }
            tracing::info!(boots = boots.len(), unreadable = problems.len(), "asked the journal for earlier boots");
            let _ = send.send(boots);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            tracing::info!(program = journal.program, "there is no journal to ask for earlier boots");
            let _ = send.send(Vec::new());
        }
        Err(error) => {
            tracing::warn!(program = journal.program, %error, "the journal could not be asked for earlier boots");
        }
    };
    thread::Builder::new().name("fl-boots-seed".to_owned()).spawn(errand).ok().map(|_| boots)
}

#[expect(clippy::disallowed_methods, reason = "asked once, on a thread nobody waits for; see above")]
fn list_boots(journal: &Journal) -> std::io::Result<Vec<u8>> {
    let mut command = Command::new(&journal.program);
    command.args(["--list-boots", "--output=json", "--quiet", "--utc", "--no-pager"]);
    if let Some(root) = &journal.root {
        command.arg("--root").arg(root);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut listed = Vec::new();
    let read = child.stdout.take().map_or(Ok(0), |output| output.take(MAX_BYTES).read_to_end(&mut listed));
    let whole = read.as_ref().is_ok_and(|bytes| (*bytes as u64) < MAX_BYTES);
    if !whole {
        // Whatever it has left to say, it is not wanted.
        let _ = child.kill();
    }
    let status = child.wait()?;
    read?;
    match (whole, status.success()) {
        (true, true) => Ok(listed),
        (true, false) => Err(Error::other(status.to_string())),
        (false, _) => Err(Error::other(format!("it lists more than {MAX_BYTES} bytes"))),
    }
}

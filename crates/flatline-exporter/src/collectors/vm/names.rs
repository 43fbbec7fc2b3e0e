//! One name per virtual machine, never shared and never swapped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Longer names are cut: they become labels of every series.
const MAX_CHARS: usize = 128;

/// What others say, as a label.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// Which name belongs to which socket. Who has a name keeps it for as long as its socket exists: two machines that
/// claim one name must not swap their histories because one of them restarts.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_socket: HashMap<PathBuf, Name>,
}

#[derive(Debug)]
struct Name {
    claimed: String,
    label: String,
}

impl Names {
    /// The label of the machine at `socket` that calls itself `claimed`; new when it is not the one it had before.
    pub(super) fn label(&mut self, socket: &Path, claimed: &str) -> &str {
        let claimed = cut(claimed);
        let known = self.by_socket.get(socket).is_some_and(|name| name.claimed == claimed);
        if !known {
            self.by_socket.remove(socket);
            let taken = self.by_socket.values().any(|name| name.label == claimed);
            let label = if taken { format!("{claimed}@{}", socket.display()) } else { claimed.to_owned() };
            if taken {
                tracing::warn!(name = claimed, socket = %socket.display(), vm = label,
                    "another virtual machine has this name; give each its own with --collector.vm.sockets=NAME=PATH");
            }
            self.by_socket.insert(socket.to_owned(), Name { claimed: claimed.to_owned(), label });
        }
        self.by_socket.get(socket).map_or("", |name| &name.label)
    }

    /// Forgets the names of sockets that are gone.
    pub(super) fn retain(&mut self, exists: impl Fn(&Path) -> bool) {
        self.by_socket.retain(|socket, _| exists(socket));
    }

    /// Machines that did not get the name they claim.
    pub(super) fn conflicts(&self) -> usize {
        self.by_socket.values().filter(|name| name.label != name.claimed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::Names;
    use std::path::Path;

    #[test]
    fn two_machines_never_share_a_name_and_never_swap() {
        let (a, b) = (Path::new("/run/a.qmp"), Path::new("/run/b.qmp"));
        let mut names = Names::default();
        assert_eq!(names.label(a, "web"), "web");
        assert_eq!(names.label(b, "web"), "web@/run/b.qmp");
        assert_eq!(names.conflicts(), 1);
        // The first one goes away: the second keeps what it had, so its history is not continued under another name.
        names.retain(|socket| socket != a);
        assert_eq!(names.label(b, "web"), "web@/run/b.qmp");
        assert_eq!(names.label(a, "web"), "web");
        assert_eq!(names.label(b, "db"), "db");
        assert_eq!(names.conflicts(), 0);
    }

    #[test]
    fn a_name_of_any_length_is_cut_at_a_character() {
        assert_eq!(Names::default().label(Path::new("/run/x"), &"ü".repeat(1000)), "ü".repeat(128));
    }
}

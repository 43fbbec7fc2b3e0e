//! Whether the system is going down, as far as files tell. Nothing is asked over D-Bus: PID 1 is busy then.
//!
//! `systemd-user-sessions.service` creates `/run/nologin` when it is stopped, and logind does five minutes ahead of a
//! planned shutdown. So an exporter sees it on its own `SIGTERM` if its unit is ordered
//! `Before=systemd-user-sessions.service`, since units stop in the reverse order. At boot the file is there until logins
//! are allowed, and an administrator may create it by hand: a farewell that turns out to be wrong is void as soon as the
//! heartbeats go on. The sure way is a unit that says it on shutdown, see [`crate::say_farewell`].

use flatline_sources::Roots;

/// Files that are there while the system stops: systemd's and sysvinit's, OpenRC's.
const EVIDENCE: [&str; 2] = ["run/nologin", "run/openrc/rc.stopping"];

/// The file that says so, if there is one. Touches `/run` only, which is in memory.
#[must_use]
pub fn system_is_stopping(roots: &Roots) -> Option<&'static str> {
    EVIDENCE.into_iter().find(|file| roots.rootfs.join(file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_evidence() {
        for file in EVIDENCE {
            let tree = tempfile::tempdir().expect("a directory");
            let roots = Roots::under(tree.path());
            assert_eq!(system_is_stopping(&roots), None);
            let path = tree.path().join(file);
            std::fs::create_dir_all(path.parent().expect("in a directory")).expect("created");
            std::fs::write(&path, "").expect("written");
            assert_eq!(system_is_stopping(&roots), Some(file));
        }
    }
}

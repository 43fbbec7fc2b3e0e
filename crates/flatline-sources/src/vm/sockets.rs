//! Who is connected to a Unix socket, from `<procfs>/net/unix` (`proc_pid_net(5)`, `net/unix/af_unix.c`).
//!
//! QEMU's monitor serves one client. A second one connects at once and waits without a word, as it does before a
//! QEMU that hangs: only the kernel can tell the two apart. Recorded (Linux 6.18, QEMU 7.2, `fixtures/vm/sockets`):
//!
//! | row with the socket's path | flags | state | inode | references |
//! |---|---|---|---|---|
//! | the listening socket | `00010000` | 01 | its own | 2 |
//! | a client that was accepted, and is there | 0 | 03 | its own | 3 |
//! | a client that was accepted, and has left | 0 | 03 | its own | 2 |
//! | a client that waits to be accepted | 0 | 02 | 0 | 3 |
//! | a client that waited, and has left | 0 | 02 | 0 | 2 |
//!
//! The client's own end has no path. When the served client leaves, QEMU accepts the next at once. A stopped QEMU
//! keeps the row of a client that has left, so that state 03 alone would blame the exporter's own last visit; the
//! third reference is the client's.
//!
//! Each network namespace has a table of its own; the host's is read, as `<procfs>/1/net/unix`. Paths are those that
//! programs gave to `bind`. Any user can bind a path with a line break in it and so forge a row: at worst a hanging
//! monitor is called busy.

use super::listing::same_path;
use crate::value::number;
use crate::{Fault, HostPath, Roots, SourceError};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A row holds at most 60 bytes of columns and 108 of path.
const LONGEST_ROW: u64 = 1024;
/// So many rows are read.
const MAX_ROWS: usize = 4 * 1024 * 1024;
const BUFFER: usize = 64 * 1024;

/// Who is at a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clients {
    /// Somebody listens. When not, nothing can be said about clients: no process has it, or it is one in another
    /// network namespace or one that knows the socket by another path.
    pub listening: bool,
    /// Clients that are being served.
    pub served: u32,
    /// Clients that were accepted and have left, which the server has not noticed yet.
    pub abandoned: u32,
    /// Clients that wait to be accepted; those that have left since are counted too, and so is the asking one.
    pub queued: u32,
}

/// Counts the clients of each socket, replacing the values. A key is a path as on the host, that is without
/// [`Roots::rootfs`]; `/var/run/x` and `/run/x` are the same.
///
/// # Errors
/// When the table can't be read or has more than 4 million rows.
pub fn read_clients(roots: &Roots, sockets: &mut BTreeMap<PathBuf, Clients>) -> Result<(), SourceError> {
    let (path, file) = open_table(roots)?;
    let mut counts: BTreeMap<_, _> =
        sockets.keys().map(|socket| (same_path(socket).into_owned(), Clients::default())).collect();
    count(file, &path, &mut counts)?;
    for (socket, clients) in sockets {
        *clients = counts.get(&*same_path(socket)).copied().unwrap_or_default();
    }
    Ok(())
}

/// The table of the host's first process, which a container's own namespace does not hide; else that of this process.
fn open_table(roots: &Roots) -> Result<(HostPath, File), SourceError> {
    let open = |name| {
        let path = roots.procfs.join(name);
        match path.open(OFlags::empty()) {
            Ok(file) => Ok((path, File::from(file))),
            Err(errno) => Err(SourceError::os(&path, errno)),
        }
    };
    open("1/net/unix").or_else(|_| open("net/unix"))
}

fn count(file: impl Read, path: &Path, counts: &mut BTreeMap<PathBuf, Clients>) -> Result<(), SourceError> {
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut line = Vec::new();
    for _ in 0..MAX_ROWS {
        line.clear();
        match reader.by_ref().take(LONGEST_ROW).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(SourceError::unanswered(path, error.to_string())),
        }
        if let Some(row) = parse_row(&line)
            && let Some(clients) = counts.get_mut(&*same_path(row.path))
        {
            clients.add(&row);
        }
    }
    Err(SourceError { path: path.into(), fault: Fault::TooLarge, detail: format!("holds more than {MAX_ROWS} rows") })
}

impl Clients {
    fn add(&mut self, row: &Row<'_>) {
        /// One for the socket itself, one for the kernel's table: the third is the other end's.
        const ALONE: u64 = 2;
        match row.role {
            Role::Listening => self.listening = true,
            Role::Accepted if row.references > ALONE => self.served = self.served.saturating_add(1),
            Role::Accepted => self.abandoned = self.abandoned.saturating_add(1),
            Role::Queued => self.queued = self.queued.saturating_add(1),
            Role::Other => {}
        }
    }
}

/// One row of the file that has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// What the socket is doing.
    pub role: Role,
    /// References the kernel counts.
    pub references: u64,
    /// The path it or the socket it was accepted from is bound to; an abstract name begins with `@`.
    pub path: &'a Path,
}

/// What a bound socket is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It waits for clients.
    Listening,
    /// The server's end of a client it has accepted.
    Accepted,
    /// The server's end of a client it has not accepted yet.
    Queued,
    /// Anything else: bound only, a datagram socket.
    Other,
}

/// Parses one row: `Num: RefCount Protocol Flags Type St Inode Path`. `None` for the heading, sockets without a path
/// and anything else.
#[must_use]
pub fn parse_row(line: &[u8]) -> Option<Row<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut rest = &line[line.iter().position(|byte| *byte == b':')? + 1..];
    let mut column = || {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (column, after) = rest.split_at(end);
        rest = after;
        Some(column)
    };
    let references = hexadecimal(column()?)?;
    let _protocol = column()?;
    let flags = hexadecimal(column()?)?;
    let _kind = column()?;
    let state = hexadecimal(column()?)?;
    let inode = number(column()?)?;
    let path = rest.strip_prefix(b" ").filter(|path| !path.is_empty())?;
    Some(Row { role: role(flags, state, inode), references, path: Path::new(OsStr::from_bytes(path)) })
}

fn role(flags: u64, state: u64, inode: u64) -> Role {
    /// `__SO_ACCEPTCON`, `SS_CONNECTING` and `SS_CONNECTED` of `linux/net.h`.
    const ACCEPTS: u64 = 0x0001_0000;
    const CONNECTING: u64 = 2;
    const CONNECTED: u64 = 3;
    match (state, inode) {
        _ if flags & ACCEPTS != 0 => Role::Listening,
        (CONNECTED, 1..) => Role::Accepted,
        (CONNECTING, 0) => Role::Queued,
        _ => Role::Other,
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;

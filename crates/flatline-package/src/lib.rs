//! What the Debian package holds beside the binary, generated so that it can't say anything else than the program:
//! manual pages and shell completions from the command line's declaration ([`manual`]), licence notices and a bill of
//! materials from Cargo's own resolution of the dependencies ([`materials`]). `scripts/package.sh` puts it together.
//! The reference of settings in `docs/` comes from the same declaration ([`settings`]).

pub mod manual;
pub mod materials;
pub mod settings;

use std::io;

/// A file to be written below a directory.
#[derive(Debug)]
pub struct File {
    /// Relative path.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
}

impl File {
    fn of(path: impl Into<String>, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<Self> {
        let mut content = Vec::new();
        write(&mut content)?;
        Ok(Self { path: path.into(), content })
    }
}

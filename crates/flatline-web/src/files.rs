//! Bounded reads, remembered, so that a later look can tell whether anything changed.

use ring::digest::{SHA256, digest};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A larger file is certainly not a configuration, certificate or key.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// The files one load of the configuration has read, with what they held.
#[derive(Debug, Default)]
pub(crate) struct Files {
    folder: PathBuf,
    seen: Vec<(PathBuf, [u8; 32])>,
}

impl Files {
    /// Files named relative to the folder of `config`.
    pub(crate) fn beside(config: &Path) -> Self {
        Self { folder: config.parent().map(Path::to_owned).unwrap_or_default(), seen: Vec::new() }
    }

    /// Where a name of the configuration file points to.
    pub(crate) fn locate(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads a file and remembers what it held, or why it could not be read.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let outcome = read_bounded(path);
        self.seen.push((path.to_owned(), fingerprint(&outcome)));
        outcome
    }

    /// Whether any of the files now reads differently. The contents are compared: they are a few
    /// kilobytes, and times and sizes miss a replacement within a clock tick.
    pub(crate) fn changed(&self) -> bool {
        self.seen.iter().any(|(path, before)| fingerprint(&read_bounded(path)) != *before)
    }
}

fn fingerprint(outcome: &Result<Vec<u8>, String>) -> [u8; 32] {
    let hash = match outcome {
        Ok(content) => digest(&SHA256, content),
        Err(reason) => digest(&SHA256, format!("unreadable: {reason}").as_bytes()),
    };
    hash.as_ref().try_into().unwrap_or_default()
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| error.to_string();
    // Opening a FIFO would wait for its writer.
    if !fs::metadata(path).map_err(describe)?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut content = Vec::new();
    fs::File::open(path).map_err(describe)?.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(describe)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes, which is no web configuration, certificate or key"));
    }
    Ok(content)
}

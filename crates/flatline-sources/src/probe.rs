//! What looking for a source finds.

use crate::SourceError;

/// The three outcomes of looking for a source.
#[derive(Debug)]
pub enum Probe<R> {
    /// The source is there; this reads it.
    Present(R),
    /// The host has no such source, and why, in words for the operator. Not an error.
    Absent(String),
    /// The source should be there but can't be looked at.
    Broken(SourceError),
}

impl<R> Probe<R> {
    /// Wraps or converts the reader of a present source.
    pub fn map<S>(self, convert: impl FnOnce(R) -> S) -> Probe<S> {
        match self {
            Self::Present(reader) => Probe::Present(convert(reader)),
            Self::Absent(reason) => Probe::Absent(reason),
            Self::Broken(error) => Probe::Broken(error),
        }
    }

    /// The reader, if the source is present.
    #[must_use]
    pub fn present(self) -> Option<R> {
        match self {
            Self::Present(reader) => Some(reader),
            Self::Absent(_) | Self::Broken(_) => None,
        }
    }
}

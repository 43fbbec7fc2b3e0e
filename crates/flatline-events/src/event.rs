//! What a line tells.

use crate::Kind;

/// An event found in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened.
    pub kind: Kind,
    /// To what, in bounded words: a device, a phase, an error code.
    pub labels: Labels<'a>,
    /// How many events the line stands for: EDAC counts errors since its last line, all others say 1.
    pub count: u64,
}

impl<'a> Event<'a> {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value)
    }
}

/// No pattern has more labels; a test counts them.
pub(crate) const MAX_LABELS: usize = 6;

/// Labels of an event, borrowed from its line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    pairs: [(&'static str, &'a str); MAX_LABELS],
    len: usize,
}

impl<'a> Labels<'a> {
    /// Name and value of each label.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'a str)> + '_ {
        self.pairs[..self.len].iter().copied()
    }

    pub(crate) fn push(&mut self, name: &'static str, value: &'a str) {
        if let Some(free) = self.pairs.get_mut(self.len) {
            *free = (name, value);
            self.len += 1;
        }
    }
}

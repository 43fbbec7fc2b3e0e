//! One verdict per channel.

use super::Kdump;

/// A way in which a dying kernel leaves evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The last messages, kept in firmware or in memory that survives the reboot.
    Pstore,
    /// A second kernel that saves the memory of the first.
    Kdump,
    /// The messages, sent to another host.
    Netconsole,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 3] = [Self::Pstore, Self::Kdump, Self::Netconsole];

    /// The value of the catalogue's label `channel`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pstore => "pstore",
            Self::Kdump => "kdump",
            Self::Netconsole => "netconsole",
        }
    }
}

/// Why a channel is not ready, or why nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// pstore has nowhere to keep records.
    NoBackend,
    /// The kernel can't do it, or its module is not loaded.
    NotSupported,
    /// No memory is set aside for a crash kernel.
    NoMemoryReserved,
    /// Memory is set aside and no crash kernel loaded.
    NotLoaded,
    /// netconsole has nobody to send to.
    NoTarget,
    /// Its target is switched off.
    TargetDisabled,
    /// Its target has no receiver's address.
    NoRemote,
    /// The interface it sends through does not exist.
    InterfaceMissing,
    /// That interface is down.
    InterfaceDown,
    /// The kernel does not show what would be needed to tell.
    NotVisible,
    /// What would be needed could not be read.
    NotReadable,
}

impl Reason {
    /// Every reason, in the order of the catalogue.
    pub const ALL: [Self; 11] = [
        Self::NoBackend,
        Self::NotSupported,
        Self::NoMemoryReserved,
        Self::NotLoaded,
        Self::NoTarget,
        Self::TargetDisabled,
        Self::NoRemote,
        Self::InterfaceMissing,
        Self::InterfaceDown,
        Self::NotVisible,
        Self::NotReadable,
    ];

    /// The value of the catalogue's label `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoBackend => "no_backend",
            Self::NotSupported => "not_supported",
            Self::NoMemoryReserved => "no_memory_reserved",
            Self::NotLoaded => "not_loaded",
            Self::NoTarget => "no_target",
            Self::TargetDisabled => "target_disabled",
            Self::NoRemote => "no_remote",
            Self::InterfaceMissing => "interface_missing",
            Self::InterfaceDown => "interface_down",
            Self::NotVisible => "not_visible",
            Self::NotReadable => "not_readable",
        }
    }
}

/// Whether a crash now would leave evidence through a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It would.
    Ready,
    /// It would not.
    NotReady(Reason),
    /// Nobody can tell.
    Unknown(Reason),
}

impl Verdict {
    /// Whether it is ready, if that is known.
    #[must_use]
    pub const fn is_ready(self) -> Option<bool> {
        match self {
            Self::Ready => Some(true),
            Self::NotReady(_) => Some(false),
            Self::Unknown(_) => None,
        }
    }

    /// Why not, or why nobody can tell.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Ready => None,
            Self::NotReady(reason) | Self::Unknown(reason) => Some(reason),
        }
    }
}

/// What reading a value came to, where a missing file and one that can't be read mean different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<T> {
    Value(T),
    Absent,
    Unreadable,
}

impl<T> Found<T> {
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// A registered backend takes the kernel's last words whether or not its file system is mounted.
pub(super) const fn pstore(backend: &Found<Option<String>>) -> Verdict {
    match backend {
        Found::Value(Some(_)) => Verdict::Ready,
        Found::Value(None) => Verdict::NotReady(Reason::NoBackend),
        Found::Absent => Verdict::NotReady(Reason::NotSupported),
        Found::Unreadable => Verdict::Unknown(Reason::NotReadable),
    }
}

/// Only a loaded crash kernel counts; memory that is reserved for one is no more than a promise.
pub(super) fn kdump(loaded: &Found<bool>, kdump: &Kdump) -> Verdict {
    match loaded {
        Found::Value(true) => Verdict::Ready,
        Found::Value(false) if kdump.reserved_bytes == Some(0) => Verdict::NotReady(Reason::NoMemoryReserved),
        Found::Value(false) => Verdict::NotReady(Reason::NotLoaded),
        Found::Absent => Verdict::NotReady(Reason::NotSupported),
        Found::Unreadable => Verdict::Unknown(Reason::NotReadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_in_the_order_of_the_catalogue() {
        let labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(
            labels.join(", "),
            "no_backend, not_supported, no_memory_reserved, not_loaded, no_target, target_disabled, no_remote, \
             interface_missing, interface_down, not_visible, not_readable"
        );
    }

    /// Measured: everything looked set up, and a panic left nothing.
    #[test]
    fn reserved_memory_without_a_crash_kernel_is_the_silent_failure() {
        let reserved = |bytes| Kdump { loaded: Some(false), reserved_bytes: bytes };
        assert_eq!(kdump(&Found::Value(false), &reserved(Some(67_108_864))), Verdict::NotReady(Reason::NotLoaded));
        assert_eq!(kdump(&Found::Value(false), &reserved(Some(0))), Verdict::NotReady(Reason::NoMemoryReserved));
        assert_eq!(kdump(&Found::Value(false), &reserved(None)), Verdict::NotReady(Reason::NotLoaded));
        assert_eq!(kdump(&Found::Value(true), &reserved(Some(67_108_864))), Verdict::Ready);
        assert_eq!(kdump(&Found::Absent, &Kdump::default()), Verdict::NotReady(Reason::NotSupported));
        assert_eq!(kdump(&Found::Unreadable, &Kdump::default()), Verdict::Unknown(Reason::NotReadable));
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        assert_eq!(pstore(&Found::Unreadable), Verdict::Unknown(Reason::NotReadable));
        assert_eq!(pstore(&Found::Absent), Verdict::NotReady(Reason::NotSupported));
        assert_eq!(Verdict::Unknown(Reason::NotReadable).is_ready(), None);
    }
}

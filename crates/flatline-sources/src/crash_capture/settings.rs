//! Kernel settings that decide what a fault turns into (kernel documentation:
//! `Documentation/admin-guide/sysctl/kernel.rst`).

use crate::{HostPath, Roots};

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Seconds from a panic to the reboot: 0 never, negative at once.
    Panic,
    /// An oops is a panic.
    PanicOnOops,
    /// A warning is a panic.
    PanicOnWarn,
    /// A CPU that does not schedule is a panic.
    SoftlockupPanic,
    /// A CPU that takes no interrupts is a panic.
    HardlockupPanic,
    /// A task that hangs is a panic.
    HungTaskPanic,
    /// Seconds after which a task hangs; 0 never.
    HungTaskTimeoutSecs,
    /// What the magic key may do: 0 nothing, 1 everything, else a mask.
    Sysrq,
    /// Whether the other channels get their turn before the crash kernel does.
    CrashKexecPostNotifiers,
}

impl Setting {
    /// Every setting, in the order of the catalogue.
    pub const ALL: [Self; 9] = [
        Self::Panic,
        Self::PanicOnOops,
        Self::PanicOnWarn,
        Self::SoftlockupPanic,
        Self::HardlockupPanic,
        Self::HungTaskPanic,
        Self::HungTaskTimeoutSecs,
        Self::Sysrq,
        Self::CrashKexecPostNotifiers,
    ];

    /// The value of the catalogue's label `setting`, which is the kernel's name for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::PanicOnOops => "panic_on_oops",
            Self::PanicOnWarn => "panic_on_warn",
            Self::SoftlockupPanic => "softlockup_panic",
            Self::HardlockupPanic => "hardlockup_panic",
            Self::HungTaskPanic => "hung_task_panic",
            Self::HungTaskTimeoutSecs => "hung_task_timeout_secs",
            Self::Sysrq => "sysrq",
            Self::CrashKexecPostNotifiers => "crash_kexec_post_notifiers",
        }
    }

    pub(super) fn path(self, roots: &Roots) -> HostPath {
        match self {
            Self::CrashKexecPostNotifiers => roots.sysfs.join("module/kernel/parameters/crash_kexec_post_notifiers"),
            _ => roots.procfs.join("sys/kernel").join(self.label()),
        }
    }

    /// Parses a number, or `Y` or `N`; `None` when it is neither.
    pub(super) fn parse(content: &[u8]) -> Option<i64> {
        match content.trim_ascii() {
            b"Y" => Some(1),
            b"N" => Some(0),
            number => str::from_utf8(number).ok()?.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_numbers_and_letters() {
        assert_eq!(Setting::parse(b"5\n"), Some(5));
        assert_eq!(Setting::parse(b"-1\n"), Some(-1));
        assert_eq!(Setting::parse(b"N\n"), Some(0));
        for bad in [&b""[..], b"yes", b"0x1", b"1 2"] {
            assert_eq!(Setting::parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip(value: i64) {
            prop_assert_eq!(Setting::parse(format!("{value}\n").as_bytes()), Some(value));
        }

        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = Setting::parse(&bytes);
        }
    }
}

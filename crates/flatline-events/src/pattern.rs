//! One entry of the tables: what a line must look like, who must have said it, and what labels it yields.

use crate::Kind;

/// Who says the line. Patterns of one emitter are never tried on the lines of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emitter {
    /// The kernel itself: `/dev/kmsg` with facility 0.
    Kernel,
    /// PID 1, by the journal.
    Systemd,
    /// systemd-oomd, by the journal.
    SystemdOomd,
    /// earlyoom, by the journal.
    Earlyoom,
    /// Tailscale's daemon, by the journal.
    Tailscaled,
    /// Any other program whose output the journal keeps: a script of a unit.
    Script,
}

impl Emitter {
    pub(crate) const ALL: [Emitter; 6] = [
        Emitter::Kernel,
        Emitter::Systemd,
        Emitter::SystemdOomd,
        Emitter::Earlyoom,
        Emitter::Tailscaled,
        Emitter::Script,
    ];
}

/// A pattern is anchored at the start of the line. Named groups become labels, as do the `fixed` ones;
/// a group named [`COUNT`] is the number of events the line stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    /// `None`: the line looks like an event of a later pattern and is none.
    pub(crate) kind: Option<Kind>,
    pub(crate) emitter: Emitter,
    pub(crate) text: &'static str,
    pub(crate) fixed: &'static [(&'static str, &'static str)],
}

impl Pattern {
    pub(crate) const fn with(mut self, fixed: &'static [(&'static str, &'static str)]) -> Pattern {
        self.fixed = fixed;
        self
    }
}

pub(crate) const fn kernel(kind: Kind, text: &'static str) -> Pattern {
    Pattern { kind: Some(kind), emitter: Emitter::Kernel, text, fixed: &[] }
}

pub(crate) const fn journal(emitter: Emitter, kind: Kind, text: &'static str) -> Pattern {
    Pattern { kind: Some(kind), emitter, text, fixed: &[] }
}

/// What the kernel says without an event having happened, kept from the patterns that follow.
pub(crate) const fn nothing(text: &'static str) -> Pattern {
    Pattern { kind: None, emitter: Emitter::Kernel, text, fixed: &[] }
}

/// The group that holds how many events a line stands for.
pub(crate) const COUNT: &str = "count";

/// Every label a pattern may name. Process names, pids, addresses, sectors, paths and cgroups are not labels:
/// they have no bound, and some are chosen by whoever wants to be seen.
pub(crate) const LABELS: &[&str] = &[
    "action",
    "array",
    "bank",
    "clocksource",
    "count",
    "device",
    "direction",
    "driver",
    "engine",
    "errno",
    "file",
    "flavor",
    "fs",
    "func",
    "hostbyte",
    "iface",
    "layer",
    "level",
    "mc",
    "mode",
    "op",
    "order",
    "phase",
    "port",
    "rc",
    "reason",
    "result",
    "ring",
    "scope",
    "self",
    "server",
    "severity",
    "signal",
    "soft",
    "status",
    "subtype",
    "target",
    "type",
    "unit",
    "watchdog",
    "xid",
];

/// Parts that many patterns share.
const FRAGMENTS: &[(&str, &str)] = &[
    (
        "{AMDGPU}",
        r"(?:amdgpu (?P<device>{BDF}): )?(?:amdgpu: |\[powerplay\] |\[drm(?::[^\[\] ]+(?: \[[\w-]+\])?)?\] |\*ERROR\* )*",
    ),
    // netdev_printk: driver, bus id (with a colon where the driver printed them itself), interface, and its state if
    // it is not registered. Some drivers say both again.
    (
        "{NETDEV}",
        r"(?P<driver>[\w.-]+) (?:\S*[^\s:]|{BDF}:) (?P<iface>{IFACE})(?: \(\w[\w ]*\))?: (?:[\w-]+: (?:{IFACE} )?)?",
    ),
    // A driver that prints the interface itself.
    ("{BARE}", r"(?:(?P<driver>[\w-]+): )?(?P<iface>{IFACE})(?:: (?:\w+: )?(?:NIC )?| NIC )"),
    ("{BDF}", r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"),
    // TASK_COMM_LEN less its zero byte, and one for good measure; any byte but zero may be in it.
    ("{COMM}", r"(?s:.){1,16}"),
    ("{DISK}", r"[\w!/.:+-]+?(?:\(\d+,\d+\))?"),
    // fs/btrfs/messages.c: what the file system has come to, since 5.18
    ("{STATE}", r"(?::? state \w+)?"),
    // A Go program's own time stamp and the name of the component.
    ("{GO}", r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?(?:[\w.-]+: )*"),
    // %pS, and what decode_stacktrace.sh makes of it
    ("{SYMBOL}", r"[^\s,]+\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?(?: \[[\w ]+\])?(?: [\w./+-]+:\d+)?"),
    // `script: line 3: ` of bash, `sh: 1: ` of dash.
    ("{SHELL}", r"(?:[^\s:]+: )?(?:(?:line )?\d+: )?"),
    ("{LINK}", r"(?:Copper |SerDes |Device )?[Ll]ink (?:is )?"),
    ("{DOWN}", r"(?:[Dd]own|DOWN)\.?$"),
    ("{UP}", r"(?:[Uu]p|UP)(?:\.?$|,? ?(?:- |at |at ANed: |Speed is )?[(<]?(?:[\d.]+|Unknown) ?[MG/])"),
    ("{HCTL}", r"\d+:\d+:\d+:\d+"),
    ("{IFACE}", r"[\w.@+-]+"),
];

/// The regular expression of a pattern: anchored, without Unicode classes, fragments filled in.
pub(crate) fn expression(text: &str) -> String {
    let filled = FRAGMENTS.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    format!("^(?:{filled})")
}

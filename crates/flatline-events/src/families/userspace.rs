//! What daemons and scripts say in the journal.

use crate::Kind::{
    EarlyoomKill, JournaldWatchdogKilled, SysfsWriteIoError, SystemdOomdKill, SystemdUnitFailed, SystemdUnitOom,
    TailscaleDnsFailure, TailscaleLinkChange,
};
use crate::pattern::Emitter::{Earlyoom, Script, Systemd, SystemdOomd, Tailscaled};
use crate::pattern::{Pattern, journal};

pub(crate) const PATTERNS: &[Pattern] = &[
    // systemd src/core/service.c
    journal(Systemd, JournaldWatchdogKilled, r"systemd-journald(?:@[\w-]+)?\.service:? [Ww]atchdog timeout"),
    // systemd src/core/unit.c
    journal(Systemd, SystemdUnitOom, r"(?P<unit>\S+): Failed with result '(?P<result>oom-kill)'\.?$"),
    journal(
        Systemd,
        SystemdUnitOom,
        r"(?P<unit>\S+): (?:A process of this unit has been killed by the OOM killer|systemd-oomd killed (?:some|\d+) process\(es\) in this unit)\.$",
    )
    .with(&[("phase", "detail")]),
    journal(Systemd, SystemdUnitFailed, r"(?P<unit>\S+): Failed with result '(?P<result>[a-z-]+)'\.?$"),
    journal(Systemd, SystemdUnitFailed, r"Unit (?P<unit>\S+) entered failed state\.$"),
    // systemd src/core/job.c: the description follows the unit's name since v248.
    journal(
        Systemd,
        SystemdUnitFailed,
        r"Failed to (?:start|mount|listen on|activate swap|set up automount) (?P<unit>[\w:.@\\-]+\.(?:service|mount|socket|swap|automount|target|timer|path|slice|scope)) - [^\n]*\.$",
    )
    .with(START_JOB),
    journal(Systemd, SystemdUnitFailed, r"Failed to (?:start|mount|listen on|activate swap|set up automount) [^\n:]*\.$")
        .with(START_JOB),
    // systemd src/oom/oomd-manager.c
    journal(SystemdOomd, SystemdOomdKill, r"(?:Killed|Marked) /[^\n]*? due to memory pressure for ")
        .with(&[("reason", "pressure")]),
    journal(SystemdOomd, SystemdOomdKill, r"(?:Killed|Marked) /[^\n]*? due to memory used ")
        .with(&[("reason", "swap")]),
    // earlyoom kill.c
    journal(Earlyoom, EarlyoomKill, r"killing process \d+ [^\n]* with signal (?:15|SIGTERM)\b").with(SIGTERM),
    journal(Earlyoom, EarlyoomKill, r"killing process \d+ [^\n]* with signal (?:9|SIGKILL)\b").with(SIGKILL),
    journal(Earlyoom, EarlyoomKill, r"sending SIGTERM to process ").with(SIGTERM),
    journal(Earlyoom, EarlyoomKill, r"sending SIGKILL to process ").with(SIGKILL),
    journal(Earlyoom, EarlyoomKill, r"Killing process '[^\n]*' with signal (?:15|SIGTERM)\b").with(SIGTERM),
    journal(Earlyoom, EarlyoomKill, r"Killing process '[^\n]*' with signal (?:9|SIGKILL)\b").with(SIGKILL),
    journal(Earlyoom, EarlyoomKill, r"escalating to SIGKILL").with(SIGKILL),
    // tailscale net/dnsfallback, wgengine/userspace.go
    journal(Tailscaled, TailscaleDnsFailure, r#"{GO}bootstrapDNS\("[^"]*", ?"[^"]*"\) for "(?P<target>controlplane|log|login)\.[^"]*" error:"#),
    journal(Tailscaled, TailscaleDnsFailure, r#"{GO}bootstrapDNS\("[^"]*", ?"[^"]*"\) for "[^"]*" error:"#)
        .with(&[("target", "other")]),
    journal(Tailscaled, TailscaleLinkChange, r"{GO}LinkChange: (?:major|all links down)"),
    // A script's shell: bash, dash, busybox, coreutils.
    journal(Script, SysfsWriteIoError, r"{SHELL}(?:echo|printf): (?:(?:echo|printf): )?(?:I/O error|write error: Input/output error)$"),
    journal(Script, SysfsWriteIoError, r"{SHELL}(?:\w+: )?(?:write error: |'?)/sys/[^\s:']+'?: (?:Input/output error|I/O error)$"),
];

const START_JOB: &[(&str, &str)] = &[("phase", "start_job")];
const SIGTERM: &[(&str, &str)] = &[("phase", "sigterm"), ("signal", "SIGTERM")];
const SIGKILL: &[(&str, &str)] = &[("phase", "sigkill"), ("signal", "SIGKILL")];

//! CPUs, tasks and workers that make no progress.

use crate::Kind::{HardLockup, HungTask, RcuStall, SoftLockup, WorkqueueLockup};
use crate::pattern::{Pattern, kernel};

pub(crate) const PATTERNS: &[Pattern] = &[
    // kernel/rcu/tree_stall.h, tree_exp.h, tasks.h
    kernel(RcuStall, r"(?:rcu: )?INFO: (?P<flavor>rcu_\w+) self-detected stall on ").with(&[("self", "true")]),
    kernel(RcuStall, r"(?:rcu: )?INFO: (?P<flavor>rcu_\w+) detected (?:expedited )?stalls? on ")
        .with(&[("self", "false")]),
    // kernel/watchdog.c
    kernel(
        SoftLockup,
        r"(?:NMI watchdog: |watchdog: )?BUG: soft lockup (?:- CPU#\d+ stuck for \d+s!|detected on CPU#\d+!)",
    ),
    kernel(HardLockup, r"(?:NMI watchdog: |watchdog: )?(?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu ?\d+"),
    // arch/powerpc/kernel/watchdog.c
    kernel(
        HardLockup,
        r"(?:watchdog: |Watchdog )CPU[ :]?\d+ (?:self-detected hard LOCKUP @|detected [Hh]ard LOCKUP (?:on )?other CPU|Hard LOCKUP)",
    ),
    // kernel/hung_task.c; since 6.16 it may say what the task waits for.
    kernel(HungTask, r"INFO: task {COMM}:\d+ blocked (?:in I/O wait )?for more than \d+ seconds\."),
    // kernel/workqueue.c; the rest may be a record of its own.
    kernel(WorkqueueLockup, r"BUG: workqueue lockup - pool(?: |$)"),
];

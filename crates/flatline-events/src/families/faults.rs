//! Crashes of user space and of the kernel.

use crate::Kind::{KernelBugOrOops, KernelPanic, KernelWarning, Segfault};
use crate::pattern::{Pattern, kernel};

pub(crate) const PATTERNS: &[Pattern] = &[
    // arch/x86/mm/fault.c show_signal_msg
    kernel(
        Segfault,
        r"{COMM}\[\d+\]: segfault at [0-9a-f]+ r?ip[ :][0-9a-f]+ r?sp[ :][0-9a-f]+ error[ :]\d+(?: in [^\n]*\[[0-9a-f,+]+\])?(?: likely on CPU \d+ \(core \d+, socket \d+\))?\s*$",
    ),
    // arch/powerpc/kernel/traps.c show_signal_msg
    kernel(Segfault, r"{COMM}\[\d+\]: segfault \(11\) at [0-9a-f]+ nip "),
    // kernel/panic.c. The reason is a class: the message itself may hold addresses and names.
    kernel(
        KernelPanic,
        r"Kernel panic - not syncing: (?P<reason>Attempted to kill init|Attempted to kill the idle task|Fatal exception in interrupt|Fatal exception|Fatal hardware error|Fatal machine check|Hard LOCKUP|NMI|Out of memory|RCU Stall|System is deadlocked on memory|VFS: Unable to mount root|hung_task|softlockup|stack-protector|sysrq triggered crash|watchdog pretimeout event)",
    ),
    kernel(KernelPanic, r"Kernel panic - not syncing: ").with(&[("reason", "other")]),
    // lib/bug.c, arch/*/kernel/traps.c
    kernel(KernelBugOrOops, r"kernel BUG at [^\s:]+:\d+!").with(CAUSE),
    // arch/x86/mm/fault.c, arch/x86/kernel/dumpstack.c; arch/powerpc/mm/fault.c
    kernel(
        KernelBugOrOops,
        r"BUG: (?:[Uu]nable to handle (?:page fault|kernel )|[Kk]ernel NULL pointer dereference(?:,| on | at )|(?:TASK |IRQ |DF |NMI )?stack guard page was hit at )",
    )
    .with(CAUSE),
    // arch/arm, arm64, loongarch, mips, riscv, s390 mm/fault.c
    kernel(
        KernelBugOrOops,
        r"(?:CPU \d+ )?Unable to handle kernel (?:paging request|NULL pointer dereference|pointer dereference|access to user memory|read from unreadable|write to read-only|execut\w* |access |data |instruction )",
    )
    .with(CAUSE),
    // The first line of die(): x86 `<what>: <error code> [#n]`, arm and arm64 `Internal error: ... [#n]`,
    // powerpc and riscv `Oops ... [#n]`, mips `...[#n]:`, s390 `<what>: <code> ilc:<n> [#n]`. After the running
    // number come configuration words only, which keeps out a process that calls itself `Oops [#1]`.
    kernel(
        KernelBugOrOops,
        r"(?:Oops|Internal error|[Kk]ernel BUG|Kernel bug detected|Kernel unaligned|Kernel ade access|general protection fault|divide error|invalid opcode|stack segment|double fault|int3|bounds|alignment (?:check|exception)|simd exception|debug|overflow|invalid TSS|segment not present|device not available|control protection fault|unexpected #\w+|bad stack|illegal operation|operation exception|privileged operation|addressing exception|specification exception|data exception|protection exception|translation exception|monitor event|fixpoint divide exception|SError|synchronous external abort|Machine check|Fault|Reserved instruction|Break instruction|invalid operand)[^\n\[]*\[#\d+\](?::| *[A-Z][A-Z0-9_=]*(?:\([a-z]+\))?)*\s*$",
    )
    .with(&[("phase", "die")]),
    // arch/alpha, arch/sparc: who it was comes first.
    kernel(KernelBugOrOops, r"{COMM}\(\d+\): (?:Oops|Kernel bad sw trap)[^\n\[]*\[#\d+\]$").with(&[("phase", "die")]),
    // mm/kasan, mm/kfence, kernel/kcsan, mm/kmsan, mm/slub.c, kernel/sched, kernel/locking, kernel/workqueue.c
    kernel(
        KernelBugOrOops,
        r"BUG: (?:(?:KASAN|KFENCE|KMSAN|KCSAN): [\w: -]+ (?:in|on|at) |scheduling while atomic: |sleeping function called from |spinlock (?:bad magic|already unlocked|wrong owner|wrong CPU|recursion|cpu recursion|trylock failure|lockup)|rwlock (?:bad magic|wrong CPU|recursion|trylock failure|lockup|cpu recursion)|using (?:smp_processor_id|__this_cpu_\w+)\(\) in preemptible |assuming (?:atomic|non migratable) context|workqueue leaked |[Ii]nvalid wait context)",
    )
    .with(&[("phase", "report")]),
    kernel(KernelBugOrOops, r"BUG [\w.:-]+ ?(?:\([^()]*\))?: (?:Redzone|Right Redzone|Left Redzone|Poison|Object|Freelist|Freechain|Padding|Slab|Wrong object|Objects remaining|Invalid)")
        .with(&[("phase", "report")]),
    // kernel/panic.c __warn; since 6.17 the location comes first, after the condition if it is known.
    kernel(KernelWarning, r"WARNING: CPU: \d+ PID: \d+ at (?P<file>[\w./+-]+):\d+"),
    kernel(KernelWarning, r"WARNING: CPU: \d+ PID: \d+ at "),
    kernel(KernelWarning, r"WARNING: (?:\[[^\n]+?\] )?(?P<file>[\w./+-]+):\d+ at {SYMBOL}(?:, CPU#\d+: |$)"),
    kernel(KernelWarning, r"WARNING: at {SYMBOL}, CPU#\d+: "),
    kernel(KernelWarning, r"WARNING: at (?P<file>[\w./+-]+):\d+ "),
    // kernel/locking/lockdep.c
    kernel(
        KernelWarning,
        r"WARNING: (?:possible (?:circular locking|recursive locking|irq lock inversion|bad bit-dependency)|possible \w+ |suspicious RCU usage|inconsistent lock state|bad unlock balance detected|bad contention detected|held lock freed|lock held (?:when|at)|(?:HARD|SOFT)IRQ-\w+ -> |RECLAIM_FS-\w+ -> |Nested lock was not taken)",
    )
    .with(&[("file", "kernel/locking/lockdep.c")]),
];

const CAUSE: &[(&str, &str)] = &[("phase", "cause")];

//! Memory that ran out or went bad.

use crate::Kind::{BadPageState, OomInvoked, OomKillGlobal, OomKillMemcg, PageAllocationFailure};
use crate::pattern::{Pattern, kernel};

pub(crate) const PATTERNS: &[Pattern] = &[
    // mm/oom_kill.c dump_header. Up to its end: an input device names itself after `input: `, and more follows.
    kernel(OomInvoked, r"{COMM} invoked oom-killer: gfp_mask=0x[0-9a-f]+[^\n]*, +order=-?\d+, oom\w*adj=-?\d+(?:, oom_score_adj=-?\d+)?$"),
    // mm/oom_kill.c __oom_kill_process (5.0 and later) and oom_kill_process (before). What follows the process name
    // is required: a firewall's log prefix can fake the start.
    kernel(
        OomKillGlobal,
        r"Out of memory(?: \([\w .-]+\))?: [Kk]ill(?:ed)? process \d+,? \({COMM}\),? (?:UID:? \d+,? )?(?:total-vm:\d+kB|score \d+ or (?:sacrifice|a) child)",
    )
    .with(&[("scope", "global")]),
    kernel(
        OomKillMemcg,
        r"Memory cgroup out of memory(?: \([\w .-]+\))?: [Kk]ill(?:ed)? process \d+,? \({COMM}\),? (?:UID:? \d+,? )?(?:total-vm:\d+kB|score \d+ or (?:sacrifice|a) child)",
    )
    .with(&[("scope", "memcg")]),
    // mm/page_alloc.c warn_alloc
    kernel(PageAllocationFailure, r"{COMM}: page allocation failure[:.] order:(?P<order>\d{1,2}), mode:0x[0-9a-f]+(?:\([\w|]+\))?(?:, ?nodemask=\S+)?$"),
    // mm/page_alloc.c bad_page, mm/memory.c print_bad_pte, mm/filemap.c, kernel/fork.c check_mm
    kernel(BadPageState, r"BUG: Bad page state in process ").with(&[("subtype", "page_state")]),
    kernel(BadPageState, r"BUG: Bad page map in process ").with(&[("subtype", "page_map")]),
    kernel(BadPageState, r"BUG: Bad page cache in process ").with(&[("subtype", "page_cache")]),
    kernel(BadPageState, r"BUG: Bad rss-counter state mm:").with(&[("subtype", "rss_counter")]),
];

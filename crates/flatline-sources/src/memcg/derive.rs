//! Verdicts over limits: pure functions, no files.

use crate::value::Limit;

/// What the host adds to the limits of a cgroup, from `<procfs>/meminfo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Host {
    /// `MemTotal` in bytes.
    pub memory: Option<u64>,
    /// `SwapTotal` in bytes.
    pub swap: Option<u64>,
}

/// What holds for a cgroup by its own limits and those of every cgroup above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effective {
    /// The smallest `memory.max` along the path; `None` when one of them could not be read.
    pub max: Option<Limit>,
    /// Whether `memory.swap.max` is 0 somewhere along the path; `None` when one could not be read.
    pub swap_forbidden: Option<bool>,
}

impl Effective {
    /// What holds for the root cgroup: nothing.
    pub const ROOT: Self = Self { max: Some(Limit::Max), swap_forbidden: Some(false) };

    /// What holds one level down. The limits are the child's own: [`Limit::Max`] where the file does not exist
    /// (controller not enabled there), `None` where it could not be read.
    #[must_use]
    pub fn child(self, max: Option<Limit>, swap_max: Option<Limit>) -> Self {
        let own_forbids = swap_max.map(|limit| limit == Limit::Bytes(0));
        let swap_forbidden = match (self.swap_forbidden, own_forbids) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        Self { max: self.max.zip(max).map(|(above, own)| smaller(above, own)), swap_forbidden }
    }
}

fn smaller(a: Limit, b: Limit) -> Limit {
    match (a, b) {
        (Limit::Bytes(a), Limit::Bytes(b)) => Limit::Bytes(a.min(b)),
        (Limit::Max, other) | (other, Limit::Max) => other,
    }
}

/// Whether the limits alone allow a memcg livelock: a hog that settles above `high` is throttled for ever,
/// everybody beside it too, and no OOM kill ends it.
///
/// True when `high` is set, lies below the point where something else would kill first (the smallest
/// `memory.max` along the path, or the host's memory), and nothing can be swapped (the host has no swap, or
/// `memory.swap.max` is 0 somewhere along the path). No `memory.max` at all is the widest band. `None` when it
/// depends on something that could not be read.
#[must_use]
pub fn livelock_band(high: Limit, effective: Effective, host: Host) -> Option<bool> {
    let Limit::Bytes(high) = high else { return Some(false) };
    if host.memory.is_some_and(|memory| high >= memory) {
        return Some(false);
    }
    if effective.max?.bytes().is_some_and(|max| high >= max) {
        return Some(false);
    }
    match (host.swap, effective.swap_forbidden) {
        (Some(0), _) | (_, Some(true)) => Some(true),
        (Some(_), Some(false)) => Some(false),
        _ => None,
    }
}

/// Whether a cgroup, by its path, is one in which people's or tenants' work runs, so that one without a limit
/// can take the host down:
///
/// - users: `user-<uid>.slice`, `user@<uid>.service`
/// - containers by name: `docker-*.scope`, `nerdctl-*.scope`, `cri-containerd-*.scope`, `crio-*.scope`,
///   `libpod-*` and `lxc.payload.*`; not the monitors beside them (`libpod-conmon-*`, `crio-conmon-*`)
/// - pods: `kubepods`, `kubepods.slice`, `kubepods-*.slice`
/// - machines by name: `machine-*.scope` (`machine-qemu\x2d1\x2dvm.scope`)
/// - anything directly below `docker`, `lxc`, `lxc.payload`, `machine.slice`, `qemu.slice` (Proxmox) or `ecs`
#[must_use]
pub fn is_work(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let parent = parts.next().unwrap_or_default();
    if name.is_empty() || name.starts_with("libpod-conmon-") || name.starts_with("crio-conmon-") {
        return false;
    }
    const NAMED: [(&str, &str); 11] = [
        ("user-", ".slice"),
        ("user@", ".service"),
        ("docker-", ".scope"),
        ("nerdctl-", ".scope"),
        ("cri-containerd-", ".scope"),
        ("crio-", ".scope"),
        ("libpod-", ""),
        ("lxc.payload.", ""),
        ("kubepods-", ".slice"),
        ("kubepods.slice", ""),
        ("machine-", ".scope"),
    ];
    const BELOW: [&str; 6] = ["docker", "lxc", "lxc.payload", "machine.slice", "qemu.slice", "ecs"];
    name == "kubepods"
        || NAMED.iter().any(|(start, end)| name.starts_with(start) && name.ends_with(end))
        || BELOW.contains(&parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Limit::{Bytes, Max};

    const NO_SWAP: Host = Host { memory: Some(1000), swap: Some(0) };
    const SWAP: Host = Host { memory: Some(1000), swap: Some(500) };

    fn effective(path: &[(Limit, Limit)]) -> Effective {
        path.iter().fold(Effective::ROOT, |above, (max, swap)| above.child(Some(*max), Some(*swap)))
    }

    #[test]
    fn high_below_max_without_swap_is_the_band() {
        assert_eq!(livelock_band(Bytes(200), effective(&[(Bytes(400), Bytes(0))]), SWAP), Some(true));
        assert_eq!(livelock_band(Bytes(200), effective(&[(Bytes(400), Max)]), NO_SWAP), Some(true));
        assert_eq!(livelock_band(Bytes(200), effective(&[(Max, Bytes(0))]), SWAP), Some(true));
    }

    #[test]
    fn swap_makes_the_band_harmless() {
        assert_eq!(livelock_band(Bytes(200), effective(&[(Bytes(400), Max)]), SWAP), Some(false));
        assert_eq!(livelock_band(Bytes(200), effective(&[(Bytes(400), Bytes(1))]), SWAP), Some(false));
    }

    #[test]
    fn no_band_where_something_kills_first() {
        assert_eq!(livelock_band(Max, effective(&[(Bytes(400), Bytes(0))]), NO_SWAP), Some(false));
        assert_eq!(livelock_band(Bytes(400), effective(&[(Bytes(400), Bytes(0))]), NO_SWAP), Some(false));
        let parent_kills = effective(&[(Bytes(150), Max), (Bytes(400), Bytes(0))]);
        assert_eq!(livelock_band(Bytes(200), parent_kills, NO_SWAP), Some(false));
        assert_eq!(livelock_band(Bytes(1000), effective(&[(Max, Bytes(0))]), NO_SWAP), Some(false));
    }

    #[test]
    fn a_parent_may_forbid_swap() {
        assert_eq!(livelock_band(Bytes(200), effective(&[(Max, Bytes(0)), (Bytes(400), Max)]), SWAP), Some(true));
    }

    #[test]
    fn unknown_stays_unknown_unless_it_does_not_matter() {
        let blind = Host { memory: Some(1000), swap: None };
        assert_eq!(livelock_band(Bytes(200), effective(&[(Bytes(400), Max)]), blind), None);
        assert_eq!(livelock_band(Bytes(200), effective(&[(Bytes(400), Bytes(0))]), blind), Some(true));
        assert_eq!(livelock_band(Bytes(200), Effective::ROOT.child(None, Some(Max)), NO_SWAP), None);
        assert_eq!(livelock_band(Bytes(200), Effective::ROOT.child(Some(Max), None), SWAP), None);
        assert_eq!(livelock_band(Max, Effective::ROOT.child(None, None), blind), Some(false));
    }

    #[test]
    fn work_is_users_containers_and_machines() {
        for work in [
            "/user.slice/user-1000.slice",
            "/user.slice/user-1000.slice/user@1000.service",
            "/system.slice/docker-0123abcd.scope",
            "/docker/0123abcd",
            "/kubepods.slice",
            "/kubepods.slice/kubepods-burstable.slice",
            "/kubepods/besteffort/pod1/cri-containerd-1.scope",
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            "/machine.slice/libpod-1.scope",
            "/lxc/100",
            "/lxc.payload.web",
            "/qemu.slice/100.scope",
        ] {
            assert!(is_work(work), "{work}");
        }
        for other in [
            "/",
            "/user.slice",
            "/machine.slice",
            "/system.slice",
            "/system.slice/docker.service",
            "/system.slice/crio-conmon-1.scope",
            "/machine.slice/libpod-conmon-1.scope",
            "/init.scope",
            "/user.slice/user-1000.slice/session-1.scope",
        ] {
            assert!(!is_work(other), "{other}");
        }
    }
}

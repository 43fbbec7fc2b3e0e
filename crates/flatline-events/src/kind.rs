//! The kinds of event: what each is called in metrics and what it means to an operator.

macro_rules! kinds {
    ($($variant:ident $name:literal $meaning:literal,)+) => {
        /// What a line of a log says has happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $meaning] $variant,)+
        }

        impl Kind {
            /// Every kind, in the order of declaration: `ALL[kind.index()] == kind`.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// The value of the label `kind`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)+
                }
            }

            /// One sentence for the operator.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Kind::$variant => $meaning,)+
                }
            }
        }
    };
}

kinds! {
    AmdgpuRegWaitTimeout "amdgpu_reg_wait_timeout" "The display core waited for a register that never changed.",
    AmdgpuRingTimeout "amdgpu_ring_timeout" "A GPU job hung on a ring.",
    AmdgpuGpuReset "amdgpu_gpu_reset" "The whole GPU is reset and every client loses its context.",
    AmdgpuInitFailure "amdgpu_init_failure" "The card is unusable until a reboot or another driver.",
    AmdgpuSmuMismatch "amdgpu_smu_mismatch" "Firmware and driver speak different interfaces: power and fan control are suspect.",
    AmdgpuFenceOrJobHang "amdgpu_fence_or_job_hang" "A fence, a page flip or the firmware scheduler did not answer.",
    NvidiaXid "nvidia_xid" "The NVIDIA driver reported a GPU error code.",
    I915GpuHang "i915_gpu_hang" "An Intel GPU hung and is reset.",
    IommuInvalidDeviceRequest "iommu_invalid_device_request" "A device issued a request the AMD IOMMU refuses.",
    IommuFault "iommu_fault" "A device accessed memory it may not access.",
    MceHardwareError "mce_hardware_error" "The CPU or the platform reported a hardware error.",
    EdacError "edac_error" "A memory module reported errors.",
    PcieAerError "pcie_aer_error" "A PCIe link or device reported errors.",
    OomInvoked "oom_invoked" "An allocation failed hard enough to start the OOM killer.",
    OomKillGlobal "oom_kill_global" "A process was killed because the host is out of memory.",
    OomKillMemcg "oom_kill_memcg" "A process was killed because its cgroup is at its limit.",
    PageAllocationFailure "page_allocation_failure" "The kernel could not get pages: fragmentation or no reserve.",
    BadPageState "bad_page_state" "Memory management data is corrupt: RAM or a driver.",
    KernelBugOrOops "kernel_bug_or_oops" "The kernel crashed a thread; its state is suspect from now on.",
    KernelPanic "kernel_panic" "The machine stopped.",
    KernelWarning "kernel_warning" "The kernel hit a WARN or a lockdep report.",
    RcuStall "rcu_stall" "A CPU passes no quiescent state; a hang is near.",
    SoftLockup "soft_lockup" "A CPU is stuck in the kernel and schedules nothing.",
    HardLockup "hard_lockup" "A CPU is stuck with interrupts off.",
    HungTask "hung_task" "A task sleeps uninterruptibly for minutes, usually on storage or NFS.",
    WorkqueueLockup "workqueue_lockup" "A pool of kernel workers makes no progress.",
    CifsNotResponding "cifs_not_responding" "An SMB server is silent.",
    CifsReconnectFailed "cifs_reconnect_failed" "An SMB share could not be reconnected.",
    NfsNotResponding "nfs_not_responding" "An NFS server is silent.",
    NfsOk "nfs_ok" "An NFS server answers again.",
    BlockIoError "block_io_error" "A request failed at the block layer.",
    AtaError "ata_error" "A SATA link or drive reported an error.",
    NvmeTimeoutOrReset "nvme_timeout_or_reset" "An NVMe command timed out, or its controller was reset or removed.",
    ScsiErrorOrAbort "scsi_error_or_abort" "A SCSI command failed or was aborted.",
    FilesystemError "filesystem_error" "A file system found its metadata or journal corrupt.",
    FilesystemReadonly "filesystem_readonly" "A file system went read-only because of an error.",
    MdRaidFailure "md_raid_failure" "An MD array lost a member.",
    LinkDown "link_down" "A network interface lost its carrier.",
    LinkUp "link_up" "A network interface has a carrier again.",
    NetdevWatchdogTimeout "netdev_watchdog_timeout" "The transmit queue of a network interface hung.",
    ThermalThrottle "thermal_throttle" "A CPU is throttled by heat, or a critical temperature was reached.",
    WatchdogNotStopped "watchdog_not_stopped" "A watchdog device was closed while armed: a reset follows.",
    WatchdogHardResetHint "watchdog_hard_reset_hint" "Evidence of a watchdog or hardware reset.",
    UsbDisconnect "usb_disconnect" "A USB device left.",
    Segfault "segfault" "A user-space process crashed.",
    ClocksourceUnstable "clocksource_unstable" "The TSC was dropped as clock source: reading the time is slow.",
    EarlyoomKill "earlyoom_kill" "earlyoom killed a process.",
    SystemdOomdKill "systemd_oomd_kill" "systemd-oomd killed a cgroup for pressure or swap use.",
    SystemdUnitFailed "systemd_unit_failed" "A systemd unit failed.",
    SystemdUnitOom "systemd_unit_oom" "A systemd unit failed because of the OOM killer.",
    JournaldWatchdogKilled "journald_watchdog_killed" "journald stalled and was killed: logs are lost, I/O is stuck.",
    TailscaleDnsFailure "tailscale_dns_failure" "Tailscale cannot resolve its control plane.",
    TailscaleLinkChange "tailscale_link_change" "Tailscale rebinds because the host's links changed.",
    SysfsWriteIoError "sysfs_write_io_error" "A sysfs knob refused a write.",
}

impl Kind {
    /// The position in [`Kind::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the kernel says it; the others are said by programs, in the journal.
    #[must_use]
    pub const fn is_kernel(self) -> bool {
        (self as usize) < (Self::EarlyoomKill as usize)
    }

    /// Finds a kind by [`Kind::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use std::collections::HashSet;

    #[test]
    fn kernel_and_programs_are_told_apart() {
        assert!(Kind::AmdgpuRegWaitTimeout.is_kernel() && Kind::ClocksourceUnstable.is_kernel());
        assert!(!Kind::EarlyoomKill.is_kernel() && !Kind::SysfsWriteIoError.is_kernel());
        assert_eq!(Kind::ALL.iter().filter(|kind| !kind.is_kernel()).count(), 8);
    }

    #[test]
    fn names_are_unique_and_found_again() {
        let names: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind.index(), index);
            assert_eq!(Kind::from_name(kind.name()), Some(*kind));
        }
    }
}

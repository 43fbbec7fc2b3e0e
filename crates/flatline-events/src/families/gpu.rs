//! Graphics cards.

use crate::Kind::{
    AmdgpuFenceOrJobHang, AmdgpuGpuReset, AmdgpuInitFailure, AmdgpuRegWaitTimeout, AmdgpuRingTimeout,
    AmdgpuSmuMismatch, I915GpuHang, NvidiaXid,
};
use crate::pattern::{Pattern, kernel};

pub(crate) const PATTERNS: &[Pattern] = &[
    // drivers/gpu/drm/amd/display/dc/dc_helper.c generic_reg_wait
    kernel(AmdgpuRegWaitTimeout, r"{AMDGPU}REG_WAIT timeout (?:\d+us \* \d+ tries|\.\.\.)(?:(?: -)? (?P<func>\w+))?"),
    // drivers/gpu/drm/amd/amdgpu/amdgpu_job.c amdgpu_job_timedout; the ring's family without its instance.
    kernel(AmdgpuRingTimeout, r"{AMDGPU}ring (?P<ring>[a-z]+(?:_[a-z]+)*)[\w.]* timeout, but soft recovered")
        .with(&[("soft", "true")]),
    kernel(AmdgpuRingTimeout, r"{AMDGPU}ring (?P<ring>[a-z]+(?:_[a-z]+)*)[\w.]* timeout, (?:last )?signaled seq=\d+")
        .with(&[("soft", "false")]),
    // drivers/gpu/drm/amd/amdgpu/amdgpu_device.c amdgpu_device_gpu_recover
    kernel(AmdgpuGpuReset, r"{AMDGPU}GPU reset begin!").with(&[("phase", "begin")]),
    kernel(AmdgpuGpuReset, r"{AMDGPU}GPU reset\(\d+\) succeeded!").with(&[("phase", "succeeded")]),
    kernel(AmdgpuGpuReset, r"{AMDGPU}GPU reset\(\d+\) failed").with(&[("phase", "failed")]),
    kernel(AmdgpuGpuReset, r"{AMDGPU}GPU reset end with ret = -?\d+").with(&[("phase", "failed")]),
    // drivers/gpu/drm/amd/amdgpu/amdgpu_kms.c, drivers/base/dd.c
    kernel(AmdgpuInitFailure, r"{AMDGPU}Fatal error during GPU init").with(&[("phase", "fatal")]),
    kernel(AmdgpuInitFailure, r"amdgpu: probe of (?P<device>{BDF}) failed with error (?P<errno>-?\d+)").with(PROBE),
    kernel(AmdgpuInitFailure, r"amdgpu (?P<device>{BDF}): probe with driver amdgpu failed with error (?P<errno>-?\d+)")
        .with(PROBE),
    // drivers/gpu/drm/amd/pm/swsmu
    kernel(AmdgpuSmuMismatch, r"{AMDGPU}SMU driver if version not matched"),
    // drivers/gpu/drm/amd/display/amdgpu_dm/amdgpu_dm.c
    kernel(AmdgpuFenceOrJobHang, r"{AMDGPU}Waiting for fences timed out").with(&[("subtype", "fence")]),
    // drivers/gpu/drm/drm_atomic_helper.c, which names the device since 5.x: another driver's is not ours.
    kernel(
        AmdgpuFenceOrJobHang,
        r"{AMDGPU}(?:\[(?:CRTC|CONNECTOR|PLANE):\d+:[\w -]+\] )?(?:hw_done or )?flip_done timed out",
    )
    .with(&[("subtype", "flip")]),
    // drivers/gpu/drm/amd/amdgpu/mes_v1*.c
    kernel(AmdgpuFenceOrJobHang, r"{AMDGPU}MES ?(?:\(\d+\) ?)?failed to respon(?:d to|se) msg=")
        .with(&[("subtype", "mes")]),
    // drivers/gpu/drm/amd/amdgpu/amdgpu_ib.c, amdgpu_fence.c, amdgpu_cs.c
    kernel(AmdgpuFenceOrJobHang, r"{AMDGPU}IB test failed on ").with(&[("subtype", "ib_test")]),
    kernel(AmdgpuFenceOrJobHang, r"{AMDGPU}Fence fallback timer expired on ring ")
        .with(&[("subtype", "fence_fallback")]),
    kernel(AmdgpuFenceOrJobHang, r"{AMDGPU}Failed to initialize parser -\d+!").with(&[("subtype", "parser")]),
    // NVIDIA's driver, closed and open; MIG instances add `GPU-I:<n>`.
    kernel(
        NvidiaXid,
        r"NVRM: Xid \((?:PCI:)?(?P<device>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.\d)?)(?: GPU-[\w:-]+)?\): (?P<xid>\d{1,4})(?:,|$)",
    ),
    kernel(NvidiaXid, r"NVRM: The NVIDIA GPU (?P<device>{BDF})\s[^\x00]*fallen off the bus and is not responding")
        .with(&[("phase", "no_xid")]),
    kernel(NvidiaXid, r"NVRM: GPU (?:at )?(?P<device>{BDF}):?(?: GPU)? has fallen off the bus")
        .with(&[("phase", "no_xid")]),
    // drivers/gpu/drm/i915/i915_gpu_error.c
    kernel(
        I915GpuHang,
        r"(?:i915 (?P<device>{BDF}): )?(?:\[drm\] )?(?:GT\d+: )?GPU HANG: ecode \d+:[0-9a-fx]+(?::[0-9a-fx]+)?(?:, in [^\n]*?)?, (?:reason: )?[Hh]ang on (?P<engine>rcs|bcs|vcs|vecs|ccs|gsc)\d",
    ),
    kernel(I915GpuHang, r"(?:i915 (?P<device>{BDF}): )?(?:\[drm\] )?(?:GT\d+: )?GPU HANG: ecode \d+:"),
];

const PROBE: &[(&str, &str)] = &[("phase", "probe")];

//! What the kernel must offer and what it offers beyond: asked once, before anything starts.

use crate::engine::EngineError;
use io_uring::{IoUring, Probe, opcode};
use std::io;

/// Which newer operations the kernel has; each has a fallback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    /// Socket options on direct descriptors (6.7): an abort can reset.
    pub(super) socket_options: bool,
    /// Sockets made in the table, with their options (6.7): a connect needs no other call.
    pub(super) sockets: bool,
    /// Source addresses for them (6.11).
    pub(super) bind: bool,
}

/// Checks that the kernel (6.1 or newer) has what the engine needs.
///
/// # Errors
/// [`EngineError::Unsupported`] or [`EngineError::Os`] with the remedy.
pub(super) fn check() -> Result<Features, EngineError> {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(4)
        .map_err(explain_setup)?;
    enter(&mut ring)?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|source| EngineError::Os {
            operation: "cannot ask io_uring what it has (io_uring_register)".into(),
            source,
            remedy: "a container profile that allows io_uring_register, or --engine tokio".into(),
        })?;
    let needed = [
        ("accept", opcode::AcceptMulti::CODE),
        ("receive", opcode::RecvMulti::CODE),
        ("send", opcode::Send::CODE),
        ("sendmsg", opcode::SendMsg::CODE),
        ("connect", opcode::Connect::CODE),
        ("shutdown", opcode::Shutdown::CODE),
        ("msg_ring", opcode::MsgRingData::CODE),
    ];
    if let Some((name, _)) = needed.iter().find(|(_, code)| !probe.is_supported(*code)) {
        return Err(too_old(&format!("io_uring has no {name} here")));
    }
    // IORING_OP_SENDMSG_ZC came with 6.1, as did DEFER_TASKRUN; IORING_OP_FUTEX_WAIT came with
    // 6.7, as did socket options. The probe lists operations, not sub-commands.
    let socket_options = probe.is_supported(opcode::FutexWait::CODE);
    Ok(Features {
        socket_options,
        sockets: socket_options && probe.is_supported(opcode::Socket::CODE),
        bind: probe.is_supported(opcode::Bind::CODE),
    })
}

/// Enters once: a filter may allow the set-up of a ring and forbid its use.
fn enter(ring: &mut IoUring) -> Result<(), EngineError> {
    let nothing = opcode::Nop::new().build();
    // SAFETY: the entry points to no memory.
    let pushed = unsafe { ring.submission().push(&nothing) };
    let entered = pushed.map_or(Ok(0), |()| ring.submit_and_wait(1));
    entered.map(drop).map_err(|source| EngineError::Os {
        operation: "cannot use io_uring (io_uring_enter)".into(),
        source,
        remedy: "a container profile that allows io_uring_enter, or --engine tokio".into(),
    })
}

/// Says why a ring cannot be set up and what to do.
pub(super) fn explain_setup(source: io::Error) -> EngineError {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => forbidden(),
        Some(libc::ENOSYS) => EngineError::Unsupported {
            what: "this kernel, or a seccomp filter around this process, has no io_uring".into(),
            remedy: "--engine tokio, or a container profile that allows io_uring_setup".into(),
        },
        Some(libc::EINVAL) => too_old("io_uring lacks IORING_SETUP_DEFER_TASKRUN"),
        Some(libc::ENOMEM) => EngineError::Os {
            operation: "cannot set up io_uring".into(),
            source,
            remedy:
                "ulimit -l 65536 (0.9 MiB of locked memory per core and table), or fewer --cores"
                    .into(),
        },
        _ => EngineError::Os {
            operation: "cannot set up io_uring".into(),
            source,
            remedy: "--engine tokio".into(),
        },
    }
}

fn forbidden() -> EngineError {
    let path = "/proc/sys/kernel/io_uring_disabled";
    let value = std::fs::read_to_string(path).unwrap_or_default();
    match value.trim() {
        "1" | "2" => EngineError::Unsupported {
            what: format!(
                "io_uring is disabled (kernel.io_uring_disabled={})",
                value.trim()
            ),
            remedy: "sysctl -w kernel.io_uring_disabled=0, or --engine tokio".into(),
        },
        _ => EngineError::Unsupported {
            what: "io_uring is forbidden here (seccomp or a security module)".into(),
            remedy: "a container profile that allows io_uring_setup, or --engine tokio".into(),
        },
    }
}

fn too_old(what: &str) -> EngineError {
    EngineError::Unsupported {
        what: format!("{what}: Linux 6.1 or newer is needed"),
        remedy: "a newer kernel, or --engine tokio".into(),
    }
}

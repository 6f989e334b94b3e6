//! What systemd is told of a service (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET`
//! names.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, io};

/// Tells it, if anybody is to be told. A service manager that does not hear is no fault of ours.
pub(in crate::cli) fn tell(text: &str) {
    let _ = send(text);
}

/// Whether this is the main process of a service (systemd.exec(5), `SYSTEMD_EXEC_PID`) whose
/// manager cannot be told that it is another one.
pub(super) fn would_not_hear() -> bool {
    let main = env::var("SYSTEMD_EXEC_PID").ok();
    let is_main = main.is_some_and(|pid| pid == std::process::id().to_string());
    is_main && env::var_os("NOTIFY_SOCKET").is_none()
}

fn send(text: &str) -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

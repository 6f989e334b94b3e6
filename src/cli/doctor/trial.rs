//! Tries what no file of /proc tells: whether the ring engine starts here, whether a connection is
//! tracked.

use crate::cli::child::Server;
use crate::cli::{Failure, host};
use crate::tune::{EngineTrial, Holder, Workload};
use std::net::{TcpListener, TcpStream};

/// A connection over loopback, for as long as it is kept: what tracks connections has one to track.
pub(super) fn connected() -> Option<(TcpListener, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    let stream = TcpStream::connect(listener.local_addr().ok()?).ok()?;
    Some((listener, stream))
}

/// Starts a server on the cores for each end that is to be here, all at once, and ends them.
///
/// A child does it: what a security module kills must not be the audit. The load client asks the
/// kernel for the same rings.
pub(super) fn of_engine(workload: &Workload, cpus: &[usize]) -> EngineTrial {
    match workload.holder {
        Holder::Ring => {}
        Holder::Tokio => return EngineTrial::NotMade,
    }
    let cpus = host::listed(cpus);
    let mut servers = Vec::new();
    for _ in 0..workload.side.ends() {
        match Server::start("ring", &cpus, &[]) {
            Ok(server) => servers.push(server),
            Err(Failure::Os(error)) => {
                return EngineTrial::Unknown(format!("cannot start a child to try it: {error}"));
            }
            Err(failure) => return refused(&failure.to_string()),
        }
    }
    EngineTrial::Runs
}

/// What the child said, apart from what it advised.
fn refused(said: &str) -> EngineTrial {
    let said = said.rsplit_once("did not start: ").map_or(said, |it| it.1);
    let (why, remedy) = said.rsplit_once("; try: ").unwrap_or((said, ""));
    let or = |text: &str, otherwise: &str| match text {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    EngineTrial::Refused {
        why: or(why, "the engine ends without a word when it starts"),
        remedy: or(remedy, "--engine tokio"),
    }
}

//! Sockets that go from one process to the next while both run: an upgrade.

use socket2::{SockRef, Type};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The sockets of one place, for another process or from it.
#[derive(Debug)]
pub struct GivenSockets {
    /// The place as it was asked for, port 0 included.
    pub place: String,
    /// One of each core, or one that the cores share.
    pub sockets: Vec<OwnedFd>,
}

/// Whether two processes accept at the same sockets at the moment. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct InHandover(Arc<AtomicU8>);

/// Only this process has the sockets.
const ALONE: u8 = 0;
/// Two have them, and the one that gives can take them back.
const OFFERED: u8 = 1;
/// Two have them, and they are the one's that takes.
const DECIDED: u8 = 2;

impl InHandover {
    /// Another process has the sockets from now on, too.
    pub fn begin(&self) {
        self.0.store(OFFERED, Ordering::Release);
    }

    /// The process that takes is the one to go on.
    pub fn decide(&self) {
        self.0.store(DECIDED, Ordering::Release);
    }

    /// The other process has them no longer.
    pub fn end(&self) {
        self.0.store(ALONE, Ordering::Release);
    }

    /// Whether another process has them.
    pub(in crate::engine) fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire) != ALONE
    }

    /// Whether it is open whose they will be.
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == OFFERED
    }
}

impl GivenSockets {
    /// Takes what was given for that place out of all that was, if anything was: of two places that
    /// were asked for in the same words, each is given once.
    pub(super) fn of(place: &str, all: &mut Vec<Self>) -> Vec<OwnedFd> {
        let found = all.iter().position(|it| it.place == place);
        found.map_or_else(Vec::new, |at| all.remove(at).sockets)
    }
}

/// Whether it listens for streams, as what is given has to.
pub(super) fn check(socket: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match socket.r#type()? == Type::STREAM && socket.is_listener()? {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "what was given does not listen",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ListenPlace, Listeners, SocketFile};
    use std::net::{SocketAddr, TcpStream};

    fn place() -> ListenPlace {
        ListenPlace::Address("127.0.0.1:0".parse().unwrap())
    }

    fn address(listeners: &Listeners) -> SocketAddr {
        listeners.addresses()[0]
    }

    #[test]
    fn sockets_that_are_given_are_the_same_and_nobody_who_waits_is_reset() {
        let places = [place(), place()];
        let before = Listeners::open(&places, 2).unwrap();
        let mut given = before.copies().unwrap();
        // Of another place, which is left.
        given.push(GivenSockets {
            place: "127.0.0.1:1".to_owned(),
            sockets: Vec::new(),
        });
        let waiting: Vec<TcpStream> = (0..8)
            .map(|_| TcpStream::connect(address(&before)).unwrap())
            .collect();
        // More cores: theirs are made.
        let after = Listeners::take_over(&places, 3, &mut given).unwrap();
        assert_eq!(after.addresses(), before.addresses());
        assert_eq!(given.len(), 1);
        drop(before);
        let mut found = 0;
        for set in after.into_cores() {
            assert_eq!(set.len(), 2);
            let listener = set[0].tcp().unwrap();
            listener.set_nonblocking(true).unwrap();
            found += std::iter::from_fn(|| listener.accept().ok()).count();
        }
        assert_eq!(found, waiting.len());
    }

    #[test]
    fn a_path_is_not_taken_away_by_one_that_has_it_and_fails() {
        let name = format!("ringstorm-given-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let place = [ListenPlace::Path(path.clone(), 0o600)];
        let mut before = Listeners::open(&place, 1).unwrap();
        let taken = || Listeners::take_over(&place, 1, &mut before.copies().unwrap()).unwrap();
        let mut fails = taken();
        drop(fails.take_files());
        assert!(path.exists());
        let mut after = taken();
        after.handover().decide();
        before.take_files().into_iter().for_each(SocketFile::leave);
        assert!(path.exists());
        drop(after.take_files());
        assert!(!path.exists());
    }

    #[test]
    fn fewer_cores_than_sockets_and_what_does_not_listen_are_refused() {
        let before = Listeners::open(&[place()], 2).unwrap();
        let mut given = before.copies().unwrap();
        let error = Listeners::take_over(&[place()], 1, &mut given).unwrap_err();
        assert!(error.to_string().contains("--cores"), "{error}");
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut given = vec![GivenSockets {
            place: place().to_string(),
            sockets: vec![file.into()],
        }];
        assert!(Listeners::take_over(&[place()], 1, &mut given).is_err());
        let peer = TcpStream::connect(address(&before)).unwrap();
        given = vec![GivenSockets {
            place: place().to_string(),
            sockets: vec![peer.into()],
        }];
        let error = Listeners::take_over(&[place()], 1, &mut given).unwrap_err();
        assert!(error.to_string().contains("does not listen"), "{error}");
    }
}

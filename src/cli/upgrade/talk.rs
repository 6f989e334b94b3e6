//! What the processes of an upgrade say to each other: messages of JSON over a socket of this host,
//! some with descriptors (unix(7), `SOCK_SEQPACKET`, `SCM_RIGHTS`).
//!
//! ```text
//! ringstorm upgrade -> server           Upgrade, then back: Note, Note, Done | Failed
//! new server        -> server that runs Take;  back: Begin, Sockets..., All | Failed
//!                                       Files; back: Closed
//!                                       Ready; back: Yours | Failed
//! ```

use rustix::cmsg_space;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// Which words are spoken: another number for each way that an earlier program cannot understand.
pub(super) const VERSION: u32 = 1;
/// Bytes of a message at most.
const BYTES: usize = 64 * 1024;
/// Descriptors of a message at most; the kernel takes 253 (`SCM_MAX_FD`).
const DESCRIPTORS: usize = 64;

/// What is said.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) enum UpgradeMessage {
    /// Be upgraded, to that program, which has so many milliseconds to get ready.
    Upgrade {
        /// `None` for the path of the program that runs.
        binary: Option<PathBuf>,
        /// Milliseconds.
        within_ms: u64,
    },
    /// What goes on meanwhile.
    Note(String),
    /// That process serves now.
    Done(u32),
    /// Nothing has changed, and why.
    Failed(String),
    /// Give me what you have.
    Take {
        /// [`VERSION`]
        version: u32,
    },
    /// That is the server that runs; its sockets follow.
    Begin {
        /// [`VERSION`]
        version: u32,
        /// Its engine.
        engine: String,
        /// How often it was upgraded.
        upgrades: u64,
    },
    /// Sockets of a place come with this.
    Sockets {
        /// Which one of all places, from 0.
        number: usize,
        /// As it was asked for.
        place: String,
    },
    /// Those were all.
    All,
    /// Close the files that only one process can have.
    Files,
    /// They are closed.
    Closed,
    /// Every core serves.
    Ready,
    /// All is yours: nothing more is accepted here.
    Yours,
}

/// One end of a talk.
#[derive(Debug)]
pub(super) struct Talk(Socket);

/// Where processes of this host are called by that name: the abstract namespace of unix(7), which
/// leaves no file behind.
fn address(name: &str) -> io::Result<SockAddr> {
    SockAddr::unix(format!("\0{name}"))
}

/// Listens by that name.
pub(super) fn listen(name: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.bind(&address(name)?)?;
    socket.listen(16)?;
    Ok(socket)
}

impl Talk {
    /// With whoever listens by that name, if it is a process of this user or of root; root may
    /// ask everyone.
    pub(super) fn to(name: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&address(name)?)?;
        match geteuid().is_root() {
            true => Ok(Self(socket)),
            false => Self::with(socket),
        }
    }

    /// With the other end of that socket, if it is a process of this user or of root.
    pub(super) fn with(socket: Socket) -> io::Result<Self> {
        let user = socket_peercred(&socket)?.uid;
        if user != geteuid() && !user.is_root() {
            let text = format!("the other process is of user {}", user.as_raw());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Self(socket))
    }

    /// The process at the other end.
    pub(super) fn pid(&self) -> io::Result<u32> {
        let pid = socket_peercred(&self.0)?.pid.as_raw_nonzero().get();
        Ok(pid.unsigned_abs())
    }

    /// Says that.
    pub(super) fn say(&self, message: &UpgradeMessage) -> io::Result<()> {
        self.say_with(message, &[])
    }

    /// Says it once for each few of the descriptors, which go with it.
    pub(super) fn say_all(&self, message: &UpgradeMessage, with: &[OwnedFd]) -> io::Result<()> {
        with.chunks(DESCRIPTORS).try_for_each(|some| {
            let some: Vec<BorrowedFd<'_>> = some.iter().map(AsFd::as_fd).collect();
            self.say_with(message, &some)
        })
    }

    fn say_with(&self, message: &UpgradeMessage, with: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !with.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(with));
        }
        let slices = [IoSlice::new(&text)];
        sendmsg(&self.0, &slices, &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// What the other one says next, and the descriptors that come with it; `None` if it is gone.
    pub(super) fn hear(
        &self,
        within: Option<Duration>,
    ) -> io::Result<Option<(UpgradeMessage, Vec<OwnedFd>)>> {
        self.0.set_read_timeout(within)?;
        let mut text = vec![0; BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut text)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let came = match recvmsg(&self.0, &mut slices, &mut beside, flags) {
            Ok(came) => came.bytes,
            // Its end while something of ours was unread.
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        let descriptors = beside.drain().flat_map(|it| match it {
            RecvAncillaryMessage::ScmRights(some) => some.collect(),
            _ => Vec::new(),
        });
        let descriptors = descriptors.collect();
        if came == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(text.get(..came).unwrap_or_default())?;
        Ok(Some((message, descriptors)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn pair() -> (Talk, Talk) {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        (Talk::with(one).unwrap(), Talk::with(other).unwrap())
    }

    #[test]
    fn many_descriptors_go_in_several_messages_and_are_the_same_sockets() {
        let (one, other) = pair();
        let made = || OwnedFd::from(UnixListener::bind_addr(&unnamed()).unwrap());
        let all: Vec<OwnedFd> = (0..DESCRIPTORS + 1).map(|_| made()).collect();
        let place = UpgradeMessage::Sockets {
            number: 0,
            place: "a".to_owned(),
        };
        one.say_all(&place, &all).unwrap();
        one.say(&UpgradeMessage::All).unwrap();
        let mut came = Vec::new();
        loop {
            let (message, some) = other.hear(None).unwrap().unwrap();
            came.extend(some);
            if message == UpgradeMessage::All {
                break;
            }
            assert_eq!(message, place);
        }
        assert_eq!(came.len(), all.len());
        let inode = |it: &OwnedFd| rustix::fs::fstat(it).unwrap().st_ino;
        assert!(all.iter().map(inode).eq(came.iter().map(inode)));
        drop(one);
        assert!(other.hear(None).unwrap().is_none());
    }

    fn unnamed() -> std::os::unix::net::SocketAddr {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("ringstorm-test-{:x}", fastrand::u64(..));
        std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap()
    }

    #[test]
    fn what_is_no_message_is_an_error_and_silence_ends() {
        let (one, other) = pair();
        one.0.send(b"{\"Jump\":3}").unwrap();
        assert!(other.hear(None).is_err());
        let silence = other.hear(Some(Duration::from_millis(1))).unwrap_err();
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
    }
}

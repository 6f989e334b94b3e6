//! A sample of this process's own TCP sockets, as the kernel sees their way to the peer.
//!
//! Direct descriptors of io_uring have no number in the process and no getsockopt of TCP_INFO
//! (io_uring/cmd_net.c takes SOL_SOCKET only). But their ring's fdinfo names them, with the inodes
//! by which socket diagnosis tells which of the host's sockets are this process's.

use super::diagnosis::{AddressFamily, Diagnosis, Question};
use crate::stats::SocketFigures;
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, StateFlags};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// Sockets of a sample.
const SAMPLE_MAX: usize = 1_000;
/// Looks at a ring: while it takes entries the kernel tells nothing of its files.
const LOOKS: u32 = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// This process's sockets, by inode, as far as they were looked for.
#[derive(Debug, Default)]
pub struct Own {
    inodes: BTreeSet<u32>,
}

impl Own {
    /// Looks for those that are there now. A ring's core waits meanwhile: microseconds for each of
    /// its files.
    ///
    /// # Errors
    /// The kernel's: without /proc.
    pub fn find(&mut self) -> io::Result<()> {
        self.inodes.append(&mut inodes()?);
        Ok(())
    }

    /// The kernel's figures of some of the connections to those addresses that were found.
    ///
    /// # Errors
    /// The kernel's: without socket diagnosis, or where a container forbids it.
    pub fn sample(&self, peers: &[SocketAddr]) -> io::Result<Vec<SocketFigures>> {
        let ports: BTreeSet<(AddressFamily, u16)> = peers
            .iter()
            .map(|peer| (AddressFamily::of(*peer), peer.port()))
            .collect();
        let mut sample = Vec::new();
        for (family, peer_port) in ports {
            let question = Question {
                family,
                states: StateFlags::ESTABLISHED | StateFlags::CLOSE_WAIT,
                extensions: ExtensionFlags::INFO,
                peer_port,
            };
            // What is left of an answer stays in its socket.
            Diagnosis::open()?.ask(&question.encoded(), |response| {
                if self.inodes.contains(&response.header.inode) {
                    let figures = response.nlas.iter().find_map(|nla| match nla {
                        Nla::TcpInfo(info) => SocketFigures::parse(info),
                        _ => None,
                    });
                    sample.extend(figures);
                }
                if sample.len() < SAMPLE_MAX {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        }
        Ok(sample)
    }
}

/// Inodes of all sockets of this process.
fn inodes() -> io::Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // One that was closed meanwhile is no socket of ours.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy();
        if target == "anon_inode:[io_uring]" {
            found.extend(of_ring(&entry.file_name().to_string_lossy())?);
        } else {
            found.extend(inode(&target));
        }
    }
    Ok(found)
}

/// Those of a ring's file table.
fn of_ring(number: &str) -> io::Result<Vec<u32>> {
    let path = format!("/proc/self/fdinfo/{number}");
    for _ in 0..LOOKS {
        let text = fs::read_to_string(&path)?;
        // io_uring/fdinfo.c, `__io_uring_show_fdinfo`: only with the ring's lock.
        if let Some((_, files)) = text.split_once("UserFiles:") {
            return Ok(files.lines().filter_map(inode).collect());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(Vec::new())
}

/// Of `socket:[4711]`, at the end of a line.
fn inode(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("socket:[")?;
    rest.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_line_of_a_ring_names_an_inode() {
        assert_eq!(inode("    3: socket:[81234]"), Some(81_234));
        assert_eq!(inode("    4: /dev/null"), None);
        assert_eq!(inode("socket:[x]"), None);
    }

    #[test]
    fn only_connections_to_the_peer_are_sampled() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).expect("a port");
            let peer = listener.local_addr().expect("an address");
            let ends = [(); 3].map(|()| TcpStream::connect(peer).expect("connected"));
            // Its own end of each has another peer.
            let accepted = [(); 3].map(|()| listener.accept().expect("one waits"));
            let mut own = Own::default();
            assert!(own.sample(&[peer]).expect("an answer").is_empty());
            own.find().expect("/proc");
            let sample = own.sample(&[peer]).expect("an answer");
            assert_eq!(sample.len(), 3, "{any}");
            drop((ends, accepted));
        }
    }
}

//! Reads what an engine tells of its process and thread: CPU, memory, descriptors, accept queues.

use crate::limits;
use crate::shard::{Counters, Vitals};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Reads the process's and this thread's figures. Costs a few system calls.
///
/// `accept_queue` is the length and the limit, see [`accept_queue`].
#[must_use]
pub fn read(counters: Counters, accept_queue: (u64, u64)) -> Vitals {
    let process = procfs::process::Process::myself().ok();
    let page = rustix::param::page_size() as u64;
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    Vitals {
        thread_cpu: cpu(ClockId::ThreadCPUTime),
        process_cpu: cpu(ClockId::ProcessCPUTime),
        rss_bytes: stat.map_or(0, |stat| stat.rss * page),
        descriptors: process
            .and_then(|process| process.fd_count().ok())
            .unwrap_or(0) as u64,
        descriptor_limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        accept_queue: accept_queue.0,
        accept_queue_limit: accept_queue.1,
        counters,
    }
}

/// Length and limit of the accept queues of these listeners, summed.
///
/// On a listening socket `TCP_INFO` would give both (net/ipv4/tcp.c, `tcp_get_info`), but has no
/// safe binding. `/proc/net/tcp` lists listening sockets before all others and gives the length as
/// their receive queue (net/ipv4/tcp_ipv4.c, `get_tcp4_sock`). Reading ends with the last of ours:
/// its cost does not grow with the connections. Unreadable counts as 0.
#[must_use]
pub fn accept_queue<'l, L: AsFd + 'l>(listeners: impl IntoIterator<Item = &'l L>) -> (u64, u64) {
    let inodes = listeners
        .into_iter()
        .filter_map(|listener| inode(listener).ok());
    let mut wanted: Vec<u64> = inodes.collect();
    if wanted.is_empty() {
        return (0, 0);
    }
    let cap = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    let cap = cap
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(u64::MAX);
    let limit = cap.min(u64::from(limits::LISTEN_BACKLOG)) * wanted.len() as u64;
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    (
        tables
            .iter()
            .filter_map(|table| queued(table, &mut wanted).ok())
            .sum(),
        limit,
    )
}

fn inode(socket: &impl AsFd) -> io::Result<u64> {
    Ok(File::from(socket.as_fd().try_clone_to_owned()?)
        .metadata()?
        .ino())
}

/// The sum of the receive queues of the listening sockets with these inodes, which are taken off
/// the list.
fn queued(table: &str, wanted: &mut Vec<u64>) -> io::Result<u64> {
    let mut sum = 0;
    if wanted.is_empty() {
        return Ok(sum);
    }
    // Less than a line: the kernel makes no line more than is asked for, and the one after the
    // last listening socket costs a walk over the table of connections, some milliseconds.
    for line in BufReader::with_capacity(128, File::open(table)?)
        .lines()
        .skip(1)
    {
        let Some((queue, inode)) = parse_listening(&line?) else {
            break;
        };
        if let Some(place) = wanted.iter().position(|&wanted| wanted == inode) {
            wanted.swap_remove(place);
            sum += queue;
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(sum)
}

/// Receive queue and inode of a line of `/proc/net/tcp`, if it is a listening socket's.
fn parse_listening(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let state = fields.nth(3)?;
    let (_, receive) = fields.next()?.split_once(':')?;
    let inode = fields.nth(4)?.parse().ok()?;
    (state == "0A").then_some((u64::from_str_radix(receive, 16).ok()?, inode))
}

fn cpu(clock: ClockId) -> Duration {
    let t = clock_gettime(clock);
    Duration::new(
        t.tv_sec.cast_unsigned(),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn an_accept_queue_counts_what_was_not_accepted_yet() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let listeners = [v4, v6];
        let (before, limit) = accept_queue(&listeners);
        assert_eq!(before, 0);
        assert!(limit >= 2 * 128, "{limit}");
        let ends: Vec<_> = listeners
            .iter()
            .flat_map(|listener| [listener.local_addr().unwrap(); 2])
            .map(|address| TcpStream::connect(address).unwrap())
            .collect();
        assert_eq!(accept_queue(&listeners), (4, limit));
        drop(listeners[0].accept().unwrap());
        assert_eq!(accept_queue(&listeners), (3, limit));
        drop(ends);
    }

    #[test]
    fn only_lines_of_listening_sockets_count() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:0000002A 00:00000000 00000000 \
                        0        0 12345 1 0000000000000000 100 0 0 10 0";
        assert_eq!(parse_listening(line), Some((42, 12345)));
        assert_eq!(parse_listening(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(parse_listening("garbage"), None);
    }
}

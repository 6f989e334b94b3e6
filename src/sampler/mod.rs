//! Reads this process and its host: from files of /proc and /sys, and who waits at listening
//! sockets from the kernel's socket diagnosis. A thread of its own does so every second.
//!
//! The texts become figures in `stats`. Nothing here grows with the number of connections.

pub mod diagnosis;
mod files;
mod groups;
pub mod queues;
pub mod sockets;
mod threads;

use crate::engine::{Stop, now};
use crate::shard::Core;
use crate::stats::cgroup::CgroupTexts;
use crate::stats::host::Units;
use crate::stats::process::ProcessTexts;
use crate::stats::{Board, Cgroup, HostSample, Listener, Process, Snapshot, Texts};
use diagnosis::AddressFamily;
use files::{Cadence, Files, RARE};
use queues::Queues;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use threads::Team;

/// Time from one reading to the next.
pub const SAMPLE_TIME: Duration = Duration::from_secs(1);
/// The name of the thread, by which its own cost shows.
const NAME: &str = "stats";

/// Reads this host again and again.
#[derive(Debug)]
pub struct HostReader {
    texts: Texts,
    files: Files<Texts>,
    readings: u64,
}

impl Default for HostReader {
    fn default() -> Self {
        Self::new()
    }
}

impl HostReader {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        let mut files: Files<Texts> = Files::default();
        files.add(Cadence::Each, "/proc/stat", |it| &mut it.stat);
        files.add(Cadence::Each, "/proc/net/sockstat", |it| &mut it.sockstat);
        files.add(Cadence::Each, "/proc/net/netstat", |it| &mut it.netstat);
        files.add(Cadence::Each, "/proc/net/snmp", |it| &mut it.snmp);
        files.add(Cadence::Each, "/proc/net/softnet_stat", |it| {
            &mut it.softnet
        });
        files.add(Cadence::Slow, "/proc/loadavg", |it| &mut it.load);
        files.add(Cadence::Slow, "/proc/pressure/cpu", |it| {
            &mut it.pressure_cpu
        });
        let memory = "/proc/pressure/memory";
        files.add(Cadence::Slow, memory, |it| &mut it.pressure_memory);
        files.add(Cadence::Slow, "/proc/pressure/io", |it| &mut it.pressure_io);
        files.add(Cadence::Slow, "/proc/meminfo", |it| &mut it.memory);
        files.add(Cadence::Slow, "/proc/sys/fs/file-nr", |it| &mut it.files);
        let tracked = "/proc/sys/net/netfilter/nf_conntrack_count";
        files.add(Cadence::Each, tracked, |it| &mut it.conntrack);
        let most = "/proc/sys/net/netfilter/nf_conntrack_max";
        files.add(Cadence::Rare, most, |it| &mut it.conntrack_max);
        let limits = "/proc/sys/net/ipv4/tcp_mem";
        files.add(Cadence::Rare, limits, |it| &mut it.tcp_limits);
        files.add(Cadence::Rare, "/proc/slabinfo", |it| &mut it.slab);
        Self {
            texts: Texts {
                units: units(),
                ..Texts::default()
            },
            files,
            readings: 0,
        }
    }

    /// Reads what is due.
    pub fn read(&mut self) -> HostSample {
        self.files.read(&mut self.texts, self.readings);
        self.readings += 1;
        HostSample::parse(&self.texts, now())
    }
}

/// What this kernel counts in.
fn units() -> Units {
    Units {
        ticks_per_s: rustix::param::clock_ticks_per_second(),
        page_bytes: rustix::param::page_size() as u64,
    }
}

/// Reads this process, its listeners and the host.
struct Sampler {
    host: HostReader,
    process: ProcessTexts,
    files: Files<ProcessTexts>,
    team: Team,
    cgroup: CgroupTexts,
    groups: Files<CgroupTexts>,
    queues: Option<Queues>,
    listeners: Vec<(Core, SocketAddr, u64)>,
    readings: u64,
}

impl Sampler {
    fn new(listeners: Vec<(Core, SocketAddr, u64)>) -> Self {
        let mut files: Files<ProcessTexts> = Files::default();
        files.add(Cadence::Each, "/proc/self/statm", |it| &mut it.statm);
        let rollup = "/proc/self/smaps_rollup";
        files.add(Cadence::Rare, rollup, |it| &mut it.rollup);
        let mut families = vec![AddressFamily::V4, AddressFamily::V6];
        families.retain(|family| {
            listeners
                .iter()
                .any(|it| AddressFamily::of(it.1) == *family)
        });
        Self {
            host: HostReader::new(),
            process: ProcessTexts::default(),
            files,
            team: Team::default(),
            cgroup: CgroupTexts::default(),
            groups: groups::find(),
            // Where the kernel has no socket diagnosis, queues are not known.
            queues: Queues::open(&families).ok(),
            listeners,
            readings: 0,
        }
    }

    fn read(&mut self) -> Snapshot {
        let reading = self.readings;
        self.readings += 1;
        self.files.read(&mut self.process, reading);
        self.count_descriptors(reading);
        if reading > 0 && reading.is_multiple_of(RARE) {
            let now = groups::find();
            // Moved, or under another limit.
            if now.differ(&self.groups) {
                (self.groups, self.cgroup) = (now, CgroupTexts::default());
            }
        }
        self.groups.read(&mut self.cgroup, reading);
        let host = self.host.read();
        let page_bytes = units().page_bytes;
        Snapshot {
            at: host.at,
            unix: SystemTime::now().duration_since(UNIX_EPOCH).ok(),
            process: Process::parse(&self.process, page_bytes, self.team.read(reading)),
            listeners: self.waiting(),
            host,
            cgroup: Cgroup::parse(&self.cgroup),
        }
    }

    /// Since Linux 6.2 the size of the folder is the number of its entries (fs/proc/fd.c,
    /// `proc_fd_getattr`). Before, they must be counted, which grows with them.
    fn count_descriptors(&mut self, reading: u64) {
        let folder = "/proc/self/fd";
        let size = fs::metadata(folder).map(|folder| folder.len());
        match size {
            Ok(size) if size > 0 => self.process.descriptors = Some(size),
            Ok(_) | Err(_) if reading.is_multiple_of(RARE) => {
                let entries = fs::read_dir(folder).map(Iterator::count);
                // Without the one that reads.
                self.process.descriptors = entries.ok().map(|all| all.saturating_sub(1) as u64);
            }
            Ok(_) | Err(_) => {}
        }
        let limit = getrlimit(Resource::Nofile).current;
        self.process.descriptor_limit = Some(limit.unwrap_or(u64::MAX));
    }

    /// Who waits at each listener. What the kernel does not list is not known.
    fn waiting(&mut self) -> Vec<Listener> {
        let waiting = self.queues.as_mut().map(Queues::read);
        let waiting = waiting.and_then(Result::ok).unwrap_or_default();
        let of = |(core, address, inode): &(Core, SocketAddr, u64)| {
            let found = waiting.iter().find(|it| u64::from(it.inode) == *inode);
            Listener {
                address: address.to_string(),
                core: core.0,
                accept_queue: found.map(|it| u64::from(it.length)),
                accept_queue_limit: found.map(|it| u64::from(it.limit)),
            }
        };
        self.listeners.iter().map(of).collect()
    }
}

/// Pins a first reading up and starts the thread that goes on, until the switch is thrown. It
/// keeps off the cores of the program where there are other CPUs.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    board: Board,
    listeners: Vec<(Core, SocketAddr, u64)>,
    cores: &[usize],
    stop: &Stop,
) -> io::Result<JoinHandle<()>> {
    let mut sampler = Sampler::new(listeners);
    board.post(sampler.read());
    let cores = cores.to_vec();
    let switch = stop.clone();
    let thread = std::thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(move || {
            keep_off(&cores);
            let mut due = Instant::now();
            while !switch.is_thrown() {
                // Readings that came too late are left out, not caught up.
                due = (due + SAMPLE_TIME).max(Instant::now());
                if sleep_until(due, &switch) {
                    board.post(sampler.read());
                }
            }
        })?;
    let sleeper = thread.thread().clone();
    stop.on_throw(move || sleeper.unpark());
    Ok(thread)
}

/// Sleeps until then; false if the switch was thrown meanwhile.
fn sleep_until(due: Instant, stop: &Stop) -> bool {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if stop.is_thrown() {
            return false;
        }
        if left.is_zero() {
            return true;
        }
        std::thread::park_timeout(left);
    }
}

/// Leaves those CPUs to others, if there is another one: a mask of several CPUs, where
/// `core_affinity` sets one.
fn keep_off(cores: &[usize]) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let mut aside = CpuSet::new();
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu) && !cores.contains(cpu)) {
        aside.set(cpu);
    }
    if aside.count() > 0 {
        // Refused, it runs where it may: it is not much.
        let _ = sched_setaffinity(None, &aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_reading_has_what_every_kernel_tells() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let file = std::fs::File::from(listener.as_fd().try_clone_to_owned().expect("a copy"));
        let inode = file.metadata().expect("metadata").ino();
        let mut sampler = Sampler::new(vec![(Core(3), address, inode)]);
        let waiting = TcpStream::connect(address).expect("connected");
        let first = sampler.read();
        let told = &first.listeners[0];
        assert_eq!((told.core, told.accept_queue), (3, Some(1)));
        assert!(told.accept_queue_limit >= Some(128), "{told:?}");
        let Process {
            rss_bytes,
            pss_bytes,
            descriptors,
            descriptor_limit,
            threads,
            ..
        } = &first.process;
        assert!(*rss_bytes > Some(1 << 20) && *pss_bytes > Some(1 << 18));
        assert!(*descriptors > Some(3) && *descriptors < *descriptor_limit);
        assert!(threads.iter().any(|it| it.count > 0), "{threads:?}");
        let host = &first.host;
        assert!(!host.cpus.is_empty() && host.memory_bytes > Some(1 << 24));
        assert!(host.tcp_memory_pages_max > host.tcp_memory_pages);
        assert!(host.tcp_established.is_some() && host.listen_overflows.is_some());
        // What is read rarely stays known between.
        let second = sampler.read();
        assert_eq!(second.process.pss_bytes, *pss_bytes);
        assert!(second.at > first.at);
        drop(waiting);
    }

    #[test]
    fn the_thread_samples_until_the_switch_is_thrown() {
        let (board, stop) = (Board::default(), Stop::default());
        let thread = start(board.clone(), Vec::new(), &[], &stop).expect("a thread");
        let first = board.latest().expect("read before it returned");
        let patience = Instant::now() + Duration::from_secs(10);
        while board.latest().is_some_and(|now| now.at == first.at) {
            assert!(Instant::now() < patience, "no second reading");
            std::thread::sleep(Duration::from_millis(20));
        }
        let last = board.latest().expect("read");
        let own = last.process.threads.iter().find(|it| it.name == NAME);
        assert_eq!(own.map(|own| own.count), Some(1));
        let before = Instant::now();
        stop.throw();
        thread.join().expect("it ends");
        assert!(before.elapsed() < SAMPLE_TIME, "it was woken");
    }
}

//! A disk that fills up, and that a crash leaves with some of what was written and not synced, and
//! with parts of it.

use crate::store::{StoreFault, StorePlace};
use fastrand::Rng;
use redb::{Database, StorageBackend};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// The disk; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct TornDisk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    rng: Rng,
    /// What is read.
    bytes: Vec<u8>,
    /// What is there whatever happens.
    synced: Vec<u8>,
    /// What was done since.
    since: Vec<Written>,
    is_full: bool,
    /// How often it was torn: who opened it before that has lost it.
    crashes: u64,
}

#[derive(Debug)]
enum Written {
    Length(usize),
    At(usize, Vec<u8>),
}

/// The disk as somebody opened it.
#[derive(Debug)]
struct OpenDisk {
    disk: TornDisk,
    crashes: u64,
}

const SECTOR: usize = 512;

impl TornDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            rng: Rng::with_seed(seed),
            bytes: Vec::new(),
            synced: Vec::new(),
            since: Vec::new(),
            is_full: false,
            crashes: 0,
        })))
    }

    /// There is no room for anything from now on.
    pub(super) fn fill(&self) {
        self.platter().is_full = true;
    }

    pub(super) fn free(&self) {
        self.platter().is_full = false;
    }

    /// Whoever has it open has it no more.
    pub(super) fn crash(&self) {
        let mut platter = self.platter();
        let platter = &mut *platter;
        platter.crashes += 1;
        for written in std::mem::take(&mut platter.since) {
            match (platter.rng.u32(0..4), written) {
                (0, _) => {}
                (1, Written::At(at, bytes)) => {
                    let sectors = platter.rng.usize(0..=bytes.len() / SECTOR);
                    let part = bytes[..sectors * SECTOR].to_vec();
                    Written::At(at, part).apply(&mut platter.synced);
                }
                (_, written) => written.apply(&mut platter.synced),
            }
        }
        platter.bytes = platter.synced.clone();
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("no test panics there")
    }
}

impl Written {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::At(at, written) => {
                if bytes.len() < at + written.len() {
                    bytes.resize(at + written.len(), 0);
                }
                bytes[*at..at + written.len()].copy_from_slice(written);
            }
        }
    }
}

impl OpenDisk {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.platter();
        match platter.crashes == self.crashes {
            true => Ok(platter),
            false => Err(io::Error::other("it was before the crash")),
        }
    }

    fn write(&self, written: Written) -> io::Result<()> {
        let mut platter = self.platter()?;
        if platter.is_full {
            return Err(io::Error::from_raw_os_error(28));
        }
        written.apply(&mut platter.bytes);
        platter.since.push(written);
        Ok(())
    }
}

impl StorePlace for TornDisk {
    fn open(&self) -> Result<Database, StoreFault> {
        let crashes = self.platter().crashes;
        let disk = self.clone();
        let open = OpenDisk { disk, crashes };
        Ok(crate::store::file::builder().create_with_backend(open)?)
    }

    fn bytes(&self) -> u64 {
        self.platter().bytes.len() as u64
    }
}

impl StorageBackend for OpenDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter()?;
        let at = usize::try_from(offset).expect("a small disk");
        let found = platter.bytes.get(at..at + out.len());
        let found = found.ok_or_else(|| io::Error::other("behind the end"))?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.write(Written::Length(
            usize::try_from(length).expect("a small disk"),
        ))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        let platter = &mut *platter;
        for written in platter.since.drain(..) {
            written.apply(&mut platter.synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).expect("a small disk");
        Self::write(self, Written::At(at, bytes.to_vec()))
    }
}

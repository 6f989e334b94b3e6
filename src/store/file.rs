//! The file of a store (redb): each write is a transaction, so it is there whole or not at all.

use super::fault::{FORMAT, StoreFault};
use crate::app::hub::position::{Epoch, Position};
use crate::app::hub::publication::Publication;
use crate::app::hub::session::SessionId;
use crate::app::hub::store::{
    ChannelWrites, RestoredChannel, StoreBatch, StoreDisk, StoreEnd, StoreRecord,
};
use crate::limits;
use crate::time::{Instant, WallClock};
use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTableMetadata as _, Table,
    TableDefinition, WriteTransaction,
};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Of the file as a whole.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Epoch, newest and oldest number of each channel.
const CHANNELS: TableDefinition<'_, &str, (u32, u64, u64)> = TableDefinition::new("channels");
/// What is kept, as [`StoreRecord`]s.
const PUBLICATIONS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("publications");
/// What sessions hold: epoch, number and [`StoreRecord`] of the newest publication of each.
const SESSIONS: TableDefinition<'_, u128, (u32, u64, &[u8])> = TableDefinition::new("sessions");

/// Whether nothing was lost when the file was written last.
const WHOLE: &str = "whole";

/// Where the bytes of a store are.
pub trait StorePlace: fmt::Debug + Send {
    /// Opens it, makes it if it is not there.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn open(&self) -> Result<Database, StoreFault>;

    /// How many there are.
    fn bytes(&self) -> u64;
}

/// A store in a file.
#[derive(Debug)]
pub struct StoreFile<P = PathBuf> {
    place: P,
    wall: WallClock,
    /// `None` after a failure: then it is opened anew.
    database: Option<Database>,
    /// Scratch space.
    record: Vec<u8>,
}

/// What a file held.
#[derive(Debug, Default)]
pub struct StoreContents {
    /// Channels and sessions.
    pub channels: Vec<RestoredChannel>,
    /// Random, the same for as long as there is the file.
    pub secret: [u8; 32],
    /// There was none before.
    pub is_new: bool,
    /// Nothing is missing: it was closed, and all was written by then.
    pub was_whole: bool,
    /// Publications that cannot be read.
    pub unreadable: u64,
}

impl<P: StorePlace> StoreFile<P> {
    /// Opens that file, makes it if there is none, and reads it. What is missing in a run that ends
    /// without [`StoreEnd::Whole`] is noticed by the next one from then on. A new file is given
    /// that secret.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn open(
        place: P,
        wall: WallClock,
        secret: [u8; 32],
    ) -> Result<(Self, StoreContents), StoreFault> {
        let database = place.open()?;
        let mut contents = read(&database, wall)?;
        let begins = database.begin_write()?;
        {
            let mut meta = begins.open_table(META)?;
            if contents.is_new {
                meta.insert("format", &FORMAT.to_le_bytes()[..])?;
                meta.insert("secret", &secret[..])?;
                contents.secret = secret;
            }
            meta.insert(WHOLE, &[0][..])?;
        }
        begins.open_table(CHANNELS)?;
        begins.open_table(PUBLICATIONS)?;
        begins.open_table(SESSIONS)?;
        begins.commit()?;
        let file = Self {
            place,
            wall,
            database: Some(database),
            record: Vec::new(),
        };
        Ok((file, contents))
    }

    /// Closes it: another process may open it. The next write opens it anew.
    pub fn close(&mut self) {
        self.database = None;
    }

    fn put(&mut self, batch: &StoreBatch, end: StoreEnd) -> Result<(), StoreFault> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert(self.place.open()?),
        };
        let transaction = database.begin_write()?;
        {
            let mut tables = StoreTables::open(&transaction)?;
            for (name, writes) in batch.channels() {
                tables.put(name, writes, self.wall, &mut self.record)?;
            }
        }
        if end == StoreEnd::Whole {
            transaction.open_table(META)?.insert(WHOLE, &[1][..])?;
        }
        Ok(transaction.commit()?)
    }
}

impl<P: StorePlace> StoreDisk for StoreFile<P> {
    fn write(&mut self, batch: &StoreBatch, end: StoreEnd) -> Result<(), String> {
        self.put(batch, end).map_err(|fault| {
            self.database = None;
            fault.to_string()
        })
    }

    fn bytes(&self) -> u64 {
        self.place.bytes()
    }
}

/// Where a transaction writes.
struct StoreTables<'t> {
    channels: Table<'t, &'static str, (u32, u64, u64)>,
    publications: Table<'t, (&'static str, u64), &'static [u8]>,
    sessions: Table<'t, u128, (u32, u64, &'static [u8])>,
}

impl<'t> StoreTables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreFault> {
        Ok(Self {
            channels: transaction.open_table(CHANNELS)?,
            publications: transaction.open_table(PUBLICATIONS)?,
            sessions: transaction.open_table(SESSIONS)?,
        })
    }

    fn put(
        &mut self,
        name: &str,
        writes: &ChannelWrites,
        wall: WallClock,
        record: &mut Vec<u8>,
    ) -> Result<(), StoreFault> {
        if let Some(session) = SessionId::of_channel(name) {
            if let Some(Position { epoch, offset }) = writes.position
                && let Some(newest) = writes.publications.back()
            {
                write_record(newest, wall, record);
                let row = (epoch.0, offset, &record[..]);
                self.sessions.insert(session.bits(), row)?;
            } else if writes.position.is_none() {
                self.sessions.remove(session.bits())?;
            }
            return Ok(());
        }
        let gone = match writes.begins_anew {
            true => u64::MAX,
            false => writes.oldest,
        };
        if gone > 1 {
            let older = (name, 0)..(name, gone);
            self.publications.retain_in(older, |_, _| false)?;
        }
        match writes.position {
            None => drop(self.channels.remove(name)?),
            Some(Position { epoch, offset }) => {
                let row = (epoch.0, offset, writes.oldest);
                self.channels.insert(name, row)?;
            }
        }
        for publication in &writes.publications {
            write_record(publication, wall, record);
            let key = (name, publication.1.offset);
            self.publications.insert(key, &record[..])?;
        }
        Ok(())
    }
}

fn write_record(of: &(Instant, Publication), wall: WallClock, into: &mut Vec<u8>) {
    let (made, publication) = of;
    into.clear();
    StoreRecord::write(publication, wall.unix_at(*made), into);
}

impl StorePlace for PathBuf {
    fn open(&self) -> Result<Database, StoreFault> {
        // Only this user may read it: it has secrets of the users of the application.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self)?;
        Ok(builder().create_with_backend(FileBackend::new(file)?)?)
    }

    fn bytes(&self) -> u64 {
        fs::metadata(self).map_or(0, |it| it.len())
    }
}

/// What of a store is opened with.
pub(super) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(limits::STORE_CACHE_BYTES)
        .set_check_integrity_on_open(true);
    builder
}

/// Reads everything.
fn read(database: &Database, wall: WallClock) -> Result<StoreContents, StoreFault> {
    let transaction = database.begin_read()?;
    let is_new = transaction.list_tables()?.next().is_none();
    let mut contents = StoreContents {
        is_new,
        was_whole: is_new,
        ..StoreContents::default()
    };
    if is_new {
        return Ok(contents);
    }
    read_meta(&transaction, &mut contents)?;
    read_channels(&transaction, wall, &mut contents)?;
    read_sessions(&transaction, wall, &mut contents)?;
    Ok(contents)
}

/// Whether it can be read, and whether something is missing.
fn read_meta(
    transaction: &ReadTransaction,
    contents: &mut StoreContents,
) -> Result<(), StoreFault> {
    let meta = transaction.open_table(META)?;
    let found = meta.get("format")?;
    let found = found.and_then(|it| Some(u32::from_le_bytes(it.value().try_into().ok()?)));
    match found {
        Some(FORMAT) => {}
        Some(found) => {
            let known = FORMAT;
            return Err(StoreFault::OtherVersion { found, known });
        }
        None => return Err(StoreFault::Foreign),
    }
    contents.was_whole = meta.get(WHOLE)?.is_some_and(|it| it.value() == [1]);
    let secret = meta.get("secret")?;
    let secret = secret.and_then(|it| it.value().try_into().ok());
    contents.secret = secret.ok_or_else(|| StoreFault::Damaged("no secret".to_owned()))?;
    Ok(())
}

fn read_channels(
    transaction: &ReadTransaction,
    wall: WallClock,
    contents: &mut StoreContents,
) -> Result<(), StoreFault> {
    let mut publications = transaction
        .open_table(PUBLICATIONS)?
        .range::<(&str, u64)>(..)?;
    let mut next = publications.next().transpose()?;
    let channels = transaction.open_table(CHANNELS)?;
    let sessions = transaction.open_table(SESSIONS)?;
    let count = channels.len()?.saturating_add(sessions.len()?);
    contents
        .channels
        .reserve(usize::try_from(count).unwrap_or(0));
    for row in channels.range::<&str>(..)? {
        let (name, row) = row?;
        let name = name.value();
        let (epoch, top, oldest) = row.value();
        let mut channel = RestoredChannel {
            name: Arc::from(name),
            epoch: contents.was_whole.then_some(Epoch(epoch)),
            top,
            publications: Vec::new(),
        };
        while let Some((key, value)) = &next {
            let (of, offset) = key.value();
            if of > name {
                break;
            }
            if of == name && (oldest..=top).contains(&offset) {
                match StoreRecord::read(value.value(), offset) {
                    Some(it) => {
                        let made = wall.past(it.made);
                        channel.publications.push((made, it.publication));
                    }
                    None => {
                        contents.unreadable += 1;
                        channel.epoch = None;
                    }
                }
            }
            next = publications.next().transpose()?;
        }
        contents.channels.push(channel);
    }
    Ok(())
}

fn read_sessions(
    transaction: &ReadTransaction,
    wall: WallClock,
    contents: &mut StoreContents,
) -> Result<(), StoreFault> {
    for row in transaction.open_table(SESSIONS)?.range::<u128>(..)? {
        let (session, row) = row?;
        let (epoch, offset, record) = row.value();
        let Some(it) = StoreRecord::read(record, offset) else {
            contents.unreadable += 1;
            continue;
        };
        contents.channels.push(RestoredChannel {
            name: SessionId(session.value()).channel().into(),
            epoch: contents.was_whole.then_some(Epoch(epoch)),
            top: offset,
            publications: vec![(wall.past(it.made), it.publication)],
        });
    }
    Ok(())
}

//! Why a store cannot be had, with what can be done about it.

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};
use std::fmt;
use std::io::{self, ErrorKind};

/// What is written in which way: another number for each way that an earlier program cannot read.
pub(super) const FORMAT: u32 = 1;

/// Why a store cannot be had.
#[derive(Debug)]
pub enum StoreFault {
    /// Another process has it.
    Taken,
    /// A program of another version has written it.
    OtherVersion {
        /// Its format.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// It is a file of something else.
    Foreign,
    /// It was changed by something else than a store, or its disk is broken.
    Damaged(String),
    /// The system does not let it be.
    Io(io::Error),
    /// The file was closed by an earlier failure.
    Closed,
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault: &dyn fmt::Display = match self {
            Self::Taken => {
                &"another server has it open; try: a file of its own for each, or end the other one"
            }
            Self::OtherVersion { found, known } => {
                return write!(
                    f,
                    "another version of ringstorm has written it (format {found}, this one knows \
                     {known}); try: that version, or another file"
                );
            }
            Self::Foreign => {
                &"it is a file, but no store; try: the path of a file that is not there"
            }
            Self::Damaged(how) => {
                return write!(
                    f,
                    "it is damaged ({how}); try: move it away and start again without what it \
                     holds, or look at the disk"
                );
            }
            Self::Io(error) => return write!(f, "{error}{}", remedy(error)),
            Self::Closed => &"it could not be written before",
        };
        fault.fmt(f)
    }
}

impl std::error::Error for StoreFault {}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "; try: make its folder (mkdir -p) first",
        ErrorKind::PermissionDenied => "; try: a file that this user may write, in a folder too",
        ErrorKind::ReadOnlyFilesystem => "; try: mount it for writing, or a file elsewhere",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; try: make room on that disk, or a file elsewhere"
        }
        ErrorKind::IsADirectory => "; try: the path of a file",
        _ => "",
    }
}

impl From<io::Error> for StoreFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StorageError> for StoreFault {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => Self::Io(error),
            StorageError::PreviousIo | StorageError::DatabaseClosed => Self::Closed,
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreFault {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Taken,
            DatabaseError::UpgradeRequired(found) => Self::OtherVersion {
                found: found.into(),
                known: FORMAT,
            },
            // Of a file that does not begin as one of redb.
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == ErrorKind::InvalidData =>
            {
                Self::Foreign
            }
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TableError> for StoreFault {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TransactionError> for StoreFault {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<CommitError> for StoreFault {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

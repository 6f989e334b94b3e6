//! Listening sockets at paths (unix(7)): made where a dead server left one, kept from a live one,
//! taken away at the end.

use super::given::InHandover;
use crate::engine::EngineError;
use crate::limits;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The file of a socket that was made here; it goes when this does, if it is still the same.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Its device and inode: a server that came later has made another.
    is: (u64, u64),
    /// Whether another process may go on to listen there.
    handover: InHandover,
}

impl SocketFile {
    /// Leaves it to the process that has the socket from now on.
    pub fn leave(mut self) {
        self.is = (0, 0);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = !self.handover.is_open();
        if is_ours && place_of(&self.path).is_ok_and(|is| is == self.is) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path, for those whom `mode` lets write to the file (permissions as chmod(1) has
/// them).
///
/// # Errors
/// [`EngineError::Os`] that names the path and the remedy.
pub(super) fn listen(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), EngineError> {
    let refuse = |source: io::Error| refused(path, source);
    make_way(path).map_err(refuse)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(refuse)?;
    let address = SockAddr::unix(path).map_err(refuse)?;
    socket.bind(&address).map_err(refuse)?;
    let is = place_of(path).map_err(refuse)?;
    let file = SocketFile {
        path: path.to_owned(),
        is,
        handover: InHandover::default(),
    };
    // Before it listens: till then nobody can connect.
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(refuse)?;
    let backlog = limits::LISTEN_BACKLOG.cast_signed();
    socket.listen(backlog).map_err(refuse)?;
    Ok((socket.into(), file))
}

/// The file of a socket that another process has made and given: it is this one's to take away,
/// once that is decided.
///
/// # Errors
/// [`EngineError::Os`] that names the path and the remedy.
pub(super) fn adopt(path: &Path, handover: &InHandover) -> Result<SocketFile, EngineError> {
    let is = place_of(path).map_err(|source| refused(path, source))?;
    Ok(SocketFile {
        path: path.to_owned(),
        is,
        handover: handover.clone(),
    })
}

/// Takes away the file of a socket at which nobody listens any more.
fn make_way(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    match UnixStream::connect(path) {
        // unix(7): the file is there, the socket that was bound to it is not.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A socket of another type, or one whose queue is full, is somebody's too.
        Ok(_) | Err(_) => Err(io::Error::from(io::ErrorKind::AddrInUse)),
    }
}

fn place_of(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn refused(path: &Path, source: io::Error) -> EngineError {
    let shown = path.display();
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another path, or `ss -lxp src {shown}` to see who listens there")
        }
        io::ErrorKind::AlreadyExists => "a path at which there is no file that is no socket".into(),
        io::ErrorKind::NotFound => "a path in a folder that is there".to_owned(),
        io::ErrorKind::PermissionDenied => "a folder that this user may write to".to_owned(),
        io::ErrorKind::InvalidInput => "a path of at most 107 bytes".to_owned(),
        _ => "another --listen unix:PATH".to_owned(),
    };
    EngineError::Os {
        operation: format!("cannot listen on unix:{shown}"),
        source,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_has_its_permissions_and_goes_at_the_end() {
        let folder = Folder::new("permissions");
        let path = folder.0.join("s");
        let (listener, file) = listen(&path, 0o620).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o620);
        UnixStream::connect(&path).unwrap();
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_server_left_makes_way_and_what_lives_does_not() {
        let folder = Folder::new("way");
        let path = folder.0.join("s");
        // It is gone, its file is not.
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, first) = listen(&path, 0o600).unwrap();
        let error = listen(&path, 0o600).unwrap_err().to_string();
        assert!(
            error.contains("unix:") && error.contains("ss -lxp"),
            "{error}"
        );
        // Whoever has put another there keeps it.
        fs::remove_file(&path).unwrap();
        let second = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);

        let file = folder.0.join("text");
        fs::write(&file, "kept").unwrap();
        let error = listen(&file, 0o600).unwrap_err().to_string();
        assert!(error.contains("no file that is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn a_path_that_cannot_be_says_what_can() {
        let long = std::env::temp_dir().join("x".repeat(120));
        let error = listen(&long, 0o600).unwrap_err().to_string();
        assert!(error.contains("107 bytes"), "{error}");
        let nowhere = Path::new("/no/such/folder/s");
        let error = listen(nowhere, 0o600).unwrap_err().to_string();
        assert!(error.contains("a folder that is there"), "{error}");
    }
}

//! The folder whose files a server has for browsers: read into memory, checked and named.

use super::pages::{self, BuiltInFile};
use super::{Failure, print};
use crate::limits;
use crate::server::{PublicFile, PublicFiles, PublicForm};
use bytes::Bytes;
use ring::digest;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, io};

/// Names that begin with a dot are not for browsers, but for this one (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// The built-in pages, and the files of the folder, if there is one, which come before them.
/// Browsers may keep them for so long.
pub(super) fn read(folder: Option<&Path>, max_age: Duration) -> Result<Arc<PublicFiles>, Failure> {
    let mut public = PublicFiles::new(max_age);
    put_pages(&mut public);
    if let Some(folder) = folder {
        put(folder, &mut public)?;
    }
    Ok(Arc::new(public))
}

/// Adds the built-in pages.
fn put_pages(public: &mut PublicFiles) {
    for BuiltInFile { path, plain, gzip } in pages::FILES {
        let file = PublicFile {
            media_type: media_type(path),
            changed_unix_s: None,
            policy: Some(pages::POLICY),
            plain: form(Bytes::from_static(plain)),
            gzip: Some(form(Bytes::from_static(gzip))),
            brotli: None,
        };
        public.insert((*path).to_owned(), file);
    }
}

/// Says how many there are beside the built-in pages, if there are any.
pub(super) fn tell(files: &PublicFiles) {
    let (count, bytes) = files.unrestricted();
    if count > 0 {
        let kib = bytes.div_ceil(1024);
        print::note(format!("{count} files for browsers, {kib} KiB in memory"));
    }
}

fn put(folder: &Path, public: &mut PublicFiles) -> Result<(), Failure> {
    let root = fs::canonicalize(folder).map_err(|error| unread(folder, &error))?;
    let mut found = FolderReader {
        root: &root,
        files: BTreeMap::new(),
        bytes: 0,
    };
    found.look_into(&root, "", 0)?;
    for (path, file) in &found.files {
        let form = |ending: &str| {
            found
                .files
                .get(&format!("{path}{ending}"))
                .map(ReadFile::form)
        };
        let file = PublicFile {
            media_type: media_type(path),
            changed_unix_s: file.changed_unix_s,
            policy: None,
            plain: file.form(),
            gzip: form(".gz"),
            brotli: form(".br"),
        };
        public.insert(path.clone(), file);
    }
    Ok(())
}

/// What a folder has.
struct FolderReader<'r> {
    root: &'r Path,
    files: BTreeMap<String, ReadFile>,
    bytes: u64,
}

/// One file as it was read.
struct ReadFile {
    bytes: Bytes,
    changed_unix_s: Option<u64>,
}

impl ReadFile {
    /// It as it is sent.
    fn form(&self) -> PublicForm {
        form(self.bytes.clone())
    }
}

/// Bytes as they are sent, with a tag that tells them from all others.
fn form(bytes: Bytes) -> PublicForm {
    let hash = digest::digest(&digest::SHA256, &bytes);
    let mut etag = String::from('"');
    for byte in hash.as_ref().iter().take(12) {
        // Writing to a String does not fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    PublicForm { bytes, etag }
}

impl FolderReader<'_> {
    /// Reads a folder that browsers know by that path.
    fn look_into(&mut self, folder: &Path, path: &str, depth: usize) -> Result<(), Failure> {
        if depth > limits::PUBLIC_DEPTH {
            let most = limits::PUBLIC_DEPTH;
            return Err(wrong(folder, &format!("more than {most} folders deep")));
        }
        for entry in fs::read_dir(folder).map_err(|error| unread(folder, &error))? {
            let place = entry.map_err(|error| unread(folder, &error))?.path();
            let name = place.file_name().unwrap_or_default();
            let Some(name) = name.to_str() else {
                return Err(wrong(&place, "its name is not UTF-8: rename it"));
            };
            if name.starts_with('.') && name != WELL_KNOWN {
                continue;
            }
            let real = fs::canonicalize(&place).map_err(|error| unread(&place, &error))?;
            if !real.starts_with(self.root) {
                return Err(wrong(
                    &place,
                    "a link that leads out of the folder: copy it",
                ));
            }
            let about = fs::metadata(&real).map_err(|error| unread(&place, &error))?;
            let path = format!("{path}/{name}");
            if about.is_dir() {
                self.look_into(&real, &path, depth + 1)?;
            } else if about.is_file() {
                self.read(&place, path, &about)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, place: &Path, path: String, about: &fs::Metadata) -> Result<(), Failure> {
        self.bytes += about.len();
        if self.bytes > limits::PUBLIC_BYTES || self.files.len() >= limits::PUBLIC_FILES {
            return Err(Failure::Usage(format!(
                "--public: more than {} MiB or {} files, all of which are kept in memory; try: a \
                 smaller folder, and a web server for what is large",
                limits::PUBLIC_BYTES >> 20,
                limits::PUBLIC_FILES
            )));
        }
        let changed = about.modified().ok();
        let changed = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let file = ReadFile {
            bytes: fs::read(place)
                .map_err(|error| unread(place, &error))?
                .into(),
            changed_unix_s: changed.map(|at| at.as_secs()),
        };
        self.files.insert(path, file);
        Ok(())
    }
}

/// What browsers are told that a file is.
fn media_type(path: &str) -> String {
    let guess = mime_guess::from_path(PathBuf::from(path)).first_or_octet_stream();
    let is_text = guess.type_() == "text"
        || matches!(
            guess.subtype().as_str(),
            "javascript" | "json" | "manifest+json"
        );
    let charset = if is_text { "; charset=utf-8" } else { "" };
    format!("{}{charset}", guess.essence_str())
}

fn unread(place: &Path, error: &io::Error) -> Failure {
    wrong(
        place,
        &format!("{error}; try: a folder that this user may read"),
    )
}

fn wrong(place: &Path, what: &str) -> Failure {
    Failure::Usage(format!("--public: {}: {what}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::ScratchFolder;
    use crate::server::PublicPlace;

    fn files(folder: &Path) -> Result<PublicFiles, Failure> {
        let mut files = PublicFiles::new(Duration::ZERO);
        put(folder, &mut files).map(|()| files)
    }

    #[test]
    fn the_built_in_pages_are_there_in_both_codings() {
        let files = read(None, Duration::ZERO).unwrap();
        for path in ["/chat", "/dash", "/report", "/logs"] {
            assert_eq!(files.find(path), Some(PublicPlace::Folder));
            let Some(PublicPlace::File(page)) = files.find(&format!("{path}/")) else {
                panic!("no page at {path}");
            };
            let page = files.get(page).unwrap();
            assert!(page.media_type.starts_with("text/html"));
            let gzip = page.gzip.as_ref().unwrap();
            assert!(gzip.bytes.len() < page.plain.bytes.len(), "{path}");
        }
        assert_eq!(files.unrestricted(), (0, 0));
    }

    fn refusal(folder: &Path) -> String {
        let read = files(folder);
        read.err().map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_folder_is_read_with_types_forms_and_dates_and_without_what_is_hidden() {
        let scratch = ScratchFolder::new("read");
        let folder = scratch.path();
        fs::create_dir_all(folder.join("js")).unwrap();
        fs::create_dir_all(folder.join(".git")).unwrap();
        fs::create_dir_all(folder.join(".well-known")).unwrap();
        for (name, text) in [
            ("index.html", "<!doctype html>"),
            ("js/app.js", "let a = 1"),
            ("js/app.js.gz", "zipped"),
            ("js/app.js.br", "brotli"),
            ("a.bin", "x"),
            (".env", "secret"),
            (".git/config", "secret"),
            (".well-known/security.txt", "mail"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let files = files(folder).unwrap();
        let file = |path: &str| match files.find(path) {
            Some(PublicPlace::File(at)) => files.get(at),
            Some(PublicPlace::Folder) | None => None,
        };
        for (path, media_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/js/app.js", "text/javascript; charset=utf-8"),
            ("/a.bin", "application/octet-stream"),
            ("/.well-known/security.txt", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(file(path).unwrap().media_type, media_type, "{path}");
            assert!(
                file(path).unwrap().changed_unix_s > Some(1_700_000_000),
                "{path}"
            );
        }
        let app = file("/js/app.js").unwrap();
        let bytes = |form: &Option<PublicForm>| form.as_ref().unwrap().bytes.to_vec();
        assert_eq!(
            (bytes(&app.gzip), bytes(&app.brotli)),
            (b"zipped".to_vec(), b"brotli".to_vec())
        );
        assert_ne!(app.plain.etag, app.gzip.as_ref().unwrap().etag);
        for path in ["/.env", "/.git/config"] {
            assert_eq!(files.find(path), None, "{path}");
        }
        assert_eq!(files.len(), 6);
    }

    #[test]
    fn a_folder_that_will_not_do_is_named() {
        let scratch = ScratchFolder::new("refused");
        let folder = scratch.path();
        assert!(refusal(&folder.join("none")).contains("none: No such file"));
        std::os::unix::fs::symlink("/etc/hostname", folder.join("out")).unwrap();
        let text = refusal(folder);
        assert!(
            text.contains("out: a link that leads out of the folder"),
            "{text}"
        );
        fs::remove_file(folder.join("out")).unwrap();
        fs::write(folder.join("in"), "x").unwrap();
        std::os::unix::fs::symlink("in", folder.join("link")).unwrap();
        assert_eq!(files(folder).unwrap().len(), 2);
        // Around for ever, if nobody counted.
        std::os::unix::fs::symlink(".", folder.join("round")).unwrap();
        assert!(refusal(folder).contains("folders deep"));
    }
}

//! The files that a server has for browsers: read before it begins, found by the path of a request.
//!
//! What is not among them is not there, so no path leads out of the folder that they are from.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// All of them, by path: `/index.html`.
#[derive(Clone, Debug, Default)]
pub struct PublicFiles {
    files: Vec<PublicFile>,
    by_path: BTreeMap<String, usize>,
    max_age: Duration,
}

/// One file.
#[derive(Clone, Debug)]
pub struct PublicFile {
    /// Its media type, with a charset if it is text.
    pub media_type: String,
    /// When it was changed, in seconds since 1970, if that is known.
    pub changed_unix_s: Option<u64>,
    /// What it may load if it is a page, where it is restricted (Content Security Policy 3).
    pub policy: Option<&'static str>,
    /// Its bytes as they are.
    pub plain: PublicForm,
    /// The same gzipped (RFC 1952), if somebody has done so before.
    pub gzip: Option<PublicForm>,
    /// The same as brotli has it (RFC 7932), if somebody has done so before.
    pub brotli: Option<PublicForm>,
}

/// A file in one coding.
#[derive(Clone, Debug)]
pub struct PublicForm {
    /// Its bytes: one copy for all cores.
    pub bytes: Bytes,
    /// Tells these bytes from any others: a strong entity tag, in its quotes (RFC 9110, 8.8.3).
    pub etag: String,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicPlace {
    /// To the file of that number.
    File(usize),
    /// To a folder with an index, by a path without its last slash.
    Folder,
}

impl PublicFiles {
    /// None yet; a browser may keep them for so long without asking again, or asks each time.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            ..Self::default()
        }
    }

    /// One more, at that path, which begins with a slash.
    pub fn insert(&mut self, path: String, file: PublicFile) {
        self.by_path.insert(path, self.files.len());
        self.files.push(file);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// How many there are without a policy, and how many bytes those have in all codings.
    #[must_use]
    pub fn unrestricted(&self) -> (usize, usize) {
        let files = self.files.iter().filter(|file| file.policy.is_none());
        let bytes = files.clone().flat_map(PublicFile::forms);
        (files.count(), bytes.map(|form| form.bytes.len()).sum())
    }

    /// The file of that number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&PublicFile> {
        self.files.get(number)
    }

    /// Where the path of a request leads, as it was sent (RFC 3986, 2.1); `None` for nowhere.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<PublicPlace> {
        let mut path = decoded(path)?;
        if path.ends_with('/') {
            path.push_str(INDEX);
        }
        if let Some(at) = self.by_path.get(&path) {
            return Some(PublicPlace::File(*at));
        }
        path.push('/');
        path.push_str(INDEX);
        self.by_path.get(&path).map(|_| PublicPlace::Folder)
    }

    /// The value of `Cache-Control` (RFC 9111, 5.2.2).
    pub(super) fn cache_control(&self) -> String {
        match self.max_age.as_secs() {
            // It may be kept, and is asked for again before it is used.
            0 => "no-cache".to_owned(),
            seconds => format!("max-age={seconds}"),
        }
    }
}

impl PublicFile {
    /// It in all codings that there are.
    fn forms(&self) -> impl Iterator<Item = &PublicForm> {
        [Some(&self.plain), self.gzip.as_ref(), self.brotli.as_ref()]
            .into_iter()
            .flatten()
    }
}

/// What a path that ends with a slash means.
const INDEX: &str = "index.html";

/// The characters that a path has; `None` if they are no text, or a digit is wrong.
fn decoded(path: &str) -> Option<String> {
    if !path.contains('%') {
        return Some(path.to_owned());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> PublicFiles {
        let mut files = PublicFiles::new(Duration::ZERO);
        for path in paths {
            let plain = PublicForm {
                bytes: Bytes::copy_from_slice(path.as_bytes()),
                etag: format!("\"{path}\""),
            };
            let file = PublicFile {
                media_type: "text/plain".to_owned(),
                changed_unix_s: None,
                policy: None,
                plain,
                gzip: None,
                brotli: None,
            };
            files.insert((*path).to_owned(), file);
        }
        files
    }

    #[test]
    fn a_path_leads_to_a_file_an_index_a_folder_or_nowhere() {
        let files = files(&["/index.html", "/a b.txt", "/sub/index.html", "/sub/ä"]);
        let file = |at| Some(PublicPlace::File(at));
        for (path, place) in [
            ("/", file(0)),
            ("/index.html", file(0)),
            ("/a%20b.txt", file(1)),
            ("/sub/", file(2)),
            ("/sub", Some(PublicPlace::Folder)),
            ("/sub/%C3%A4", file(3)),
            ("/sub/%c3%a4", file(3)),
            ("/sub/%C3", None),
            ("/a%2", None),
            ("/a%2g", None),
            ("/a%+2", None),
            ("/no", None),
            ("/../index.html", None),
            ("/sub/../index.html", None),
            ("/sub/%2e%2e/index.html", None),
            ("//index.html", None),
            ("//sub", None),
            ("/index.html%00", None),
            ("*", None),
        ] {
            assert_eq!(files.find(path), place, "{path:?}");
        }
    }
}

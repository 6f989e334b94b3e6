//! What a request for a file of the server gets: the form that the client takes, the part that it
//! wants, or that it has it already.

use super::fields::Fields;
use super::public::{PublicFile, PublicFiles, PublicForm, PublicPlace};
use crate::protocol::http::conditional::{Precondition, Validators, WantedBytes};
use crate::protocol::http::{Headers, Request, accept, date};
use bytes::Bytes;
use std::ops::Range;

/// An answer about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileAnswer {
    /// Which one.
    file: usize,
    form: FormKind,
    part: FilePart,
}

/// How a file is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormKind {
    Plain,
    Gzip,
    Brotli,
}

/// What of a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FilePart {
    Whole,
    /// From the first byte to behind the last.
    Bytes(usize, usize),
    Beyond,
    NotModified,
    Failed,
}

/// Where a request that is for a file leads.
pub(super) enum FileFound {
    Answer(FileAnswer),
    /// To the same path with a slash.
    Folder,
}

/// Bytes of a file that are to be sent.
pub(super) struct FileContent {
    pub(super) bytes: Bytes,
    pub(super) range: Range<usize>,
}

impl FileAnswer {
    /// What a GET or HEAD of that path gets; `None` if no file is there.
    pub(super) fn find(
        path: &str,
        request: &Request<'_>,
        files: &PublicFiles,
    ) -> Option<FileFound> {
        let number = match files.find(path)? {
            PublicPlace::File(number) => number,
            PublicPlace::Folder => return Some(FileFound::Folder),
        };
        let file = files.get(number)?;
        // A part is of the bytes as they are.
        let is_part = request.method == "GET" && request.headers.get("Range").is_some();
        let form = if is_part {
            FormKind::Plain
        } else {
            FormKind::of(&request.headers, file)
        };
        let state = validators(file, form.of_file(file));
        let part = match state.judge(&request.headers) {
            Precondition::NotModified => FilePart::NotModified,
            Precondition::Failed => FilePart::Failed,
            Precondition::Holds if is_part => {
                let len = file.plain.bytes.len();
                match state.wanted(&request.headers, len as u64) {
                    WantedBytes::Whole => FilePart::Whole,
                    WantedBytes::Beyond => FilePart::Beyond,
                    WantedBytes::Part(Range { start, end }) => {
                        let at = |at| usize::try_from(at).unwrap_or(len).min(len);
                        FilePart::Bytes(at(start), at(end))
                    }
                }
            }
            Precondition::Holds => FilePart::Whole,
        };
        Some(FileFound::Answer(Self {
            file: number,
            form,
            part,
        }))
    }

    /// The bytes that follow its head.
    pub(super) fn content(self, files: &PublicFiles) -> FileContent {
        let form = files.get(self.file).map(|file| self.form.of_file(file));
        let bytes = form.map(|form| form.bytes.clone()).unwrap_or_default();
        let range = match self.part {
            FilePart::Whole => 0..bytes.len(),
            FilePart::Bytes(from, to) => from..to,
            FilePart::Beyond | FilePart::NotModified | FilePart::Failed => 0..0,
        };
        FileContent { bytes, range }
    }

    pub(super) const fn status(self) -> u16 {
        match self.part {
            FilePart::Whole => 200,
            FilePart::Bytes(..) => 206,
            FilePart::NotModified => 304,
            FilePart::Failed => 412,
            FilePart::Beyond => 416,
        }
    }

    /// What its fields are made of.
    pub(super) fn texts(self, files: &PublicFiles) -> FileTexts {
        let FileContent { bytes, range } = self.content(files);
        let changed = files.get(self.file).and_then(|file| file.changed_unix_s);
        FileTexts {
            length: range.len().to_string(),
            range: match self.part {
                FilePart::Bytes(from, to) => {
                    format!("bytes {from}-{}/{}", to.saturating_sub(1), bytes.len())
                }
                // RFC 9110, 14.4: how long it is.
                _ => format!("bytes */{}", bytes.len()),
            },
            changed: changed.map(date::imf_fixdate),
            cache: files.cache_control(),
        }
    }

    /// Puts the fields that tell of the file.
    pub(super) fn put<'a>(
        self,
        files: &'a PublicFiles,
        texts: &'a FileTexts,
        fields: &mut Fields<'a>,
    ) {
        let Some(file) = files.get(self.file) else {
            return;
        };
        let form = self.form.of_file(file);
        if let FilePart::Whole | FilePart::Bytes(..) = self.part {
            fields.push("Content-Type", &file.media_type);
            // Fetch, 3.6: no browser takes it for what it does not say it is.
            fields.push("X-Content-Type-Options", "nosniff");
            if let Some(policy) = file.policy {
                fields.push("Content-Security-Policy", policy);
            }
        }
        if let (FilePart::Whole, Some(coding)) = (self.part, self.form.coding()) {
            fields.push("Content-Encoding", coding);
        }
        if let FilePart::Bytes(..) | FilePart::Beyond = self.part {
            fields.push("Content-Range", &texts.range);
        }
        if self.form == FormKind::Plain && self.part == FilePart::Whole {
            fields.push("Accept-Ranges", "bytes");
        }
        if let FilePart::Whole | FilePart::Bytes(..) | FilePart::NotModified = self.part {
            // RFC 9110, 15.4.5: 304 has those of 200 that the client's copy needs.
            fields.push("ETag", &form.etag);
            if let Some(changed) = &texts.changed {
                fields.push("Last-Modified", std::str::from_utf8(changed).unwrap_or(""));
            }
            fields.push("Cache-Control", &texts.cache);
            if file.gzip.is_some() || file.brotli.is_some() {
                // RFC 9110, 12.5.5.
                fields.push("Vary", "Accept-Encoding");
            }
        }
        if self.part != FilePart::NotModified {
            fields.push("Content-Length", &texts.length);
        }
    }
}

/// Values of fields.
pub(super) struct FileTexts {
    length: String,
    range: String,
    changed: Option<[u8; date::DATE_BYTES]>,
    cache: String,
}

impl FormKind {
    /// The form that a client wants most; of equals, the shortest as a rule.
    fn of(headers: &Headers<'_>, file: &PublicFile) -> Self {
        let wanted = |coding| accept::coding_quality(headers, coding);
        let brotli = file.brotli.as_ref().map_or(0, |_| wanted("br"));
        let gzip = file.gzip.as_ref().map_or(0, |_| wanted("gzip"));
        match (brotli, gzip) {
            (0, 0) => Self::Plain,
            (brotli, gzip) if brotli >= gzip => Self::Brotli,
            _ => Self::Gzip,
        }
    }

    fn of_file(self, file: &PublicFile) -> &PublicForm {
        let coded = match self {
            Self::Plain => None,
            Self::Gzip => file.gzip.as_ref(),
            Self::Brotli => file.brotli.as_ref(),
        };
        coded.unwrap_or(&file.plain)
    }

    const fn coding(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

fn validators<'a>(file: &PublicFile, form: &'a PublicForm) -> Validators<'a> {
    Validators {
        etag: &form.etag,
        changed_unix_s: file.changed_unix_s,
    }
}

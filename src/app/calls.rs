//! Calls of an app over HTTP, and what is answered.

/// A call of an app over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiCall<'c> {
    /// Its method.
    pub method: CallMethod,
    /// The path.
    pub path: &'c str,
    /// What follows the `?`; empty if nothing does.
    pub query: &'c str,
    /// What `App::arriving` returned for its head: `Admittance::permit`.
    pub permit: u32,
    /// The body.
    pub text: &'c str,
}

/// The method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallMethod {
    /// It has no body.
    Get,
    /// It has one.
    Post,
}

/// What is answered to a call over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub media: Media,
    /// The body.
    pub text: String,
    /// What a browser is told to keep: the value of `Set-Cookie`.
    pub cookie: Option<Box<str>>,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// Plain.
    Text,
    /// HTML.
    Html,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// JSON, an object a line.
    Lines,
}

impl ApiResponse {
    /// JSON, with that status.
    #[must_use]
    pub const fn json(status: u16, text: String) -> Self {
        Self {
            status,
            media: Media::Json,
            text,
            cookie: None,
        }
    }
}

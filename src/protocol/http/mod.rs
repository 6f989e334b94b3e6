//! HTTP/1.1 (RFC 9112) as far as a WebSocket or event stream needs it, strict where laxness lets
//! two parties disagree on where a message ends.

pub mod accept;
pub mod body;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod fields;
pub mod head;
pub mod headers;
pub mod location;
mod opening;
pub mod request;
pub mod response;

pub use body::{BodyLength, BodyReader};
pub use coding::{Coding, Inflater};
pub use fields::merged;
pub use head::HeadReader;
pub use headers::Headers;
pub use opening::Opening;
pub use request::Request;
pub use response::{Response, reason};

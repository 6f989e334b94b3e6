//! Server-Sent Events (WHATWG HTML, 9.2): writing an event stream and reading one.

pub mod encode;
pub mod parse;
mod pieces;

pub use encode::{Event, Forbidden, comment, encode, encode_retry};
pub use parse::{Dispatched, Item, Parser};
pub use pieces::{Pool, TOO_BIG};

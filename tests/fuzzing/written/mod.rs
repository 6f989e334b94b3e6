//! What servers say, whatever names and contents it is about: it says just that, in one line where
//! clients split at lines, and is read as it was meant.

mod centrifugo;
mod draws;
mod http;
mod others;

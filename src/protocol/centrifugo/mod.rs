//! Centrifugo's client protocol in JSON: commands of clients, and what a server says, as npm
//! `centrifuge` 5 and PyPI `centrifuge-python` 0.7 speak them.
//!
//! A message holds one JSON object a line: several commands may be joined, and several replies. A
//! command with an `id` gets one reply with that `id`. A push has none. `{}` is the server's ping
//! and the client's pong.

pub mod code;
mod command;
mod heard;
mod write;
#[cfg(test)]
mod write_tests;

pub use code::{CloseAdvice, ErrorCode};
pub use command::{
    ChannelRequest, ClientCommand, CommandKind, ConnectRequest, HistoryRequest, PublishRequest,
    RpcRequest, SincePosition, SubscribeRequest, TokenRequest, read_commands, read_connect,
};
pub use heard::{
    ServerError, ServerLine, ServerMessage, ServerPublication, ServerPush, ServerSubscription,
    read_server,
};
pub use write::{
    ConnectReply, InfoView, PublicationView, StreamView, SubscribeReply, Wrap, connect, error,
    history, info, presence, presence_stats, publication, push_disconnect, push_join, push_leave,
    push_message, push_missed, push_publication, push_refresh, push_subscribe, push_unsubscribe,
    refresh, reply, rpc, subscribe, subscription,
};

/// What a server sends so that the client knows that it is there, and a client's answer to it.
pub const PING: &str = "{}";

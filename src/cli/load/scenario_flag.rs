//! The scenarios, as typed.

use clap::ValueEnum;

/// What one simulated client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ScenarioFlag {
    /// Sends messages and expects each back.
    Echo,
    /// Receives what the server pushes, and measures how old it is.
    Listen,
    /// Stays connected.
    Idle,
    /// All connect and go again, --iterations times: how long that takes.
    Connect,
    /// In rooms of the server (`/rooms`): one member of each says something, and each iteration
    /// lasts until every member has it.
    Rooms,
    /// Chats of two (`/chat`): each is matched with another one, and a message lasts until its
    /// partner has it.
    Chat,
    /// ActionCable: performs an action and expects the message back, or --trigger.
    Cable,
    /// SocketCluster: calls a procedure or publishes, and expects the response.
    Socketcluster,
    /// Channels of a server that speaks Centrifugo's client protocol: publishes, and checks the
    /// number of all that each subscriber is told.
    Channels,
    /// Event streams of channels (`/channels`): publishes by `POST /publish`, and checks the place
    /// of all that each stream is told.
    SseChannels,
    /// Socket.IO: emits events and expects their acknowledgements.
    Socketio,
    /// What a file says (`--script`).
    Custom,
}

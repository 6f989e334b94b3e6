//! Where an application is reached.

/// Where an application is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path, byte for byte.
    pub path: &'static str,
    /// How.
    pub by: By,
    /// What is there, for the page that lists the routes; empty for what it does not list.
    pub about: &'static str,
}

/// How an application is reached at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A WebSocket.
    WebSocket,
    /// An event stream.
    EventStream,
    /// Whichever the client asks for.
    Either,
    /// Texts are posted there: to `App::posted`.
    Post,
    /// It is called there: JSON is posted, and JSON is answered.
    Call,
    /// A WebSocket, or requests that belong together, each answered in its own time.
    Exchange,
}

impl Route {
    /// A WebSocket there.
    #[must_use]
    pub const fn websocket(path: &'static str, about: &'static str) -> Self {
        let by = By::WebSocket;
        Self { path, by, about }
    }

    /// An event stream there.
    #[must_use]
    pub const fn events(path: &'static str, about: &'static str) -> Self {
        let by = By::EventStream;
        Self { path, by, about }
    }

    /// Whichever the client asks for.
    #[must_use]
    pub const fn either(path: &'static str, about: &'static str) -> Self {
        let by = By::Either;
        Self { path, by, about }
    }

    /// A WebSocket there, or requests that belong together.
    #[must_use]
    pub const fn exchange(path: &'static str, about: &'static str) -> Self {
        let by = By::Exchange;
        Self { path, by, about }
    }

    /// It is called there, by POST.
    #[must_use]
    pub const fn call(path: &'static str, about: &'static str) -> Self {
        let by = By::Call;
        Self { path, by, about }
    }

    /// Texts are posted there; members are told where, so no page lists it.
    #[must_use]
    pub const fn post(path: &'static str) -> Self {
        let (by, about) = (By::Post, "");
        Self { path, by, about }
    }
}

//! Which application answers at which path: one line each.

use super::Config;
use super::apps::Mounted;
use super::route::Route;
use crate::app::chat::{self, Chat};
use crate::app::console::{self, Console, Dash};
use crate::app::echo::Echo;
use crate::app::engineio::EngineApp;
use crate::app::push::Push;
use crate::app::realtime::{self, RealtimePlan};
use crate::app::rooms::{self, Rooms};

macro_rules! mount {
    ($config:ident: $($app:ty, $make:expr => $routes:expr;)*) => {
        /// The applications of every server.
        pub type BuiltIn = mount!(@types $($app,)*);

        /// The applications of every server, as that configuration has them.
        #[must_use]
        pub fn built_in($config: &Config) -> BuiltIn {
            mount!(@values $($make => $routes;)*)
        }
    };
    (@types) => { () };
    (@types $app:ty, $($rest:ty,)*) => { Mounted<$app, mount!(@types $($rest,)*)> };
    (@values) => { () };
    (@values $make:expr => $routes:expr; $($rest:tt)*) => {
        Mounted::new($make, $routes, mount!(@values $($rest)*))
    };
}

mount! { config:
    Echo, Echo => &[ECHO];
    Push, Push::new(config.push()) => &[PUSH, EVENTS];
    Rooms, Rooms::new(config.rooms()) => &[ROOMS, SAY];
    Chat, Chat::new(config.chat()) => &[CHAT];
    Console, Console::new(config.console().cloned().unwrap_or_default()) => console_routes(config);
    Dash, Dash::default() => dash_routes(config);
    EngineApp, EngineApp::new(realtime_plan(config)) => realtime_routes(config);
}

const ECHO: Route = Route::websocket("/echo", "every message comes back, text or binary");
const PUSH: Route = Route::websocket("/push", "a message at every interval");
const EVENTS: Route = Route::events(
    "/events",
    "the same messages; Last-Event-ID or ?lastEventId=N resumes",
);
const ROOMS: Route = Route::either(
    "/rooms",
    "a room of a few; POST to the address it tells to say",
);
const CHAT: Route = Route::websocket(
    chat::CHAT,
    "a chat with whoever comes next; /chat/ is its page",
);
const CONSOLE: [Route; 2] = [
    Route::exchange(console::REPORT, ""),
    Route::exchange(console::LOGS, ""),
];
const DASH: Route = Route::events(
    console::DASH,
    "what /stats says, once a second; /dash/ is its page",
);
const DASHBOARD: Route = Route::events(console::STREAM, "the same figures, for first tries");
const SAY: Route = Route::post(rooms::SAY);

const fn api(path: &'static str) -> Route {
    Route::call(path, "")
}
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling: an index too far does not build"
)]
const REALTIME: [Route; 7 + realtime::API.len()] = {
    let mut routes = [api(""); 7 + realtime::API.len()];
    routes[0] = Route::websocket(
        realtime::CENTRIFUGO_SOCKET,
        "channels, for Centrifugo's clients",
    );
    routes[1] = Route::events(
        realtime::CENTRIFUGO_STREAM,
        "the same for clients that only listen; ?cf_connect=JSON",
    );
    routes[2] = Route::events(
        realtime::CHANNELS,
        "?topic=NAME, once or more; Last-Event-ID resumes",
    );
    routes[3] = Route::websocket(
        realtime::SOCKETCLUSTER_SOCKET,
        "the same, for SocketCluster's clients",
    );
    routes[4] = Route::exchange(
        realtime::SOCKETIO_SOCKET,
        "the same, for Socket.IO's clients",
    );
    routes[5] = Route::websocket(
        realtime::CABLE_SOCKET,
        "the same, for ActionCable's and AnyCable's clients",
    );
    let mut at = 0;
    while at < realtime::API.len() {
        routes[6 + at] = api(realtime::API[at]);
        at += 1;
    }
    // The last is for first tries alone.
    routes[6 + at] = Route::exchange(realtime::TRIGGER, "");
    routes
};

fn realtime_plan(config: &Config) -> RealtimePlan {
    config.realtime().cloned().unwrap_or_default()
}

fn console_routes(config: &Config) -> &'static [Route] {
    match config.console() {
        Some(_) => &CONSOLE,
        None => &[],
    }
}

fn dash_routes(config: &Config) -> &'static [Route] {
    match config.console() {
        Some(_) if is_for_tries(config) => &[DASH, DASHBOARD],
        Some(_) => &[DASH],
        None => &[],
    }
}

/// Whether everything is open to all.
fn is_for_tries(config: &Config) -> bool {
    config.realtime().is_some_and(|plan| plan.rules.echo)
}

fn realtime_routes(config: &Config) -> &'static [Route] {
    match config.realtime() {
        Some(_) if is_for_tries(config) => &REALTIME,
        Some(_) => REALTIME.split_last().map_or(&[], |(_, others)| others),
        None => &[],
    }
}

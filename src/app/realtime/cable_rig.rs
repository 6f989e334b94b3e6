//! Clients of `ActionCable` in a realtime application without a server.

use super::rig::{Guest, Rig};
use super::{App as _, Arrival, CABLE_SOCKET, User};
use serde_json::{Value, json};

/// The subprotocol that tells places and who is there.
pub(super) const EXTENDED: &str = "actioncable-v1-ext-json";

/// A client comes that asks for that subprotocol.
pub(super) fn comes(rig: &mut Rig, core: u16, (protocol, query): (&'static str, &str)) -> Guest {
    rig.users += 1;
    let user = User(rig.users);
    let seat = rig.on(core, |app, hall| {
        let header = &|name: &str| (name == "Sec-WebSocket-Protocol").then_some(protocol);
        let arrival = Arrival {
            share: None,
            purpose: crate::app::ArrivalPurpose::Stay,
            path: CABLE_SOCKET,
            query,
            header,
        };
        app.arriving(&arrival).expect("it may come");
        app.came(user, hall)
    });
    Guest { core, user, seat }
}

/// One of the plain protocol, which is welcomed.
pub(super) fn client(rig: &mut Rig, core: u16) -> Guest {
    let guest = comes(
        rig,
        core,
        ("actioncable-v1-json, actioncable-unsupported", ""),
    );
    assert_eq!(rig.last(guest), json!({"type": "welcome"}));
    guest
}

/// What it calls a subscription with those parameters.
pub(super) fn identifier(params: &Value) -> String {
    params.to_string()
}

/// What it says of such a subscription.
pub(super) fn command(verb: &str, params: &Value) -> String {
    json!({"command": verb, "identifier": identifier(params)}).to_string()
}

/// What it is told of such a subscription.
pub(super) fn about(params: &Value, kind: &str) -> Value {
    json!({"identifier": identifier(params), "type": kind})
}

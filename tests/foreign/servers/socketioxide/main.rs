//! A Socket.IO server of the crate socketioxide, on one thread: `echo` is acknowledged with what it
//! was given. Takes the port.

use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use std::error::Error;
use std::net::Ipv4Addr;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("takes a port")?.parse::<u16>()?;
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("echo", async |Data::<Value>(data), answer: AckSender| {
            let _ = answer.send(&data);
        });
    });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on 127.0.0.1:{port}");
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}

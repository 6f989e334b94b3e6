//! The yardstick: an echo server whose every delay is known, so that a load client's percentiles
//! can be told from the right answer. `delayed --port 9200 --manner stalling`; `scripts/bench
//! accuracy` drives it, and has the answers. Of another make than what it checks.

use clap::{Parser, ValueEnum};
use futures_util::{SinkExt, StreamExt};
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep_until;
use tokio_tungstenite::tungstenite::Message;

/// From a message to its reply at least: of it, what a virtual machine withholds now and then (up
/// to 8 ms) is below 2 %.
const DELAY: Duration = Duration::from_millis(500);
/// The same on every fourth connection of a bimodal server.
const LONG_DELAY: Duration = Duration::from_millis(1_000);
/// Of each second so much passes without a reply, from its beginning, if the server stalls.
const STALL: Duration = Duration::from_millis(100);
/// A timer of tokio is late by up to 2 ms: the rest of a delay is spent turning.
const TIMER_LATE: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, ValueEnum)]
enum Manner {
    /// The same delay for all.
    Constant,
    /// Twice the delay on every fourth connection.
    Bimodal,
    /// Nothing leaves in the first tenth of each second; all of it does then.
    Stalling,
}

#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// How replies are delayed.
    #[arg(long)]
    manner: Manner,
}

/// One connection's delays.
#[derive(Clone, Copy)]
struct Delays {
    manner: Manner,
    connection: u64,
    /// What seconds are counted from.
    epoch: Instant,
}

impl Delays {
    /// When the reply to a message that came then is due. Later messages are not due earlier.
    fn due(self, came: Instant) -> Instant {
        match self.manner {
            Manner::Bimodal if self.connection.is_multiple_of(4) => came + LONG_DELAY,
            Manner::Constant | Manner::Bimodal => came + DELAY,
            Manner::Stalling => {
                let due = came + DELAY;
                let into_second = due.duration_since(self.epoch).subsec_nanos();
                due + STALL.saturating_sub(Duration::from_nanos(into_second.into()))
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` and `cargo test --benches` start every bench program; this one is not timed.
    if std::env::args().any(|arg| arg == "--bench") || std::env::args().len() == 1 {
        return Ok(());
    }
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let epoch = Instant::now();
        // The first one only asks whether this server is there.
        drop(listener.accept().await?);
        for connection in 0.. {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let delays = Delays {
                manner: options.manner,
                connection,
                epoch,
            };
            tokio::spawn(serve(stream, delays));
        }
        Ok(())
    })
}

async fn until(due: Instant) {
    sleep_until((due - TIMER_LATE).into()).await;
    while Instant::now() < due {
        yield_now().await;
    }
}

async fn serve(stream: TcpStream, delays: Delays) {
    // A connection that is no WebSocket, or ends, is its peer's affair.
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let (mut sink, mut source) = socket.split();
    let (queue, mut replies) = mpsc::unbounded_channel::<(Instant, Message)>();
    tokio::spawn(async move {
        while let Some((due, reply)) = replies.recv().await {
            until(due).await;
            sink.feed(reply).await?;
            // What is due by now leaves in the same write.
            while let Ok((due, reply)) = replies.try_recv() {
                if due > Instant::now() {
                    sink.flush().await?;
                    until(due).await;
                }
                sink.feed(reply).await?;
            }
            sink.flush().await?;
        }
        sink.close().await
    });
    while let Some(Ok(message)) = source.next().await {
        let is_reply = message.is_text() || message.is_binary();
        if is_reply && queue.send((delays.due(Instant::now()), message)).is_err() {
            return;
        }
    }
}

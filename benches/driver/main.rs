//! Drives a server from one thread and prints what it cost the server, as one line of JSON.
//!
//! One generator for every server that is compared: WebSocket or bare TCP, the same bytes, the same
//! loop. It is a bare ring, so that it costs less than any server. `scripts/bench` runs it.
#![expect(unsafe_code, reason = "a bare ring, to load servers with")]

mod count;
mod cpu;
mod echo;
mod hello;
mod listen;
mod peer;
mod plain;
mod polled;
#[path = "../ring/mod.rs"]
mod ring;
mod rooms;

use clap::{Args, Parser, Subcommand};
use hello::Hello;
use peer::{Protocol, Target};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Echoes in a closed loop, a fixed number of messages in flight on each connection.
    Echo {
        #[command(flatten)]
        load: Load,
        /// Messages in flight on each connection.
        #[arg(long, default_value_t = 1)]
        pipeline: u32,
        /// Bytes of a message.
        #[arg(long, default_value_t = 32)]
        payload: usize,
        /// A text to say instead of bytes, and the text that answers it, whatever else comes.
        #[arg(long, requires = "hear")]
        say: Option<String>,
        #[arg(long, requires = "say")]
        hear: Option<String>,
        /// Plain epoll instead of a ring: one read and one write for each readiness.
        #[arg(long)]
        epoll: bool,
    },
    /// Counts what a server pushes to every connection.
    Listen(Load),
    /// Members of rooms: the first of each says something whenever it has heard its last.
    Rooms(Load),
    /// Connects and upgrades, 64 at once, and measures nothing else.
    Accept(Load),
    /// Connects and says nothing more; waits for a line on stdin after each step.
    Hold {
        #[command(flatten)]
        load: Load,
        /// Connections at each step, ascending.
        #[arg(long, value_delimiter = ',')]
        steps: Vec<usize>,
    },
}

#[derive(Args, Clone)]
struct Load {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// What the server speaks.
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Path of the request.
    #[arg(long, default_value = "/echo")]
    path: String,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// What each says first.
    #[command(flatten)]
    hello: Hello,
    /// Bytes of a message at least that is counted by who listens.
    #[arg(long, default_value_t = 0)]
    least: u64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 0.5)]
    warm: f64,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// The kernel's softirq thread of the server's CPU: what it does, no server is charged for.
    #[arg(long)]
    softirq_pid: Option<u32>,
}

impl Load {
    fn target(&self) -> Target {
        Target {
            port: self.port,
            protocol: self.protocol,
            path: self.path.clone(),
            hello: self.hello.clone(),
        }
    }

    fn window(&self) -> Window {
        let warm = Instant::now() + Duration::from_secs_f64(self.warm);
        Window {
            starts: warm,
            ends: warm + Duration::from_secs_f64(self.seconds),
        }
    }
}

/// When to measure.
#[derive(Clone, Copy)]
struct Window {
    starts: Instant,
    ends: Instant,
}

/// What is read at both ends of the window; the difference is the result.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    messages: u64,
    server: Duration,
    softirq: Duration,
    driver: Duration,
}

impl Reading {
    fn take(load: &Load, messages: u64) -> Result<Self, Box<dyn Error>> {
        let softirq = load.softirq_pid.map(cpu::of).transpose()?;
        Ok(Self {
            at: Instant::now(),
            messages,
            server: cpu::of(load.pid)?,
            softirq: softirq.unwrap_or_default(),
            driver: cpu::of(std::process::id())?,
        })
    }

    fn json_since(&self, start: &Self) -> Value {
        json!({
            "messages": self.messages - start.messages,
            "seconds": (self.at - start.at).as_secs_f64(),
            "server_cpu_s": (self.server - start.server).as_secs_f64(),
            "softirq_cpu_s": (self.softirq - start.softirq).as_secs_f64(),
            "driver_cpu_s": (self.driver - start.driver).as_secs_f64(),
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` and `cargo test --benches` start every bench program; this one is not timed.
    if std::env::args().any(|arg| arg == "--bench") || std::env::args().len() == 1 {
        return Ok(());
    }
    match Options::parse().command {
        Command::Echo {
            load,
            pipeline,
            payload,
            say: text,
            hear,
            epoll,
        } => {
            let shape = match text.zip(hear) {
                Some((text, hear)) => echo::Shape::said(pipeline, &text, &hear),
                None => echo::Shape::echoed(pipeline, payload),
            };
            let run = if epoll { plain::run } else { echo::run };
            say(&run(&load, &shape)?)
        }
        Command::Listen(load) => say(&listen::run(&load)?),
        Command::Rooms(load) => say(&rooms::run(&load)?),
        Command::Accept(load) => say(&accept(&load)?),
        Command::Hold { load, steps } => hold(&load, &steps),
    }
}

fn accept(load: &Load) -> Result<Value, Box<dyn Error>> {
    let target = load.target();
    // The first connections pay for memory that the later ones reuse.
    let mut open = target.open(load.connections / 10)?;
    std::thread::sleep(Duration::from_secs_f64(load.warm));
    let start = Reading::take(load, 0)?;
    open.append(&mut target.open(load.connections)?);
    let end = Reading::take(load, load.connections as u64)?;
    Ok(end.json_since(&start))
}

fn hold(load: &Load, steps: &[usize]) -> Result<(), Box<dyn Error>> {
    let target = load.target();
    let mut open = Vec::new();
    let mut lines = std::io::stdin().lock().lines();
    for &step in steps {
        open.append(&mut target.open(step.saturating_sub(open.len()))?);
        say(&json!({ "held": open.len() }))?;
        if lines.next().transpose()?.is_none() {
            break;
        }
    }
    Ok(())
}

fn say(result: &Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{result}")?;
    Ok(out.flush()?)
}

//! ringstorm holds, drives and measures very many WebSocket and Server-Sent Events connections.
//!
//! The map, from the bottom up; an arrow only ever points at something further up this list.
//! - [`limits`], [`time`]: every bound with its reason; the clock reading that everything is told.
//! - [`shard`]: the seam between what a program does and what moves its bytes.
//! - [`protocol`]: bytes to events and back: HTTP/1.1, WebSocket, Server-Sent Events. Pure.
//! - [`app`]: what users came for: echo, push. Pure.
//! - [`server`], [`load`]: the two shards. Pure.
//! - [`tls`]: a layer between an engine and a shard that secures its connections. Pure, but for
//!   what rustls asks the system.
//! - [`proxy`]: a layer between an engine and a shard whose connections go through a proxy. Pure.
//! - [`door`]: who is let in, how fast it may speak, for how long it may stay. Pure.
//! - [`live`]: what may change while the program runs. Pure.
//! - [`store`]: writes what outlives the process, on a thread of its own.
//! - [`stats`]: text of `/stats` and /proc to numbers, two samples to rates. Pure.
//! - [`study`]: what measurements say: comparisons, capacities, causes. Pure.
//! - [`report`]: what a load run measured, as text, JSON and histogram files. Pure.
//! - [`tune`]: the host audit: facts of a host and a plan to findings. Pure.
//! - [`engine`]: ring, tokio, sim: the same shards over io_uring, over epoll, over a simulation.
//! - [`baseline`]: what one would otherwise write, sharing nothing with the above.
//! - [`cli`]: flags to configuration to run; the only printer.

pub mod app;
pub mod backend;
#[cfg(feature = "baseline")]
pub mod baseline;
pub mod cli;
pub mod door;
pub mod engine;
pub mod limits;
pub mod live;
pub mod load;
pub mod payload;
pub mod protocol;
pub mod proxy;
pub mod report;
pub mod sampler;
pub mod server;
pub mod shard;
pub mod stats;
pub mod store;
pub mod study;
pub mod time;
pub mod tls;
pub mod tune;
pub mod wheel;

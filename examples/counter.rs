//! A counter that everyone sees: each message adds one, and every user on every core is told.
//! `cargo run --example counter 127.0.0.1:9001`, then open `ws://127.0.0.1:9001/counter` twice.

use ringstorm::app::{App, Effects, Message, Notice, Reach, Seat, User};
use ringstorm::engine::{self, EngineConfig, Listeners};
use ringstorm::server::{BuiltIn, Config, Mounted, Route, Server, built_in};
use ringstorm::shard::Core;

#[derive(Default)]
pub(crate) struct Counter {
    others: Vec<Core>,
    count: u64,
}

impl App for Counter {
    type Batch = Vec<()>; // What it says to the other cores, and all there is to say: add one.
    const REACH: Reach = Reach::All;

    fn started(&mut self, here: Core, cores: u16) {
        self.others = (0..cores).map(Core).filter(|core| *core != here).collect();
    }

    fn came(&mut self, user: User, effects: &mut impl Effects<Vec<()>>) -> Seat {
        let text = self.count.to_string();
        effects.tell(&[user], Notice::new(self.count, "count", &text));
        Seat::default()
    }

    fn said(&mut self, _: User, _: Seat, _: Message<'_>, effects: &mut impl Effects<Vec<()>>) {
        self.took(Core(0), &vec![()], effects);
        for core in &self.others {
            effects.forward(*core, ());
        }
    }

    fn took(&mut self, _: Core, messages: &Vec<()>, effects: &mut impl Effects<Vec<()>>) {
        for () in messages {
            self.count += 1;
            let text = self.count.to_string();
            effects.broadcast(Notice::new(self.count, "count", &text));
        }
    }
}

/// The applications of every server, and this one.
pub(crate) fn applications(config: &Config) -> Mounted<Counter, BuiltIn> {
    const ROUTE: Route = Route::either("/counter", "each message adds one, and all are told");
    Mounted::new(Counter::default(), &[ROUTE], built_in(config))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("no address")?.parse()?;
    let mut plan = EngineConfig::new(vec![0, 0]);
    plan.listeners = Listeners::bind(&[address], 2)?;
    let config = Config::new("ring", engine::now());
    let make = move |core| Server::with(core, config.clone(), applications(&config));
    engine::ring::run(plan, make)?;
    Ok(())
}

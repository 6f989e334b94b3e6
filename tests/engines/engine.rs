//! What a suite needs of an engine with sockets, and types that stand for one each.

use ringstorm::engine::{EngineConfig, EngineError};
use ringstorm::shard::{Core, Shard};

pub(crate) trait Engine {
    fn run<S: Shard + 'static>(
        plan: EngineConfig,
        make: impl Fn(Core) -> S + Send + Sync + 'static,
    ) -> Result<Vec<S::Outcome>, EngineError>;
}

macro_rules! engines {
    ($($name:ident => $run:path;)*) => { $(
        pub(crate) enum $name {}

        impl $crate::engine::Engine for $name {
            fn run<S: ringstorm::shard::Shard + 'static>(
                plan: ringstorm::engine::EngineConfig,
                make: impl Fn(ringstorm::shard::Core) -> S + Send + Sync + 'static,
            ) -> Result<Vec<S::Outcome>, ringstorm::engine::EngineError> {
                $run(plan, make)
            }
        }
    )* };
}
pub(crate) use engines;

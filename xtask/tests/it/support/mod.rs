//! What the tests share: worlds, the project in them, the emulated AWS behind them.

pub mod account;
pub mod base;
pub mod clone;
pub mod differences;
pub mod echo;
pub mod guard;
pub mod http;
pub mod outcome;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod remaining;
pub mod rounds;
pub mod surroundings;
pub mod team;
pub mod world;

pub use outcome::{Settled, redacted};
pub use process::Running;
pub use world::World;

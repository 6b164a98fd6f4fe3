//! The crate as a user sees it, over connections in memory.

mod ending;
mod flow;
mod hostile;
mod opening;
mod raw;
mod support;

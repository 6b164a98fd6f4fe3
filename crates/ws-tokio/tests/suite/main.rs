//! The crate as a user of tokio sees it.

mod talking;
mod time;

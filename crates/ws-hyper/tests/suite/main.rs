//! The crate as a user sees it: behind hyper and axum, with clients of ws-smol and ws-h2.

mod extractor;
mod support;
mod upgrading;

//! The crate as a user sees it: behind hyper and axum, with clients of ws-smol and ws-h2.

mod extractor;
#[cfg(unix)]
mod handing_over;
mod support;
mod upgrading;

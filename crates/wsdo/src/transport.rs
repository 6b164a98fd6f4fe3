//! Streams of any kind, and the WebSockets on them.

use std::{cell::RefCell, rc::Rc};

use ws_smol::WebSocket;

use crate::{
    console::Console,
    runtime::io::{AsyncRead, AsyncWrite},
    tap::Tap,
};

/// Any stream.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for S {}

/// A WebSocket over any stream.
pub(crate) type Socket = WebSocket<Box<dyn Transport>>;

/// Has a console see what passes, if there is one.
pub(crate) fn watched(
    stream: Box<dyn Transport>,
    console: Option<&Rc<RefCell<Console>>>,
) -> Box<dyn Transport> {
    match console {
        None => stream,
        Some(console) => Box::new(Tap::new(stream, Rc::clone(console))),
    }
}

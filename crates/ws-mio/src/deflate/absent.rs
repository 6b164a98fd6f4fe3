//! Compression in a build without it: nobody agrees on anything, so none of
//! this comes to be.

#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "as in a build with compression"
)]

use std::{marker::PhantomData, sync::Arc};

use ws_handshake::{Acceptance, ClientRequest, DeflateParams};
use ws_proto::{Chunk, CompressedChunk, Message, Prepared, ProtocolError};

use crate::{
    Backpressure, ClientConfig, Config, Transport, metrics::Counters, outgoing::Outgoing,
    wheel::Tick,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {}

impl Terms {
    pub(crate) const fn of_server(_: Option<DeflateParams>) -> Option<Self> {
        None
    }

    pub(crate) const fn of_client(_: Option<DeflateParams>) -> Option<Self> {
        None
    }

    pub(crate) const fn params(self, _: bool) -> DeflateParams {
        match self {}
    }

    pub(crate) const fn admit(acceptance: Acceptance<'_>) -> Acceptance<'_> {
        acceptance.without_deflate()
    }

    pub(crate) fn offer(request: ClientRequest) -> ClientRequest {
        request.without_offers()
    }
}

#[derive(Debug)]
pub(crate) struct Codecs;

impl Codecs {
    pub(crate) const fn of_loop(_: &Config, _: &Arc<Counters>) -> Self {
        Self
    }

    pub(crate) const fn of_socket(_: &ClientConfig) -> Self {
        Self
    }

    pub(crate) const fn lend(
        &mut self,
        _: u32,
        _: Option<Terms>,
        _: u64,
    ) -> (Option<&mut Inflating>, Option<&mut Deflating>) {
        (None, None)
    }

    pub(crate) const fn settle(&mut self, _: Tick) {}

    pub(crate) const fn remove(&mut self, _: u32) {}

    pub(crate) const fn keep_time(&mut self, _: Tick) {}

    pub(crate) const fn next_sweep(&self) -> Option<Tick> {
        None
    }
}

#[derive(Debug)]
pub(crate) enum Inflating {}

impl Inflating {
    pub(crate) const fn inflate(
        &mut self,
        _: &mut CompressedChunk<'_>,
    ) -> Result<Option<Chunk<'_>>, ProtocolError> {
        match *self {}
    }

    pub(crate) const fn has_share(&self) -> bool {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Deflating {}

impl Deflating {
    pub(crate) const fn send(
        &mut self,
        _: Option<u64>,
        _: Message<'_>,
        _: Wire<'_>,
    ) -> Backpressure {
        match *self {}
    }

    pub(crate) const fn send_fragment(
        &mut self,
        _: Message<'_>,
        _: bool,
        _: Wire<'_>,
    ) -> Backpressure {
        match *self {}
    }

    pub(crate) const fn send_shared(&mut self, _: &mut Prepared, _: Wire<'_>) -> Backpressure {
        match *self {}
    }

    pub(crate) const fn send_prepared(&mut self, _: &Prepared, _: Wire<'_>) -> Backpressure {
        match *self {}
    }
}

pub(crate) struct Wire<'a>(PhantomData<&'a ()>);

impl<'a> Wire<'a> {
    pub(crate) const fn new(
        _: &'a mut Outgoing,
        _: &'a mut Vec<u8>,
        _: &'a mut dyn Transport,
    ) -> Self {
        Self(PhantomData)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Rest {}

impl Rest {
    pub(crate) const fn of(_: &CompressedChunk<'_>) -> Option<Self> {
        None
    }

    pub(crate) const fn len(self) -> usize {
        match self {}
    }

    pub(crate) const fn with(self, _: &[u8]) -> CompressedChunk<'_> {
        match self {}
    }
}

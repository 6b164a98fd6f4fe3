//! Control frames (RFC 6455 section 5.5).

use alloc::boxed::Box;
use core::mem;

use super::{Event, Phase, Receiver, take};
use crate::{
    CloseCode, CloseFrame, OpCode, ProtocolError, header::MAX_CONTROL_PAYLOAD, utf8::validate, xor,
};

/// The payload of a control frame that is split between reads.
#[derive(Debug)]
pub(super) struct ControlPayload {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: u8,
}

impl Receiver {
    /// Returns the event of a control frame once its payload is whole.
    #[inline]
    pub(super) fn control<'a, 'input: 'a>(
        &'a mut self,
        opcode: OpCode,
        input: &mut &'input mut [u8],
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        // At most 125.
        let len = self.remaining as usize;
        let is_split = self.control.is_some() || input.len() < len;
        if is_split && !self.gather_control(input, len) {
            return Ok(None);
        }
        let whole = take(input, if is_split { 0 } else { len });
        let Self {
            control,
            phase,
            key,
            ..
        } = self;
        let payload = control
            .as_mut()
            .map_or(whole, |gathered| gathered.as_mut_slice());
        xor(payload, *key);
        if fault!("control-leaked") {
            mem::forget(core::hint::black_box(Box::new(*key)));
        }
        let event = control_event(opcode, payload);
        *phase = match opcode {
            _ if event.is_err() => {
                *input = &mut [];
                Phase::Failed
            }
            OpCode::Close => Phase::Closed,
            _ => Phase::Header,
        };
        event.map(Some)
    }

    /// Keeps what is there of a control payload that is split between reads;
    /// `true` once it is whole.
    #[cold]
    fn gather_control(&mut self, input: &mut &mut [u8], missing: usize) -> bool {
        let more = take(input, missing.min(input.len()));
        self.control
            .get_or_insert_with(ControlPayload::new)
            .push(more);
        self.remaining -= more.len() as u64;
        self.remaining == 0
    }
}

impl ControlPayload {
    fn new() -> Box<Self> {
        Box::new(Self {
            bytes: [0; MAX_CONTROL_PAYLOAD],
            len: 0,
        })
    }

    fn push(&mut self, more: &[u8]) {
        let len = usize::from(self.len);
        self.bytes[len..len + more.len()].copy_from_slice(more);
        self.len += more.len() as u8;
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }
}

#[inline]
fn control_event(opcode: OpCode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    match opcode {
        OpCode::Ping => Ok(Event::Ping(payload)),
        OpCode::Close => close_frame(payload).map(Event::Close),
        _ => Ok(Event::Pong(payload)),
    }
}

/// Parses the body of a Close frame (section 5.5.1).
fn close_frame(body: &[u8]) -> Result<Option<CloseFrame<'_>>, ProtocolError> {
    //= RFC6455-5.5.1-1, RFC6455-5.5.1-3
    let Some((code, reason)) = body.split_first_chunk() else {
        return Ok(None);
    };
    let code = u16::from_be_bytes(*code);
    let code = CloseCode::new(code).ok_or(ProtocolError::CloseCodeInvalid { code })?;
    //= RFC6455-7.1.5-1, RFC6455-7.1.6-1, RFC6455-8.1-1
    let reason = validate(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8 { code })?;
    Ok(Some(CloseFrame { code, reason }))
}

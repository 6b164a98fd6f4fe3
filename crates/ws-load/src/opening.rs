//! A connection from the first packet to the end of the opening handshake.

use std::io::ErrorKind;

use ws_handshake::{ClientHandshake, ClientProgress, ClientRequest, DeflateParams};

use crate::{error::OpenError, stream::Stream};

/// A connection on its way.
#[derive(Debug)]
pub(crate) struct Opening {
    stream: Stream,
    /// The request, and how much of it was sent; none for plain TCP.
    handshake: Option<ClientHandshake>,
    sent: usize,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    Replying,
    Open,
}

/// What an opening handshake came to.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) deflate: Option<DeflateParams>,
    pub(crate) is_resumed: bool,
    /// What came behind the answer.
    pub(crate) rest: Vec<u8>,
}

/// How much of an answer is read at once.
const READ: usize = 4096;

impl Opening {
    pub(crate) fn new(stream: Stream, request: Option<&ClientRequest>) -> Result<Self, OpenError> {
        let handshake = match request {
            None => None,
            // A refusal's page is not waited for.
            Some(request) => Some(request.clone().max_body(0).start_random().map_err(|_| {
                OpenError::Io(std::io::Error::other("the system gives no random bytes"))
            })?),
        };
        Ok(Self {
            stream,
            handshake,
            sent: 0,
            step: Step::Connecting,
        })
    }

    pub(crate) const fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Gives the stream, once it is open.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Goes on as far as it can; `None` if it takes longer.
    pub(crate) fn advance(&mut self) -> Result<Option<Opened>, OpenError> {
        match self.go_on() {
            Err(OpenError::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            outcome => outcome,
        }
    }

    fn go_on(&mut self) -> Result<Option<Opened>, OpenError> {
        if self.step == Step::Connecting {
            self.stream.shake_hands()?;
            self.send_request()?;
            self.step = Step::Replying;
        }
        self.stream.flush()?;
        match self.handshake {
            Some(_) => self.read_reply(),
            None => Ok(Some(self.open(Opened::default()))),
        }
    }

    fn send_request(&mut self) -> Result<(), OpenError> {
        let request = match &self.handshake {
            Some(handshake) => handshake.request_bytes(),
            None => return Ok(self.stream.check_connected()?),
        };
        while self.sent < request.len() {
            self.sent += self.stream.write(&request[self.sent..])?;
        }
        Ok(())
    }

    fn read_reply(&mut self) -> Result<Option<Opened>, OpenError> {
        let Some(handshake) = &mut self.handshake else {
            return Ok(None);
        };
        let mut buffer = [0; READ];
        loop {
            let len = match self.stream.read(&mut buffer) {
                Ok(got) => got.len,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let status = handshake.eof()?.status;
                    return Err(OpenError::Refused { status });
                }
                Err(error) => return Err(error.into()),
            };
            match handshake.receive(&buffer[..len])? {
                ClientProgress::Incomplete => {
                    if let Some(response) = handshake.response() {
                        let status = response.status;
                        return Err(OpenError::Refused { status });
                    }
                }
                ClientProgress::Refused { response, .. } => {
                    let status = response.status;
                    return Err(OpenError::Refused { status });
                }
                ClientProgress::Agreed { agreed, consumed } => {
                    let rest = buffer[consumed..len].to_vec();
                    return Ok(Some(self.open(Opened {
                        deflate: agreed.deflate,
                        is_resumed: false,
                        rest,
                    })));
                }
            }
        }
    }

    fn open(&mut self, opened: Opened) -> Opened {
        self.step = Step::Open;
        Opened {
            is_resumed: self.stream.is_resumed(),
            ..opened
        }
    }
}

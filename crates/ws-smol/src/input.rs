//! Bytes that were read and are not parsed yet, and where they lie.

use std::{
    cell::{Cell, RefCell},
    mem,
    ops::Range,
};

use ws_proto::{Echoes, PAGE, place_in_page};

/// The buffer that is read into, and what of it is still to be parsed.
///
/// The buffer is lent by the thread for as long as there is something in it:
/// a connection that waits owns none.
#[derive(Debug)]
pub(crate) struct Input {
    memory: Vec<u8>,
    /// What is to be parsed: `memory[start..end]`.
    start: usize,
    end: usize,
    /// Where the message begins that is read to where it belongs. All that is
    /// behind it is parsed.
    gathered: Option<usize>,
}

impl Input {
    /// Starts with bytes that were read before.
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self {
            start: 0,
            end: bytes.len(),
            memory: bytes,
            gathered: None,
        }
    }

    /// Lends what is to be parsed.
    pub(crate) fn unparsed(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    /// Returns where what is to be parsed begins and ends.
    pub(crate) const fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Notes how much is left to be parsed.
    pub(crate) const fn set_left(&mut self, left: usize) {
        self.start = self.end - left;
    }

    /// Lends any part of the buffer.
    pub(crate) fn bytes(&mut self, span: Range<usize>) -> &mut [u8] {
        &mut self.memory[span]
    }

    /// Moves the buffer out, for as long as the connection is needed beside
    /// it; it is to be put back.
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        mem::take(&mut self.memory)
    }

    pub(crate) fn put_memory(&mut self, memory: Vec<u8>) {
        self.memory = memory;
    }

    /// Lends a buffer to read into; what was in it is parsed.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        if self.memory.len() < MEMORY_LEN {
            self.memory = take_memory(BUFFER_LEN, BUFFER_LEN);
        }
        let place = place_in_page(&self.memory);
        (self.start, self.end, self.gathered) = (place, place, None);
        &mut self.memory[place..place + BUFFER_LEN]
    }

    /// Lends `len` bytes that were just read, and are not noted yet.
    pub(crate) fn gained(&mut self, len: usize) -> &mut [u8] {
        &mut self.memory[self.end..self.end + len]
    }

    /// Notes that `len` bytes were read to the end of the input.
    pub(crate) const fn fill(&mut self, len: usize) {
        self.end += len;
    }

    /// Throws away what is not parsed.
    pub(crate) const fn clear(&mut self) {
        self.start = self.end;
        self.gathered = None;
    }

    /// Returns how many bytes it holds once it is parked.
    pub(crate) fn held(&self) -> usize {
        let kept = self.kept().len();
        match kept == 0 || self.is_copied(kept) {
            true => kept,
            false => self.memory.len(),
        }
    }

    /// Gives up what memory is not needed: the buffer if all of it is parsed,
    /// most of it if little is left.
    pub(crate) fn park(&mut self) {
        if self.memory.is_empty() {
            return;
        }
        let kept = self.kept();
        if self.is_copied(kept.len()) {
            let mut parked = Self::new(self.memory[kept.clone()].to_vec());
            if let Some(start) = self.gathered {
                parked.gathered = Some(start - kept.start);
                parked.start = parked.end;
            }
            *self = parked;
        } else if kept.is_empty() {
            *self = Self::new(Vec::new());
        }
    }

    /// Returns where what is needed lies. In front of a message that is room
    /// for a new head, unless the buffer begins with its own, shorter one.
    fn kept(&self) -> Range<usize> {
        match self.gathered {
            Some(start) => start.saturating_sub(HEAD_ROOM)..self.end,
            None => self.start..self.end,
        }
    }

    /// Tells whether so many bytes are taken out of the buffer to park them:
    /// few are copied once for each read; many are left where they lie, which
    /// holds at most eight times their number.
    fn is_copied(&self, kept: usize) -> bool {
        kept <= BUFFER_LEN / 8 && self.memory.len() >= MEMORY_LEN
    }
}

/// A message that is read to where it belongs.
impl Input {
    /// Begins with the last `len` bytes, which are parsed: the start of a
    /// message that is longer.
    pub(crate) const fn begin_message(&mut self, len: usize) {
        self.start = self.end;
        self.gathered = Some(self.end - len);
    }

    pub(crate) const fn is_gathering(&self) -> bool {
        self.gathered.is_some()
    }

    /// Lends the room behind what came of the message, for at most `missing`
    /// bytes. It grows by as many, but never by more than came already.
    pub(crate) fn room(&mut self, missing: u64) -> &mut [u8] {
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if self.end == self.memory.len() {
            self.grow(missing);
        }
        let end = self.end.saturating_add(missing).min(self.memory.len());
        &mut self.memory[self.end..end]
    }

    /// Notes that `len` bytes of it were read and parsed.
    pub(crate) const fn extend_message(&mut self, len: usize) {
        self.end += len;
        self.start = self.end;
    }

    /// Returns where the message lies, which is complete or goes on elsewhere.
    pub(crate) fn end_message(&mut self) -> Option<Range<usize>> {
        let start = self.gathered.take()?;
        self.start = self.end;
        Some(start..self.end)
    }

    /// Moves the message to longer memory: what the thread has at hand for all
    /// of it, or some for twice of what came.
    fn grow(&mut self, missing: usize) {
        let from = self.gathered.unwrap_or(self.end);
        let came = self.end - from;
        let wanted = match fault!("declared-length-reserved") {
            true => missing.min(1 << 30),
            false => missing.min(came),
        };
        let needed = HEAD_ROOM + came + wanted;
        let liked = came.saturating_add(missing).saturating_add(HEAD_ROOM);
        let mut longer = take_memory(needed, liked);
        let start = place_in_page(&longer) + HEAD_ROOM;
        let end = start + came;
        longer[start..end].copy_from_slice(&self.memory[from..self.end]);
        give_memory(mem::replace(&mut self.memory, longer));
        (self.start, self.end, self.gathered) = (end, end, Some(start));
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        give_memory(mem::take(&mut self.memory));
    }
}

/// Frames on their way to the transport.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    /// Those that are joined before they are written.
    pub(crate) cork: Vec<u8>,
    /// Those that are written from where they were read to.
    pub(crate) echoes: Echoes,
}

impl Staging {
    /// Returns how many bytes are to be written.
    pub(crate) const fn len(&self) -> usize {
        self.cork.len() + self.echoes.len()
    }
}

/// Runs `write` with an empty staging place of the thread's.
pub(crate) fn with_staging<R>(write: impl FnOnce(&mut Staging) -> R) -> R {
    let kept = STAGING.try_with(Cell::take);
    let mut staging = kept.ok().flatten().unwrap_or_default();
    let result = write(&mut staging);
    let Staging { cork, echoes } = &mut *staging;
    echoes.forget(cork);
    cork.clear();
    cork.shrink_to(STAGING_KEPT);
    // A thread that ends has no place for it any more.
    let _ = STAGING.try_with(|place| place.set(Some(staging)));
    result
}

/// Takes memory for a buffer from the thread, `liked` bytes long if there is
/// some, or makes some for `needed`.
fn take_memory(needed: usize, liked: usize) -> Vec<u8> {
    let kept = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let place = kept
            .iter()
            .rposition(|memory| memory.len() >= liked + PAGE)?;
        Some(kept.swap_remove(place))
    });
    match kept {
        Ok(Some(memory)) => memory,
        _ => vec![0; needed.max(BUFFER_LEN) + PAGE],
    }
}

/// Gives the memory of a buffer to the thread, which keeps some.
fn give_memory(memory: Vec<u8>) {
    if memory.len() < MEMORY_LEN {
        return;
    }
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let len: usize = kept.iter().map(Vec::len).sum();
        if len + memory.len() <= KEPT_LEN {
            kept.push(memory);
        }
    });
}

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static STAGING: Cell<Option<Box<Staging>>> = const { Cell::new(None) };
}

/// Large enough that large messages do not cost a system call for every few
/// pages; only the pages that were read into are ever in memory.
pub(crate) const BUFFER_LEN: usize = 512 * 1024;

/// A buffer, wherever in its page it starts.
const MEMORY_LEN: usize = BUFFER_LEN + PAGE;

/// Room for a head in front of a message.
const HEAD_ROOM: usize = ws_proto::MAX_HEADER_LEN;

/// How much memory a thread keeps for buffers that are lent again, and how
/// much for frames.
const KEPT_LEN: usize = 32 * 1024 * 1024;
const STAGING_KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_input_owns_no_more_than_it_needs() {
        let mut input = Input::new(Vec::new());
        input.buffer()[..10].copy_from_slice(b"0123456789");
        input.fill(10);
        input.set_left(6);
        input.park();
        assert_eq!(input.unparsed(), b"456789");
        assert!(input.memory.capacity() < 100);
        assert_eq!(input.held(), 6);
        input.clear();
        input.park();
        assert_eq!((input.memory.capacity(), input.held()), (0, 0));
    }

    #[test]
    fn message_whose_head_is_all_that_lies_in_front_of_it_is_parked() {
        const HEAD: usize = 10;
        for len in [100, BUFFER_LEN / 2] {
            let mut input = Input::new(Vec::new());
            input.buffer();
            // As a buffer whose first byte is in the right place in its page.
            (input.start, input.end) = (0, HEAD + len);
            input.memory[..HEAD + len].fill(b'h');
            input.memory[HEAD..HEAD + len].fill(b'm');
            input.begin_message(len);
            assert!(input.held() >= HEAD + len);
            input.park();
            input.room(1)[0] = b'm';
            input.extend_message(1);
            let span = input.end_message().unwrap();
            assert_eq!(input.bytes(span), vec![b'm'; len + 1]);
        }
    }

    #[test]
    fn what_is_held_is_what_is_held_once_it_is_parked() {
        for (len, held) in [
            (BUFFER_LEN / 8, BUFFER_LEN / 8),
            (BUFFER_LEN / 2, MEMORY_LEN),
        ] {
            let mut input = Input::new(Vec::new());
            input.buffer();
            assert_eq!(input.held(), 0);
            input.fill(len);
            assert_eq!(input.held(), held);
            input.park();
            assert_eq!((input.memory.len(), input.held()), (held, held));
        }
    }

    #[test]
    fn buffer_goes_round() {
        let mut input = Input::new(Vec::new());
        let address = input.buffer().as_ptr();
        input.park();
        let mut other = Input::new(Vec::new());
        assert_eq!(other.buffer().as_ptr(), address);
    }

    #[test]
    fn message_is_read_to_where_it_belongs_and_the_buffer_grows_by_what_came() {
        let message: Vec<u8> = (0..3 * BUFFER_LEN + 5).map(|i| (i % 251) as u8).collect();
        for first in [100, BUFFER_LEN / 4, BUFFER_LEN - HEAD_ROOM] {
            let mut input = Input::new(Vec::new());
            let buffer = input.buffer();
            buffer[HEAD_ROOM..HEAD_ROOM + first].copy_from_slice(&message[..first]);
            input.fill(HEAD_ROOM + first);
            input.begin_message(first);
            let mut came = first;
            while came < message.len() {
                input.park();
                let missing = message.len() - came;
                let room = input.room(missing as u64);
                assert!(!room.is_empty() && room.len() <= missing);
                let len = room.len();
                room.copy_from_slice(&message[came..came + len]);
                input.fill(len);
                came += len;
            }
            let span = input.end_message().unwrap();
            assert!(span.start >= HEAD_ROOM);
            assert_eq!(input.bytes(span), message);
            assert!(input.unparsed().is_empty());
        }
    }
}

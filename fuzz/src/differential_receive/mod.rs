//! What other libraries make of the same bytes.
//!
//! That all agree is no proof of anything: each is known to let something
//! pass. So a difference is a finding unless the table in `differences` has
//! it, and the table says what the other makes of it instead, to the item.
//!
//! Who refuses a frame early and who waits until it is whole differ in time
//! alone. So all read whole frames, and it is compared which one ended it.

mod differences;
mod frame;
mod readers;

use std::sync::Once;

use differences::{DIFFERENCES, Difference, Reads};
use frame::Frame;
use readers::{End, Outcome, Peer, Role};

/// The longest message, for all.
const MAX_MESSAGE: usize = 300;

/// The same messages come in the same order, and the same frame ends it in the
/// same way, but for what the table says.
pub fn others_read_the_same(wire: &[u8]) {
    static TABLE: Once = Once::new();
    TABLE.call_once(each_row_is_needed);
    let frames = frame::split(wire, MAX_MESSAGE);
    for role in [Role::Server, Role::Client] {
        for peer in [Peer::Tungstenite, Peer::TokioWebsockets] {
            let rows = DIFFERENCES.iter().filter(|row| row.peer == peer);
            let (expected, theirs) = read(peer, role, &frames, rows);
            assert_eq!(
                expected, theirs,
                "we are left, {peer:?} as {role:?} is right: {frames:x?}"
            );
        }
    }
}

/// What is to be expected of a peer by our reading and some rows of the table,
/// and what it makes of the frames.
fn read<'a>(
    peer: Peer,
    role: Role,
    frames: &[Frame],
    rows: impl Iterator<Item = &'a Difference>,
) -> (Outcome, Outcome) {
    let mut taken_for = frames.to_vec();
    let mut items = Vec::new();
    for row in rows {
        match row.reads {
            Reads::Frame(reads) => taken_for.iter_mut().for_each(reads),
            Reads::Item(reads) => items.push(reads),
        }
    }
    let (mut expected, error) = readers::ours(role, &taken_for);
    let mut given = frames;
    if let Some(error) = error {
        let read = &taken_for[..expected.frames];
        // Where it goes on from there is its own affair.
        if let Some(item) = items.into_iter().find_map(|reads| reads(error, read)) {
            expected.items.push(item);
            expected.end = End::Input;
            given = &frames[..expected.frames];
        }
    }
    (expected, peer.read(role, given))
}

/// A difference that is no more would hide the next one.
fn each_row_is_needed() {
    for row in DIFFERENCES {
        let frames = frame::split(row.example, MAX_MESSAGE);
        let others = DIFFERENCES
            .iter()
            .filter(|other| other.peer == row.peer && !std::ptr::eq(*other, row));
        let (expected, theirs) = read(row.peer, Role::Client, &frames, others);
        assert_ne!(expected, theirs, "no longer true: {}", row.why);
    }
}

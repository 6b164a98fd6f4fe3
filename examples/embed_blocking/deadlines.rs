//! Every deadline and limit holds.

use examples::deadlines::{check, check_handshake};

use super::serve;

#[test]
fn every_deadline_and_limit_ends_the_connection() {
    check(&serve);
}

#[test]
fn bad_request_is_answered() {
    check_handshake(&serve);
}

//! Where the connections of a loop are kept, and their deadlines.

pub(crate) mod arena;
pub(crate) mod connections_by_address;
pub(crate) mod wheel;

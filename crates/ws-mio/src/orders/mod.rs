//! What handlers ask of their loop, and what is published to all loops.

pub(crate) mod audience;
pub(crate) mod publication_log;
pub(crate) mod queue;
pub(crate) mod topic_sizes;
pub(crate) mod topics;

//! What idle connections of a loop are served with.

use crate::{
    Config, Handler, Profile,
    connection::{Link, new_link, role::Role},
};

/// A profile, and what idle connections are served with that have it.
pub(crate) struct Served {
    pub(crate) profile: Profile,
    /// By the role and by whether the peer may send compressed messages.
    pub(crate) spares: [[Link; 2]; 4],
}

impl Served {
    /// Makes all that a loop has; the first is that of the configuration.
    pub(crate) fn all<H: Handler>(config: &Config) -> Box<[Self]> {
        let first = Profile {
            limits: config.limits,
            keepalive: config.keepalive,
            chunks: H::CHUNKS,
            max_frame_sent: None,
        };
        let profiles = std::iter::once(first).chain(config.profiles.iter().cloned());
        let served = profiles.map(|profile| {
            let fresh = |role, flag| new_link(role, flag, &profile, config);
            let spares = Role::ALL.map(|role| [false, true].map(|flag| fresh(role, flag)));
            Self { profile, spares }
        });
        served.collect()
    }
}

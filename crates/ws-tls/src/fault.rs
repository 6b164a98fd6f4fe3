//! Faults that can be planted, to see that tests and the simulator find them.
//! `crates/ws-conformance/faults.toml` lists them.

/// Tells whether the fault of this name is planted. It is `false` itself in every build but those
/// with `--cfg ws_faults`, which ask the environment variable `WS_FAULT` once for each place.
#[cfg(not(ws_faults))]
macro_rules! fault {
    ($name:literal) => {
        false
    };
}

#[cfg(ws_faults)]
macro_rules! fault {
    ($name:literal) => {{
        extern crate std;
        static IS_PLANTED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
            std::env::var_os("WS_FAULT").is_some_and(|name| name == $name)
        });
        *IS_PLANTED
    }};
}

//! For which peers a flag of [MS-WSPE] is on.

use ws_smol::ControlledNetwork;

use crate::{exit::Failure, options::Given};

/// Reads an option that is a flag, or a flag for a list of networks; `None`
/// where it was not given.
pub(crate) fn of_option(given: &Given, option: &str) -> Result<Option<ControlledNetwork>, Failure> {
    if !given.has(option) {
        return Ok(None);
    }
    let lists = given.texts(option)?;
    if lists.is_empty() {
        return Ok(Some(true.into()));
    }
    let mut networks = ControlledNetwork::new();
    for network in lists.iter().flat_map(|list| list.split(',')) {
        networks = networks.network(network.parse().map_err(|_| {
            Failure::usage(format!(
                "--{option}: {network:?} is no network; one is an address and the bits of its \
                 prefix, such as 10.0.0.0/8 or fd00::/8"
            ))
        })?);
    }
    Ok(Some(networks))
}

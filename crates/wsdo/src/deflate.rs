//! Parameters of permessage-deflate, as options give them.

use ws_smol::{DeflateOffer, DeflateParams, DeflatePolicy};

use crate::exit::Failure;

/// What a client asks for; without parameters, what browsers do.
pub(crate) fn offer(parameters: Option<&str>) -> Result<DeflateOffer, Failure> {
    let params = read(parameters)?;
    let smaller = |bits| Some(bits).filter(|bits| *bits < 15);
    let offer = DeflateOffer::new()
        .server_no_context_takeover(params.server_no_context_takeover)
        .client_no_context_takeover(params.client_no_context_takeover)
        .client_max_window_bits(smaller(params.client_max_window_bits));
    Ok(match smaller(params.server_max_window_bits) {
        Some(bits) => offer.server_max_window_bits(bits),
        None => offer,
    })
}

/// What a server demands; without parameters, it agrees to whatever a client
/// asks for.
pub(crate) fn policy(parameters: Option<&str>) -> Result<DeflatePolicy, Failure> {
    let params = read(parameters)?;
    Ok(DeflatePolicy::new()
        .server_no_context_takeover(params.server_no_context_takeover)
        .client_no_context_takeover(params.client_no_context_takeover)
        .server_max_window_bits(params.server_max_window_bits)
        .client_max_window_bits(params.client_max_window_bits))
}

fn read(parameters: Option<&str>) -> Result<DeflateParams, Failure> {
    let mut params = DeflateParams::default();
    for param in parameters.iter().flat_map(|list| list.split(',')) {
        match param.split_once('=').unwrap_or((param, "")) {
            ("server_no_context_takeover", "") => params.server_no_context_takeover = true,
            ("client_no_context_takeover", "") => params.client_no_context_takeover = true,
            ("server_max_window_bits", bits) => params.server_max_window_bits = window(bits)?,
            ("client_max_window_bits", bits) => params.client_max_window_bits = window(bits)?,
            _ => return Err(Failure::usage(format!("--deflate has no {param:?}"))),
        }
    }
    Ok(params)
}

fn window(bits: &str) -> Result<u8, Failure> {
    match bits.parse() {
        Ok(bits @ 8..=15) => Ok(bits),
        _ => Err(Failure::usage(format!(
            "--deflate: a window has 8 to 15 bits, not {bits:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_or_refused() {
        let asked = |parameters| offer(parameters).map(|offer| offer.to_string());
        assert_eq!(asked(None).unwrap(), DeflateOffer::default().to_string());
        assert_eq!(
            asked(Some("server_no_context_takeover,server_max_window_bits=9")).unwrap(),
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits"
        );
        for wrong in [
            "",
            "level=9",
            "server_max_window_bits=7",
            "client_max_window_bits",
        ] {
            assert!(offer(Some(wrong)).is_err(), "{wrong}");
            assert!(policy(Some(wrong)).is_err(), "{wrong}");
        }
    }
}

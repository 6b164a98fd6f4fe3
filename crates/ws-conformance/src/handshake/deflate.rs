//! Parameters of permessage-deflate, in vectors and in answers.

use serde_json::Value;
use ws_handshake::{DeflateParams, DeflatePolicy};

use crate::{Failure, json::Object};

/// Parameters of a vector's `deflate`, with the defaults of RFC 7692.
pub(super) fn params(value: Object<'_>) -> Result<DeflateParams, Failure> {
    let bits = |field| -> Result<u8, Failure> {
        let bits = value.number_or_none(field)?.unwrap_or(15);
        u8::try_from(bits).map_err(|_| value.wrong(field, "a size of a window"))
    };
    Ok(DeflateParams {
        server_no_context_takeover: value.flag("server_no_context_takeover")?,
        client_no_context_takeover: value.flag("client_no_context_takeover")?,
        server_max_window_bits: bits("server_max_window_bits")?,
        client_max_window_bits: bits("client_max_window_bits")?,
    })
}

pub(super) fn policy(value: Object<'_>) -> Result<DeflatePolicy, Failure> {
    let params = params(value)?;
    Ok(DeflatePolicy::new()
        .server_no_context_takeover(params.server_no_context_takeover)
        .client_no_context_takeover(params.client_no_context_takeover)
        .server_max_window_bits(params.server_max_window_bits)
        .client_max_window_bits(params.client_max_window_bits))
}

/// The name and value of each parameter in a server's answer.
fn answered(header: &str) -> Result<Vec<(&str, Option<&str>)>, String> {
    let mut parts = header.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return Err(format!("answers with extensions {header:?}"));
    }
    Ok(parts
        .map(|part| match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        })
        .collect())
}

/// Holds an answer against `present`, `absent`, `optional` or `{max, required}` of each parameter.
pub(super) fn check_answer(header: &str, expected: &Value) -> Result<(), String> {
    let answered = answered(header)?;
    let expected = expected
        .as_object()
        .ok_or("an expectation that is no object")?;
    if let Some((stranger, _)) = answered
        .iter()
        .find(|(name, _)| !expected.contains_key(*name))
    {
        return Err(format!("answers with a parameter {stranger}"));
    }
    for (name, rule) in expected {
        let values: Vec<_> = answered.iter().filter(|(given, _)| given == name).collect();
        let is_good = match (rule.as_str(), values.as_slice()) {
            (Some("present"), [(_, None)])
            | (Some("absent"), [])
            | (Some("optional"), [] | [(_, None)]) => true,
            (None, []) => rule["required"] == false,
            (None, [(_, Some(bits))]) => {
                let max = rule["max"].as_u64().unwrap_or_default();
                bits.parse()
                    .is_ok_and(|bits: u64| (8..=max).contains(&bits))
            }
            _ => false,
        };
        if !is_good {
            return Err(format!("answers {header:?}; {name} should be {rule}"));
        }
    }
    Ok(())
}

/// What an answer says to a client.
pub(super) fn told(header: &str) -> DeflateParams {
    let mut params = DeflateParams::default();
    for (name, value) in answered(header).unwrap_or_default() {
        let bits = || value.and_then(|bits| bits.parse().ok()).unwrap_or_default();
        match name {
            "server_no_context_takeover" => params.server_no_context_takeover = true,
            "client_no_context_takeover" => params.client_no_context_takeover = true,
            "server_max_window_bits" => params.server_max_window_bits = bits(),
            "client_max_window_bits" => params.client_max_window_bits = bits(),
            _ => {}
        }
    }
    params
}

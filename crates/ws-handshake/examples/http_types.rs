//! An HTTP server that works with the types of the `http` crate answers WebSocket requests beside
//! its pages.
//!
//! ```sh
//! cargo run -p ws-handshake --features http --example http_types
//! ```

use http::StatusCode;
use ws_handshake::{OriginPolicy, Request, Response, ServerConfig};

/// Answers a request as the router of an HTTP server does.
///
/// After a 101 the server hands the transport, and the bytes that it has read behind the head, to a
/// frame layer such as `ws-proto` or `ws_smol::WebSocket`.
fn answer(config: &ServerConfig, request: &http::Request<()>) -> http::Response<Vec<u8>> {
    let parsed = match Request::from_http(request) {
        Ok(parsed) => parsed,
        Err(error) => return error.rejection().to_http(),
    };
    if !parsed.is_upgrade() {
        let page = Response::new(200).body("a page").for_request(&parsed);
        return page.to_http();
    }
    if parsed.path() != "/chat" {
        return Response::new(404).for_request(&parsed).to_http();
    }
    match config.negotiate(&parsed) {
        Ok(acceptance) => acceptance.to_http().map(|()| Vec::new()),
        Err(error) => error.rejection().for_request(&parsed).to_http(),
    }
}

fn config() -> ServerConfig {
    // Pages of other sites must not act for our users.
    let origins = OriginPolicy::list(["https://example.com"]).expect("legal origins");
    ServerConfig::new(origins).subprotocols(["chat"])
}

/// What a browser sends from a page of `origin`.
fn upgrade(path: &str, origin: &str) -> http::Request<()> {
    http::Request::get(path)
        .header("Host", "example.com")
        .header("Origin", origin)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Protocol", "chat")
        .body(())
        .expect("a legal request")
}

fn page() -> http::Request<()> {
    let request = http::Request::get("/").header("Host", "example.com");
    request.body(()).expect("a legal request")
}

fn main() {
    let config = config();
    for request in [
        upgrade("/chat", "https://example.com"),
        upgrade("/chat", "https://elsewhere.example"),
        upgrade("/", "https://example.com"),
        page(),
    ] {
        let response = answer(&config, &request);
        println!("{} -> {}", request.uri(), response.status());
        for (name, value) in response.headers() {
            println!("  {name}: {}", value.to_str().unwrap_or("?"));
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            println!("  (frames follow)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_get_their_answers() {
        let status = |request| answer(&config(), &request).status().as_u16();
        assert_eq!(status(upgrade("/chat", "https://example.com")), 101);
        assert_eq!(status(upgrade("/chat", "https://elsewhere.example")), 403);
        assert_eq!(status(upgrade("/", "https://example.com")), 404);
        assert_eq!(status(page()), 200);
    }
}

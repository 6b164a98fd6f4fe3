//! Credentials, from where no other user of the machine sees them: the list of
//! processes shows every argument.

use std::{env, fs};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ws_smol::Uri;

use crate::exit::{Exit, Failure};

/// Reads what `@FILE` or `env:NAME` names.
pub(crate) fn read(option: &str, source: &str) -> Result<String, Failure> {
    if let Some(file) = source.strip_prefix('@') {
        return fs::read_to_string(file).map_err(|error| Failure::file(file, error));
    }
    if let Some(name) = source.strip_prefix("env:") {
        return env::var(name)
            .map_err(|error| Failure::new(Exit::Failure, format!("--{option} {source}: {error}")));
    }
    // It is not repeated, as it may be the secret itself.
    Err(Failure::usage(format!(
        "--{option} takes @FILE or env:NAME: what is written here is shown to everybody who lists \
         processes"
    )))
}

/// Makes the value of `Authorization` of `user:password`.
pub(crate) fn basic(text: &str) -> Result<String, Failure> {
    let pair = without_line_end(text);
    if !pair.contains(':') {
        return Err(Failure::new(
            Exit::Failure,
            "credentials for --basic are USER:PASSWORD",
        ));
    }
    Ok(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

/// Makes the value of `Authorization` of a token.
pub(crate) fn bearer(text: &str) -> String {
    format!("Bearer {}", text.trim())
}

/// Makes the value of `Cookie` for a URL: of lines `name=value`, or of a file
/// as curl and browsers export it (Netscape's format). `None` if no cookie is
/// for the URL.
pub(crate) fn cookies(text: &str, uri: &Uri) -> Option<String> {
    let mut pairs = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            [domain, with_subdomains, path, secure, _, name, value] => {
                let is_for_us = is_in_domain(uri.host(), domain, with_subdomains == "TRUE")
                    && is_below(uri.resource_name(), path)
                    && (secure != "TRUE" || uri.is_secure());
                if is_for_us {
                    pairs.push(format!("{name}={value}"));
                }
            }
            _ => pairs.extend(line.split(';').map(|pair| pair.trim().to_owned())),
        }
    }
    pairs.retain(|pair| !pair.is_empty());
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

fn is_in_domain(host: &str, domain: &str, with_subdomains: bool) -> bool {
    let domain = domain.trim_start_matches('.');
    if host.eq_ignore_ascii_case(domain) {
        return true;
    }
    let Some(at) = host.len().checked_sub(domain.len() + 1) else {
        return false;
    };
    let (start, end) = (host.get(at..=at), host.get(at + 1..));
    with_subdomains && start == Some(".") && end.is_some_and(|end| end.eq_ignore_ascii_case(domain))
}

/// RFC 6265 section 5.1.4.
fn is_below(resource: &str, path: &str) -> bool {
    let asked = resource.split('?').next().unwrap_or(resource);
    match asked.strip_prefix(path) {
        None => false,
        Some(rest) => rest.is_empty() || rest.starts_with('/') || path.ends_with('/'),
    }
}

fn without_line_end(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_on_the_command_line_is_refused_and_not_repeated() {
        let failure = read("bearer", "hunter2").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(!failure.message.contains("hunter2"));
    }

    #[test]
    fn basic_credentials_are_a_pair() {
        assert_eq!(
            basic("Aladdin:open sesame\n").unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert!(!basic("secret").unwrap_err().message.contains("secret"));
    }

    #[test]
    fn cookies_of_an_export_go_to_their_site_alone() {
        let export = "# Netscape HTTP Cookie File\n\
            .example.com\tTRUE\t/\tFALSE\t0\tall\t1\n\
            #HttpOnly_example.com\tFALSE\t/app\tTRUE\t0\tapp\t2\n\
            other.example\tTRUE\t/\tFALSE\t0\tother\t3\n";
        for (url, expected) in [
            ("wss://example.com/app/x?y", Some("all=1; app=2")),
            ("ws://example.com/app", Some("all=1")),
            ("wss://example.com/apple", Some("all=1")),
            ("wss://sub.example.com/app", Some("all=1")),
            ("wss://notexample.com/", None),
            ("wss://com/", None),
        ] {
            let uri = Uri::parse(url).unwrap();
            assert_eq!(cookies(export, &uri).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn cookies_of_lines_all_go_along() {
        let uri = Uri::parse("ws://a/").unwrap();
        assert_eq!(
            cookies("a=1; b=2\nc=3\n", &uri).as_deref(),
            Some("a=1; b=2; c=3")
        );
        assert_eq!(cookies("", &uri), None);
    }
}

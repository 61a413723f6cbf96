//! Digest challenges as carriers send them, made into those that the crate understands, and its answers back again.
//!
//! The crate spells SHA-256 "SHA256", takes no list for `qop`, and hashes `-sess` and SHA-512-256 wrongly; one header
//! that it cannot read fails the whole request. A carrier may send several challenges, best first (RFC 8760).

use rsipstack::sip::{Header, Headers, Request, Response};

const KNOWN: [(&str, &str); 2] = [("MD5", "MD5"), ("SHA-256", "SHA256")];

pub fn readable(response: &mut Response) {
    if !matches!(response.status_code.code(), 401 | 407) {
        return;
    }
    let is_usable = |header: &Header| match header {
        Header::WwwAuthenticate(value) => rewritten(value.value()).is_some(),
        Header::ProxyAuthenticate(value) => rewritten(value.value()).is_some(),
        _ => false,
    };
    if response.headers.iter().any(is_usable) {
        response.headers.retain(|header| !is_challenge(header) || is_usable(header));
    }
    each_challenge(&mut response.headers);
}

fn is_challenge(header: &Header) -> bool {
    matches!(header, Header::WwwAuthenticate(_) | Header::ProxyAuthenticate(_))
}

fn each_challenge(headers: &mut Headers) {
    for header in headers.iter_mut() {
        match header {
            Header::WwwAuthenticate(value) => {
                if let Some(text) = rewritten(value.value()) {
                    value.replace(text);
                }
            }
            Header::ProxyAuthenticate(value) => {
                if let Some(text) = rewritten(value.value()) {
                    value.replace(text);
                }
            }
            _ => {}
        }
    }
}

/// The challenge as the crate reads it; None when we cannot answer it.
fn rewritten(challenge: &str) -> Option<String> {
    let (scheme, parameters) = challenge.trim().split_once(char::is_whitespace)?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let mut kept = Vec::new();
    for parameter in split(parameters) {
        let (name, value) = parameter.split_once('=')?;
        let (name, plain) = (name.trim(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("algorithm") {
            let (_, theirs) = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(plain))?;
            kept.push(format!("algorithm={theirs}"));
        } else if name.eq_ignore_ascii_case("qop") {
            plain.split(',').find(|word| word.trim().eq_ignore_ascii_case("auth"))?;
            kept.push("qop=\"auth\"".into());
        } else {
            kept.push(format!("{name}={}", value.trim()));
        }
    }
    Some(format!("Digest {}", kept.join(", ")))
}

/// At commas outside of quotes.
fn split(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(|character| {
        if character == '"' {
            is_quoted = !is_quoted;
        }
        character == ',' && !is_quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

/// The answer as a carrier reads it.
pub fn spelled(request: &mut Request) {
    for header in request.headers.iter_mut() {
        match header {
            Header::Authorization(value) => value.replace(value.value().replace("SHA256", "SHA-256")),
            Header::ProxyAuthorization(value) => value.replace(value.value().replace("SHA256", "SHA-256")),
            _ => {}
        }
    }
}

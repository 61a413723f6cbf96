//! Between the crate's types and the plain ones that Python sees.

use ipnet::IpNet;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::sip::headers::make_header;
use rsipstack::sip::{Header, Headers, HeadersExt, Request, Response, StatusCode, Transport, Uri};
use std::net::{IpAddr, SocketAddr};

pub type Pairs = Vec<(String, String)>;
/// User name, password, user name of the digest when it is another.
pub type Secret = (String, String, Option<String>);

pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY";

pub fn pairs(headers: &Headers) -> Pairs {
    headers.iter().map(|header| (header.name().to_string(), header.value().to_string())).collect()
}

pub fn headers(pairs: Pairs) -> Vec<Header> {
    pairs
        .into_iter()
        .map(|(name, value)| match make_header(&name, value) {
            Header::Other(_, value) => Header::Other(name, value),
            known => known,
        })
        .collect()
}

pub fn credential(secret: Secret) -> Credential {
    let (username, password, auth_username) = secret;
    Credential { username, password, realm: None, auth_username }
}

pub fn uri(text: &str) -> Result<Uri, String> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("no SIP URI: {text:?}"));
    }
    let uri = Uri::try_from(text).map_err(|error| error.to_string())?;
    match uri.scheme.as_ref().map(|scheme| scheme.to_string()) {
        Some(scheme) if scheme == "sip" || scheme == "sips" => Ok(uri),
        _ => Err(format!("no SIP URI: {text:?}")),
    }
}

pub fn uris(texts: &[String]) -> Result<Vec<Uri>, String> {
    texts.iter().map(|text| uri(text)).collect()
}

pub fn networks(texts: &[String]) -> Result<Vec<IpNet>, String> {
    let read = |text: &String| text.parse().or_else(|_| text.parse().map(|ip: IpAddr| ip.into()));
    texts.iter().map(|text| read(text).map_err(|_| format!("no network: {text:?}"))).collect()
}

pub fn socket((host, port): &(String, u16)) -> Result<SocketAddr, String> {
    let ip = host.parse().map_err(|_| format!("no IP address: {host:?}"))?;
    Ok(SocketAddr::new(ip, *port))
}

pub fn transport(name: &str) -> Result<Transport, String> {
    match name {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        _ => Err(format!("no transport: {name:?}")),
    }
}

pub fn transport_name(transport: Transport) -> String {
    transport.to_string().to_ascii_lowercase()
}

/// The status line's reason: as sent, else the usual one.
pub fn reason(response: &Response) -> String {
    match &response.wire_reason {
        Some(sent) => sent.clone(),
        None => response.status_code.text().to_string(),
    }
}

pub fn status(code: u16) -> StatusCode {
    StatusCode::from(code)
}

pub fn to_tag(request: &Request) -> Option<String> {
    let tag = request.to_header().ok()?.tag().ok()??;
    Some(tag.value().to_string())
}

pub fn from_tag(request: &Request) -> Option<String> {
    let tag = request.from_header().ok()?.tag().ok()??;
    Some(tag.value().to_string())
}

pub fn call_id(request: &Request) -> Option<String> {
    Some(request.call_id_header().ok()?.value().to_string())
}

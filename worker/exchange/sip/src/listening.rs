//! Connections that others open to us: only as many as one address may have, and only from those who may begin
//! something. The crate's own listeners take all that come.

use crate::admission::Gate;
use rsipstack::sip::Transport;
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::tls::{ReloadableCertResolver, TlsConnection};
use rsipstack::transport::{SipAddr, SipConnection};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

/// Where the system has no descriptor left for one more.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Door {
    pub listener: TcpListener,
    /// What we say that we are.
    pub shown: SipAddr,
    pub acceptor: Option<TlsAcceptor>,
    pub handshake: Duration,
}

pub fn acceptor(certificate: &[u8], private_key: &[u8]) -> Result<TlsAcceptor, String> {
    let config = ServerConfig::builder().with_no_client_auth();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let resolver =
        ReloadableCertResolver::new(certificate, private_key, provider).map_err(|error| error.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::new(resolver)))))
}

/// Until cancelled.
pub async fn serve(door: Door, endpoint: EndpointInnerRef, gate: Arc<Gate>, token: CancellationToken) {
    let door = Arc::new(door);
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            _ = token.cancelled() => return,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if !gate.lets_connect(from) {
            continue;
        }
        let (door, endpoint, gate, token) = (door.clone(), endpoint.clone(), gate.clone(), token.clone());
        tokio::spawn(async move {
            match connection(&door, stream, from, token).await {
                Some(connection) => endpoint.transport_layer.add_connection(connection),
                None => gate.disconnected(from),
            }
        });
    }
}

async fn connection(
    door: &Door,
    stream: TcpStream,
    from: SocketAddr,
    token: CancellationToken,
) -> Option<SipConnection> {
    let (shown, token) = (door.shown.clone(), Some(token.child_token()));
    let Some(acceptor) = &door.acceptor else {
        return TcpConnection::from_stream(stream, shown, token).ok().map(SipConnection::Tcp);
    };
    let stream = tokio::time::timeout(door.handshake, acceptor.accept(stream)).await.ok()?.ok()?;
    let remote = SipAddr::new(Transport::Tls, from.into());
    TlsConnection::from_server_stream(stream, shown, remote, token).await.ok().map(SipConnection::Tls)
}

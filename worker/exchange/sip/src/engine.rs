//! The SIP thread: sockets, the endpoint on them, and the tasks that serve it.

use crate::abandon;
use crate::admission::{Doorkeeper, Gate};
use crate::calls::{Calls, Core, Local};
use crate::challenges;
use crate::events::Outbox;
use crate::inbound;
use crate::listening::{self, Door};
use crate::targets::{Locator, Reach, Resolver, Targets};
use crate::wire;
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::sip::{HeadersExt, HostWithPort, Method, Request, SipMessage, ToTypedHeader, Transport};
use rsipstack::transaction::endpoint::{EndpointOption, MessageInspector};
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{
    SipAddr, SipConnection, TcpListenerConnection, TlsConfig, TlsListenerConnection, TransportLayer,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HANDSHAKE: Duration = Duration::from_secs(5);
pub const CALL_ID_SUFFIX: &str = "call2me";

pub struct Listener {
    pub transport: Transport,
    pub address: SocketAddr,
    /// What Contact and Via say; a port of 0 stands for the one that is listened on.
    pub advertised: Option<SocketAddr>,
    pub certificate: Vec<u8>,
    pub private_key: Vec<u8>,
}

pub struct Settings {
    pub user_agent: String,
    pub nameservers: Vec<SocketAddr>,
    pub authorities: Option<Vec<u8>>,
    pub connect: Duration,
    pub try_next: Duration,
    pub pending_limit: usize,
    /// RFC 3261's estimate of a round trip, which all of its timers are multiples of.
    pub t1: Duration,
    pub reach: Reach,
}

pub struct Started {
    pub core: Arc<Core>,
    pub addresses: Vec<(Transport, SocketAddr)>,
}

/// Looks at each message on its way. Requests of ours get our own address of the right transport into their Via: the
/// crate takes that of its first listener wherever a locator decides. An INVITE that makes a telephone ring is written
/// down as it leaves, and before it does.
struct Clerk {
    vias: Vec<(Transport, HostWithPort)>,
    calls: Arc<Calls>,
}

impl Clerk {
    fn note(&self, invite: &Request, destination: &SipAddr) {
        let is_first = invite.method == Method::Invite && wire::to_tag(invite).is_none();
        let Some(call) = is_first.then(|| self.calls.placed_by(invite)).flatten() else { return };
        let Some(journal) = call.journal.as_ref().filter(|_| !call.is(|call| &call.is_over)) else { return };
        let (via, text) = (invite.via_header().ok(), abandon::written(invite, destination));
        let written = via.zip(text).is_some_and(|(via, text)| journal.write(via.value(), &text).is_ok());
        if !written {
            call.is_unwritten.store(true, Ordering::SeqCst);
            call.is_cancelled.store(true, Ordering::SeqCst);
            call.cancelled.notify_one();
        }
    }
}

impl MessageInspector for Clerk {
    fn before_send(&self, mut message: SipMessage, destination: Option<&SipAddr>) -> SipMessage {
        let SipMessage::Request(request) = &mut message else { return message };
        challenges::spelled(request);
        let Some(destination) = destination else { return message };
        let Some(transport) = destination.r#type else { return message };
        let ours = self.vias.iter().find(|(of, _)| *of == transport).map(|(_, address)| address.clone());
        if let Ok(via) = request.via_header_mut() {
            via.update_first_value(|value| {
                let mut via = value.typed()?;
                if via.transport == transport {
                    return Ok(value);
                }
                via.transport = transport;
                if let Some(address) = ours {
                    via.uri.host_with_port = address;
                }
                Ok(via.into())
            })
            .ok();
        }
        self.note(request, destination);
        message
    }

    fn after_received(&self, mut message: SipMessage, _from: Option<&SipAddr>) -> SipMessage {
        if let SipMessage::Response(response) = &mut message {
            challenges::readable(response);
        }
        message
    }
}

/// Opens the sockets and starts to serve them. Inside of the runtime.
pub async fn start(
    listeners: Vec<Listener>,
    settings: Settings,
    gate: Arc<Gate>,
    outbox: Arc<Outbox>,
    token: CancellationToken,
) -> Result<Started, String> {
    let has_udp = listeners.iter().any(|listener| listener.transport == Transport::Udp);
    let targets = Arc::new(Targets::new(
        &settings.nameservers,
        settings.authorities.clone(),
        settings.connect,
        has_udp,
        settings.reach,
        token.child_token(),
    )?);
    let layer = TransportLayer::new_with_domain_resolver(token.clone(), Box::new(Resolver(targets.clone())));
    if let Some(authorities) = settings.authorities {
        layer.set_tls_config(TlsConfig { ca_certs: Some(authorities), ..TlsConfig::default() });
    }
    let mut locals = Vec::new();
    let mut doors = Vec::new();
    let mut addresses = Vec::new();
    for listener in listeners {
        let where_to = format!("{} {}", listener.transport, listener.address);
        let (connection, bound, shown, door) =
            open(listener, &token).await.map_err(|error| format!("{where_to}: {error}"))?;
        locals.push(Local { transport: bound.0, address: SipAddr::new(bound.0, shown.into()) });
        addresses.push(bound);
        match door {
            // Served by us: the crate only needs to know that it is there, and serves those it knows at the start.
            Some(door) => doors.push((connection, door)),
            None => layer.add_transport(connection),
        }
    }
    let calls = Arc::new(Calls::default());
    let doorkeeper =
        Doorkeeper { gate: gate.clone(), calls: calls.clone(), user_agent: settings.user_agent.clone() };
    let vias = locals.iter().map(|local| (local.transport, local.address.addr.clone())).collect();
    // The ring time is ours: the crate's Timer C would end a long ringing without a CANCEL.
    let option = EndpointOption {
        timerc: Duration::from_secs(24 * 3600),
        callid_suffix: Some(CALL_ID_SUFFIX.into()),
        t1: settings.t1,
        t1x64: settings.t1 * 64,
        ..EndpointOption::default()
    };
    let endpoint = EndpointBuilder::new()
        .with_cancel_token(token.clone())
        .with_transport_layer(layer)
        .with_user_agent(&settings.user_agent)
        .with_option(option)
        .with_inspector(Box::new(Clerk { vias, calls: calls.clone() }))
        .with_target_locator(Box::new(Locator(targets.clone())))
        .with_transport_inspector(Box::new(doorkeeper))
        .build();
    targets.serve(&endpoint.inner);
    let incoming = endpoint.incoming_transactions().map_err(|error| error.to_string())?;
    let core = Arc::new(Core {
        endpoint: endpoint.inner.clone(),
        layer: Arc::new(DialogLayer::new(endpoint.inner.clone())),
        outbox,
        calls,
        targets,
        asked: Default::default(),
        locals,
        seen: Default::default(),
        options_code: AtomicU16::new(200),
        pending: AtomicUsize::new(0),
        pending_limit: settings.pending_limit,
        refused: AtomicU64::new(0),
        try_next: settings.try_next,
    });
    tokio::spawn(inbound::receive(core.clone(), incoming));
    tokio::spawn(async move { endpoint.serve().await });
    tokio::task::yield_now().await;
    for (connection, door) in doors {
        core.endpoint.transport_layer.add_transport(connection);
        tokio::spawn(listening::serve(door, core.endpoint.clone(), gate.clone(), token.child_token()));
    }
    Ok(Started { core, addresses })
}

type Opened = (SipConnection, (Transport, SocketAddr), SocketAddr, Option<Door>);

async fn open(listener: Listener, token: &CancellationToken) -> Result<Opened, String> {
    let transport = listener.transport;
    let shown = |bound: SocketAddr| match listener.advertised {
        Some(mut shown) => {
            if shown.port() == 0 {
                shown.set_port(bound.port());
            }
            shown
        }
        None => SipConnection::resolve_bind_address(bound),
    };
    if transport == Transport::Udp {
        // Bound here, so that the port is known before the crate is told what to say.
        let socket =
            tokio::net::UdpSocket::bind(listener.address).await.map_err(|error| error.to_string())?;
        let bound = socket.local_addr().map_err(|error| error.to_string())?;
        let shown = shown(bound);
        let connection = UdpConnection::from_socket(Arc::new(socket), Some(shown), Some(token.child_token()))
            .await
            .map_err(|error| error.to_string())?;
        return Ok((connection.into(), (transport, bound), shown, None));
    }
    let socket = tokio::net::TcpListener::bind(listener.address).await.map_err(|error| error.to_string())?;
    let bound = socket.local_addr().map_err(|error| error.to_string())?;
    let shown = shown(bound);
    let is_tls = transport == Transport::Tls;
    let door = Door {
        listener: socket,
        shown: SipAddr::new(transport, shown.into()),
        acceptor: is_tls
            .then(|| listening::acceptor(&listener.certificate, &listener.private_key))
            .transpose()?,
        handshake: HANDSHAKE,
    };
    let connection = if is_tls {
        let none = TlsConfig::default();
        TlsListenerConnection::new(bound, Some(shown), none).await.map_err(|error| error.to_string())?.into()
    } else {
        TcpListenerConnection::new(bound, Some(shown)).await.map_err(|error| error.to_string())?.into()
    };
    Ok((connection, (transport, bound), shown, Some(door)))
}

/// Whether a certificate and its key are of one piece, before anybody connects.
pub fn is_pair(certificate: &[u8], private_key: &[u8]) -> Result<(), String> {
    use rsipstack::transport::tls::ReloadableCertResolver;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    ReloadableCertResolver::new(certificate, private_key, provider)
        .map(drop)
        .map_err(|error| error.to_string())
}

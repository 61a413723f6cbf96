//! Where a request goes: names into addresses (RFC 3263), and connections that are made within a deadline.

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use ipnet::IpNet;
use parking_lot::Mutex;
use rsipstack::Error;
use rsipstack::resolver::sip_resolver::{LookupSource, SrvRecord, resolve_logic};
use rsipstack::sip::uri::ParamsExt;
use rsipstack::sip::{Host, HostWithPort, Scheme, Transport, Uri};
use rsipstack::transaction::endpoint::{EndpointInner, EndpointInnerRef, TargetLocator};
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::tls::TlsConnection;
use rsipstack::transport::transport_layer::DomainResolver;
use rsipstack::transport::{SipAddr, SipConnection, TlsConfig};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// So many INVITEs' destinations are remembered, for a CANCEL that follows late.
const REMEMBERED: usize = 1024;
const RESOLVE: Duration = Duration::from_secs(5);
/// So long it is believed that somebody does not take TCP.
const WITHOUT_TCP: Duration = Duration::from_secs(300);

tokio::task_local! {
    /// Where a request goes that the crate would send to its Request-URI: the CANCEL of an INVITE sent to a proxy.
    pub static DESTINATION: SipAddr;
}

/// An address, and the name that its certificate was for.
type Slot = (String, Option<String>);

#[derive(Clone, Debug)]
pub struct Target {
    pub address: SipAddr,
    /// The name that a certificate must be for.
    pub name: Option<String>,
}

impl Target {
    pub fn transport(&self) -> Transport {
        self.address.r#type.unwrap_or(Transport::Udp)
    }

    pub fn socket(&self) -> Option<SocketAddr> {
        self.address.get_socketaddr().ok()
    }

    /// What a connection to there is remembered by. A certificate was for one name alone: whoever is called by another
    /// gets a connection of their own, for which it is looked at again.
    fn slot(&self) -> Slot {
        let name = self.name.clone().filter(|_| self.transport() == Transport::Tls);
        (self.address.to_string(), name)
    }

    /// Its connection, if it is open. Who is called by an address alone was named so inside of a dialog, mostly by the
    /// very carrier that a connection was made to by its name.
    fn held<'a>(&self, open: &'a HashMap<Slot, SipConnection>) -> Option<(&'a Slot, &'a SipConnection)> {
        let (address, name) = self.slot();
        open.iter().find(|((at, of), connection)| {
            *at == address
                && (name.is_none() || *of == name)
                && !connection.cancel_token().is_some_and(|token| token.is_cancelled())
        })
    }
}

/// Where a name may not lead.
#[derive(Clone, Default)]
pub struct Reach {
    pub refused: Vec<IpNet>,
    /// Names that may all the same, each at one port or, with 0, at any.
    pub exempt: Vec<(String, u16)>,
}

impl Reach {
    fn allows(&self, name: &str, at: SocketAddr) -> bool {
        let ip = at.ip().to_canonical();
        let is_exempt = |(host, port): &(String, u16)| {
            host.eq_ignore_ascii_case(name.trim_end_matches('.')) && (*port == 0 || *port == at.port())
        };
        !self.refused.iter().any(|network| network.contains(&ip)) || self.exempt.iter().any(is_exempt)
    }
}

struct Names(TokioResolver);

#[async_trait]
impl LookupSource for Names {
    async fn lookup_srv(&self, name: &str) -> Result<Vec<SrvRecord>, String> {
        let found = self.0.srv_lookup(name).await.map_err(|error| error.to_string())?;
        Ok(found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(SrvRecord {
                    target: srv.target.to_string().trim_end_matches('.').to_string(),
                    port: srv.port,
                    priority: srv.priority,
                    weight: srv.weight,
                }),
                _ => None,
            })
            .collect())
    }

    async fn lookup_a_aaaa(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let found = self.0.lookup_ip(name).await.map_err(|error| error.to_string())?;
        Ok(found.iter().collect())
    }
}

pub struct Targets {
    names: Names,
    authorities: Option<Vec<u8>>,
    deadline: Duration,
    reach: Reach,
    token: CancellationToken,
    /// Weak, since the endpoint holds us.
    endpoint: OnceLock<Weak<EndpointInner>>,
    has_udp: bool,
    open: Mutex<HashMap<Slot, SipConnection>>,
    sent: Mutex<VecDeque<(String, SipAddr)>>,
    /// Who does not take TCP, and since when.
    without_tcp: Mutex<VecDeque<(SipAddr, Instant)>>,
}

impl Targets {
    pub fn new(
        nameservers: &[SocketAddr],
        authorities: Option<Vec<u8>>,
        deadline: Duration,
        has_udp: bool,
        reach: Reach,
        token: CancellationToken,
    ) -> Result<Self, String> {
        let mut builder = if nameservers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| error.to_string())?
        } else {
            let mut config = ResolverConfig::default();
            for address in nameservers {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut server.connections {
                    connection.port = address.port();
                }
                config.add_name_server(server);
            }
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        options.timeout = Duration::from_secs(2);
        options.attempts = 2;
        Ok(Targets {
            names: Names(builder.build().map_err(|error| error.to_string())?),
            authorities,
            deadline,
            reach,
            token,
            endpoint: OnceLock::new(),
            has_udp,
            open: Mutex::default(),
            sent: Mutex::default(),
            without_tcp: Mutex::default(),
        })
    }

    pub fn serve(&self, endpoint: &EndpointInnerRef) {
        self.endpoint.set(Arc::downgrade(endpoint)).ok();
    }

    /// Every address that a URI stands for, best first.
    pub async fn resolve(&self, uri: &Uri) -> Result<Vec<Target>, String> {
        let transport = uri.transport().copied();
        let is_secure = uri.scheme == Some(Scheme::Sips) || transport == Some(Transport::Tls);
        let port = uri.host_with_port.port;
        let name = match &uri.host_with_port.host {
            Host::IpAddr(ip) => {
                let transport = transport.unwrap_or(if is_secure { Transport::Tls } else { Transport::Udp });
                let port = port.unwrap_or_else(|| transport.default_port());
                return Ok(vec![Target { address: at(*ip, port.into(), transport), name: None }]);
            }
            Host::Domain(name) => name,
        };
        let lookup = resolve_logic(&self.names, name, port, transport, is_secure);
        let found = tokio::time::timeout(RESOLVE, lookup)
            .await
            .map_err(|_| format!("the name server did not answer for {name}"))??;
        let targets: Vec<Target> = found
            .into_iter()
            .filter(|target| target.transport != Transport::Udp || self.has_udp)
            .map(|target| Target {
                address: at(target.addr.ip(), target.addr.port(), target.transport),
                name: Some(name.to_string()),
            })
            .collect();
        if targets.is_empty() { Err(format!("no address for {name}")) } else { Ok(targets) }
    }

    /// Whether what somebody named may be asked there; an address is judged by whoever takes it from them.
    pub fn may_reach(&self, target: &Target) -> bool {
        match (&target.name, target.socket()) {
            (Some(name), Some(at)) => self.reach.allows(name, at),
            _ => true,
        }
    }

    /// Makes the connection that a request will find, unless it is there. Nothing to do for UDP.
    pub async fn connect(&self, target: &Target) -> Result<(), String> {
        let transport = target.transport();
        if transport == Transport::Udp {
            return Ok(());
        }
        if target.held(&self.open.lock()).is_some() {
            return Ok(());
        }
        let token = Some(self.token.child_token());
        let connecting = async {
            match transport {
                Transport::Tcp => {
                    TcpConnection::connect(&target.address, token).await.map(SipConnection::Tcp)
                }
                Transport::Tls => {
                    let config = TlsConfig {
                        ca_certs: self.authorities.clone(),
                        sni_hostname: target.name.clone(),
                        ..TlsConfig::default()
                    };
                    TlsConnection::connect(&target.address, Some(&config), None, token)
                        .await
                        .map(SipConnection::Tls)
                }
                other => Err(Error::Error(format!("no transport: {other}"))),
            }
        };
        let connection = tokio::time::timeout(self.deadline, connecting)
            .await
            .map_err(|_| "no connection in time".to_string())?
            .map_err(|error| error.to_string())?;
        if let Some(endpoint) = self.endpoint.get().and_then(Weak::upgrade) {
            endpoint.transport_layer.add_connection(connection.clone());
        }
        let mut open = self.open.lock();
        open.retain(|_, held| !held.cancel_token().is_some_and(|token| token.is_cancelled()));
        open.insert(target.slot(), connection);
        Ok(())
    }

    /// Ends with the connection that requests to there go over now; None: there is none, and over UDP never is.
    pub fn flow(&self, target: &Target) -> Option<CancellationToken> {
        target.held(&self.open.lock())?.1.cancel_token()
    }

    /// Uses the connection to there no more, whatever its state: somebody who should have answered on it did not.
    pub fn part(&self, target: &Target) {
        let mut open = self.open.lock();
        let Some(slot) = target.held(&open).map(|(slot, _)| slot.clone()) else { return };
        let Some(connection) = open.remove(&slot) else { return };
        drop(open);
        if let Some(endpoint) = self.endpoint.get().and_then(Weak::upgrade) {
            endpoint.transport_layer.remove_connection(&connection);
        }
        tokio::spawn(async move { connection.close().await.ok() });
    }

    /// Whether TCP failed there a while ago: no call is to wait for that again.
    pub fn is_without_tcp(&self, target: &Target) -> bool {
        let known = self.without_tcp.lock();
        known.iter().any(|(address, since)| *address == target.address && since.elapsed() < WITHOUT_TCP)
    }

    pub fn note_without_tcp(&self, target: &Target) {
        let mut known = self.without_tcp.lock();
        known.retain(|(address, _)| *address != target.address);
        if known.len() >= REMEMBERED {
            known.pop_front();
        }
        known.push_back((target.address.clone(), Instant::now()));
    }

    /// Remembers where an INVITE to this URI went.
    pub fn note(&self, uri: &Uri, address: &SipAddr) {
        let mut sent = self.sent.lock();
        let uri = uri.to_string();
        sent.retain(|(known, _)| *known != uri);
        if sent.len() >= REMEMBERED {
            sent.pop_front();
        }
        sent.push_back((uri, address.clone()));
    }

    async fn first(&self, uri: &Uri) -> Result<SipAddr, String> {
        let mut trouble = String::new();
        for target in self.resolve(uri).await? {
            match self.connect(&target).await {
                Ok(()) => return Ok(target.address),
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
    }
}

fn at(ip: IpAddr, port: u16, transport: Transport) -> SipAddr {
    let address = HostWithPort { host: Host::IpAddr(ip), port: Some(port.into()) };
    SipAddr::new(transport, address)
}

pub struct Locator(pub Arc<Targets>);

#[async_trait]
impl TargetLocator for Locator {
    async fn locate(&self, uri: &Uri) -> rsipstack::Result<SipAddr> {
        if let Ok(address) = DESTINATION.try_with(|address| address.clone()) {
            return Ok(address);
        }
        let name = uri.to_string();
        let sent = self.0.sent.lock().iter().find(|(known, _)| *known == name).map(|(_, to)| to.clone());
        match sent {
            Some(address) => Ok(address),
            None => self.0.first(uri).await.map_err(Error::Error),
        }
    }
}

pub struct Resolver(pub Arc<Targets>);

#[async_trait]
impl DomainResolver for Resolver {
    async fn resolve(&self, target: &SipAddr) -> rsipstack::Result<SipAddr> {
        self.0.first(&Uri::from(target)).await.map_err(Error::DnsResolutionError)
    }
}

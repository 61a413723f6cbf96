//! Who may begin something with us: decided on each message as it comes from the socket, before anything is made of it.

use crate::calls::Calls;
use crate::wire;
use async_trait::async_trait;
use ipnet::IpNet;
use parking_lot::{Mutex, RwLock};
use rsipstack::sip::{Header, HeadersExt, Method, Request, Response, SipMessage};
use rsipstack::transaction::endpoint::TransportEventInspector;
use rsipstack::transaction::make_tag;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// So many addresses are remembered; a flood from more than these forgets the quietest.
const REMEMBERED: usize = 8192;

pub struct Rules {
    /// None lets everybody in.
    pub sources: Option<Vec<IpNet>>,
    pub refuse_with: Option<u16>,
    pub per_second: f64,
    pub burst: f64,
    /// Connections that one address may have opened to us.
    pub connections: usize,
}

pub struct Gate {
    rules: RwLock<Rules>,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
    /// Ports of those who are connected.
    connected: Mutex<HashMap<IpAddr, HashSet<u16>>>,
    pub dropped: AtomicU64,
}

impl Gate {
    pub fn new(rules: Rules) -> Self {
        Gate {
            rules: RwLock::new(rules),
            buckets: Mutex::default(),
            connected: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    pub fn set(&self, rules: Rules) {
        *self.rules.write() = rules;
    }

    fn knows(&self, ip: IpAddr) -> Result<(), Option<u16>> {
        let rules = self.rules.read();
        match &rules.sources {
            Some(networks) if !networks.iter().any(|network| network.contains(&ip)) => Err(rules.refuse_with),
            _ => Ok(()),
        }
    }

    /// Whether somebody may open a connection; counted until `disconnected`. Whoever is refused without a word is
    /// not let in either.
    pub fn lets_connect(&self, from: SocketAddr) -> bool {
        if self.knows(from.ip()) == Err(None) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let most = self.rules.read().connections;
        let mut connected = self.connected.lock();
        let ports = connected.entry(from.ip()).or_default();
        if ports.len() >= most {
            if ports.is_empty() {
                connected.remove(&from.ip());
            }
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        ports.insert(from.port());
        true
    }

    pub fn disconnected(&self, from: SocketAddr) {
        let mut connected = self.connected.lock();
        if let Some(ports) = connected.get_mut(&from.ip()) {
            ports.remove(&from.port());
            if ports.is_empty() {
                connected.remove(&from.ip());
            }
        }
    }

    /// A token bucket for each address.
    fn is_within_rate(&self, ip: IpAddr) -> bool {
        let Rules { per_second, burst, .. } = *self.rules.read();
        let now = Instant::now();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&ip) {
            buckets.retain(|_, (left, since)| *left + since.elapsed().as_secs_f64() * per_second < burst);
            if buckets.len() >= REMEMBERED {
                return false;
            }
        }
        let (left, since) = buckets.entry(ip).or_insert((burst, now));
        *left = (*left + now.duration_since(*since).as_secs_f64() * per_second).min(burst);
        *since = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }
}

pub struct Doorkeeper {
    pub gate: Arc<Gate>,
    pub calls: Arc<Calls>,
    pub user_agent: String,
}

impl Doorkeeper {
    /// Whether the request goes on, else with what it is refused, if with anything.
    fn judge(&self, request: &Request, ip: IpAddr) -> Result<(), Option<u16>> {
        if let Some(tag) = wire::to_tag(request) {
            // Inside of a dialog, and its tags are known to nobody else. One that we do not know gets a 481 only
            // when its sender could have one.
            let call_id = wire::call_id(request).unwrap_or_default();
            return match self.calls.inside(&call_id, &tag) {
                Some(_) => Ok(()),
                None => self.gate.knows(ip).map_err(|_| None),
            };
        }
        // A stranger who forges addresses makes us nobody's nuisance: these are not answered without end.
        self.gate.knows(ip).map_err(|code| code.filter(|_| self.gate.is_within_rate(ip)))?;
        match request.method {
            Method::Cancel | Method::Ack => Ok(()),
            _ if self.gate.is_within_rate(ip) => Ok(()),
            _ => Err(None),
        }
    }

    async fn refuse(&self, request: &Request, code: u16, connection: &SipConnection, from: &SipAddr) {
        let mut headers: Vec<Header> = request
            .headers
            .iter()
            .filter(|header| {
                matches!(header, Header::Via(_) | Header::CallId(_) | Header::From(_) | Header::CSeq(_))
            })
            .cloned()
            .collect();
        if let Ok(to) = request.to_header() {
            headers.push(to.clone().with_tag(make_tag()).into());
        }
        headers.push(Header::ContentLength(0.into()));
        headers.push(Header::UserAgent(self.user_agent.clone().into()));
        let response = Response {
            status_code: wire::status(code),
            wire_reason: None,
            headers: headers.into(),
            body: Vec::new(),
            version: request.version,
        };
        connection.send(SipMessage::Response(response), Some(from)).await.ok();
    }
}

/// Whether something is missing that every request has (RFC 3261 §8.1.1), or cannot be read, so that it could not be
/// told from others.
fn is_broken(request: &Request) -> bool {
    let sequence = request.cseq_header().and_then(|cseq| Ok((cseq.seq()?, cseq.method()?)));
    request.to_header().is_err()
        || wire::from_tag(request).is_none()
        || wire::call_id(request).is_none_or(|id| id.trim().is_empty())
        || !sequence.is_ok_and(|(_, method)| method == request.method)
}

#[async_trait]
impl TransportEventInspector for Doorkeeper {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        if let TransportEvent::Closed(connection) = &event
            && let Some(from) = connection.get_remote_addr().and_then(|remote| remote.get_socketaddr().ok())
        {
            self.gate.disconnected(from);
        }
        let TransportEvent::Incoming(SipMessage::Request(request), connection, from) = &event else {
            return Some(event);
        };
        let ip = from.get_socketaddr().ok()?.ip();
        match self.judge(request, ip) {
            Ok(()) if is_broken(request) => {
                // The crate has no transaction for it, and would say nothing.
                if request.method != Method::Ack {
                    self.refuse(request, 400, connection, from).await;
                }
                None
            }
            Ok(()) => {
                if request.method == Method::Cancel {
                    self.calls.note_cancel(request);
                }
                Some(event)
            }
            Err(code) => {
                self.gate.dropped.fetch_add(1, Ordering::Relaxed);
                if let Some(code) = code
                    && !matches!(request.method, Method::Ack)
                {
                    self.refuse(request, code, connection, from).await;
                }
                None
            }
        }
    }
}

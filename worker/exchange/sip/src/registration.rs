//! A binding at a registrar: made, refreshed, taken to another address when it fails, removed.

use crate::calls::Core;
use crate::events::Event;
use crate::outbound::targets;
use crate::targets::Target;
use crate::wire::{self, Pairs, Secret};
use rsipstack::dialog::registration::{Registration, backoff_interval, refresh_interval};
use rsipstack::sip::typed::Contact;
use rsipstack::sip::{Header, Param, Response, StatusCodeKind, Transport, Uri};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// An address that says nothing for so long is given up for the next, if there is one, else after SIP's own time.
const SILENCE: Duration = Duration::from_secs(6);
const FAREWELL: Duration = Duration::from_secs(2);
/// Whoever closes a connection sooner than this is not to be connected to without a pause.
const BRIEF: Duration = Duration::from_secs(30);

pub struct Binding {
    pub key: u64,
    pub registrar: Uri,
    pub secret: Secret,
    pub proxies: Vec<Uri>,
    pub expires: u32,
    pub contact_user: Option<String>,
    pub stopped: CancellationToken,
    /// The way in is to be opened anew: over TCP and TLS nobody answers there any more.
    pub renewed: Arc<Notify>,
}

pub async fn keep(core: Arc<Core>, mut binding: Binding) {
    let stopped = binding.stopped.clone();
    let (mut failures, mut losses) = (0, 0);
    let mut current: Option<(Registration, Target)> = None;
    loop {
        let turn = async {
            match registered(&core, &mut binding, &mut current).await {
                Ok((granted, target)) => {
                    failures = 0;
                    tell(&core, &binding, &current, granted, &target);
                    refresh_interval(granted)
                }
                Err((code, reason)) => {
                    current = None;
                    let wait = backoff_interval(failures);
                    failures += 1;
                    core.outbox.offer(Event {
                        kind: "unregistered",
                        key: binding.key,
                        code,
                        text: reason,
                        token: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                        ..Event::default()
                    });
                    wait
                }
            }
        };
        let wait = tokio::select! {
            wait = turn => wait,
            _ = stopped.cancelled() => break,
        };
        let since = Instant::now();
        let is_lost = tokio::select! {
            _ = sleep(wait) => false,
            _ = stopped.cancelled() => break,
            _ = until_lost(&core, &current) => true,
            _ = binding.renewed.notified() => true,
        };
        if is_lost
            && let Some((_, target)) = current.take_if(|(_, target)| target.transport() != Transport::Udp)
        {
            // Nobody can call us by it any more: another is opened, and registered.
            core.note_seen(&target.address, None);
            core.targets.part(&target);
            losses = if since.elapsed() < BRIEF { losses + 1 } else { 0 };
            let pause = if losses > 1 { backoff_interval(losses - 2) } else { Duration::ZERO };
            tokio::select! {
                _ = sleep(pause) => {}
                _ = stopped.cancelled() => break,
            }
        }
    }
    if let Some((mut registration, target)) = current {
        timeout(FAREWELL, registration.register(server(&binding, &target), Some(0))).await.ok();
    }
    core.outbox.tell(Event { kind: "gone", key: binding.key, ..Event::default() });
}

/// Returns when the connection to there has ended, which it may have before we look; never where none is needed.
async fn until_lost(core: &Core, current: &Option<(Registration, Target)>) {
    match current.as_ref().filter(|(_, target)| target.transport() != Transport::Udp) {
        Some((_, target)) => {
            if let Some(flow) = core.targets.flow(target) {
                flow.cancelled().await;
            }
        }
        None => std::future::pending().await,
    }
}

fn tell(
    core: &Core,
    binding: &Binding,
    current: &Option<(Registration, Target)>,
    granted: u32,
    target: &Target,
) {
    let seen = current.as_ref().and_then(|(registration, _)| registration.discovered_public_address());
    core.note_seen(&target.address, seen.as_ref());
    let seen: Pairs = seen
        .map(|address| {
            let port = address.port.map_or(5060, |port| port.value().to_owned());
            vec![(address.host.to_string(), port.to_string())]
        })
        .unwrap_or_default();
    core.outbox.offer(Event {
        kind: "registered",
        key: binding.key,
        token: u64::from(granted),
        headers: seen,
        address: target.socket().map(|address| (address.ip().to_string(), address.port())),
        transport: wire::transport_name(target.transport()),
        ..Event::default()
    });
}

type Refusal = (u16, String);

/// Registers where it was registered before, else at each address in turn.
async fn registered(
    core: &Core,
    binding: &mut Binding,
    current: &mut Option<(Registration, Target)>,
) -> Result<(u32, Target), Refusal> {
    let mut refusal = (0, "no address".to_string());
    let mut tried = None;
    if let Some((registration, target)) = current {
        tried = Some(target.address.clone());
        match once(core, binding, registration, target, SILENCE).await {
            Ok(granted) => return Ok((granted, target.clone())),
            Err(error) => refusal = error,
        }
    }
    let routes =
        if binding.proxies.is_empty() { vec![binding.registrar.clone()] } else { binding.proxies.clone() };
    let mut found = targets(core, &routes).await.map_err(|error| (0, error))?;
    // What has just failed comes last: whoever calls us waits for as long as this takes.
    found.sort_by_key(|target| Some(&target.address) == tried.as_ref());
    let patience = if found.len() > 1 { SILENCE } else { Duration::from_secs(34) };
    for target in found {
        let mut registration = begin(core, binding, &target);
        match once(core, binding, &mut registration, &target, patience).await {
            Ok(granted) => {
                *current = Some((registration, target.clone()));
                return Ok((granted, target));
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

fn begin(core: &Core, binding: &Binding, target: &Target) -> Registration {
    let credential = wire::credential(binding.secret.clone());
    let user = binding.contact_user.clone().unwrap_or_else(|| credential.username.clone());
    let mut registration = Registration::new(core.endpoint.clone(), Some(credential));
    registration.contact = Some(Contact::from(core.contact(Some(&user), target.transport(), None)));
    registration.outbound_proxy = target.socket();
    registration.extra_headers = vec![Header::Other("Allow".into(), wire::ALLOW.into())];
    registration
}

async fn once(
    core: &Core,
    binding: &mut Binding,
    registration: &mut Registration,
    target: &Target,
    patience: Duration,
) -> Result<u32, Refusal> {
    core.targets.connect(target).await.map_err(|error| (0, error))?;
    let answer = timeout(patience, registration.register(server(binding, target), Some(binding.expires)))
        .await
        .map_err(|_| (0, "nobody answered".to_string()))
        .and_then(|answer| answer.map_err(|error| (0, error.to_string())));
    let is_dead = !answer.as_ref().is_ok_and(|answer| answer.status_code.code() != 408);
    if is_dead && target.transport() != Transport::Udp {
        // The next try is not to wait on the same connection.
        core.targets.part(target);
    }
    let answer = answer?;
    let code = answer.status_code.code();
    if answer.status_code.kind() == StatusCodeKind::Successful {
        let ours = registration.contact.as_ref().map(|contact| contact.uri.host_with_port.to_string());
        let granted = granted(&answer, &ours.unwrap_or_default()).or(registration.granted_expires);
        return Ok(granted.filter(|granted| *granted > 0).unwrap_or(binding.expires));
    }
    if let Some(least) = least(&answer).filter(|least| code == 423 && *least > binding.expires) {
        binding.expires = least;
    }
    Err((code, wire::reason(&answer)))
}

/// The crate takes the transport to an outbound proxy from the registrar's URI.
fn server(binding: &Binding, target: &Target) -> Uri {
    let mut server = binding.registrar.clone();
    server.params.retain(|param| !matches!(param, Param::Transport(_)));
    if target.transport() != Transport::Udp {
        server.params.push(Param::Transport(target.transport()));
    }
    server
}

/// What the registrar granted our Contact. The crate misses it behind a quoted parameter with a `;` in it,
/// which is how kamailio says where it saw us.
fn granted(answer: &Response, ours: &str) -> Option<u32> {
    answer
        .headers
        .iter()
        .filter(|header| matches!(header, Header::Contact(_)))
        .flat_map(|header| parts(header.value(), ','))
        .find(|contact| contact.contains(ours))
        .and_then(|contact| {
            parts(&contact, ';').iter().find_map(|part| {
                let (name, value) = part.split_once('=')?;
                name.trim().eq_ignore_ascii_case("expires").then(|| value.trim().parse().ok())?
            })
        })
}

/// A value split at each `by` that stands in no quotes and no angle brackets.
fn parts(value: &str, by: char) -> Vec<String> {
    let (mut found, mut is_quoted, mut is_escaped, mut is_in_uri) =
        (vec![String::new()], false, false, false);
    for one in value.chars() {
        match one {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '<' if !is_quoted => is_in_uri = true,
            '>' if !is_quoted => is_in_uri = false,
            _ if one == by && !is_quoted && !is_in_uri => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = found.last_mut() {
            last.push(one);
        }
    }
    found
}

fn least(answer: &Response) -> Option<u32> {
    answer.headers.iter().find_map(|header| match header {
        Header::MinExpires(value) => value.value().trim().parse().ok(),
        _ => None,
    })
}

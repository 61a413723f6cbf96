//! Requests of ours: inside of a dialog, its end, and OPTIONS.

use crate::calls::{Call, Core};
use crate::events::Event;
use crate::inbound;
use crate::outbound::{PATIENCE, targets};
use crate::wire::{self, Pairs};
use rsipstack::sip::typed::{From, To};
use rsipstack::sip::{Header, HeadersExt, Method, Response, SipMessage, StatusCodeKind, Uri};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::make_tag;
use rsipstack::transaction::transaction::Transaction;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a re-INVITE that met one of theirs is tried again, and after how long: the one who chose the Call-ID waits
/// longer (RFC 3261 §14.1).
const GLARES: usize = 2;

/// The final answer to an order of Python's.
pub fn tell_reply(core: &Core, order: u64, answer: Result<Option<Response>, String>) {
    let event = match answer {
        Ok(Some(response)) => {
            let is_ours = is_local(core, &response);
            Event {
                code: response.status_code.code(),
                text: wire::reason(&response),
                method: if is_ours && matches!(response.status_code.code(), 408 | 503) {
                    "local".into()
                } else {
                    "wire".into()
                },
                headers: wire::pairs(&response.headers),
                body: response.body,
                ..Event::default()
            }
        }
        Ok(None) => Event { code: 408, text: "no answer".into(), method: "local".into(), ..Event::default() },
        Err(text) => Event { code: 503, text, method: "local".into(), ..Event::default() },
    };
    core.outbox.tell(Event { kind: "reply", token: order, ..event });
}

/// The crate makes the 408 and 503 of its own timers and sockets out of the request: with our own name in it, and with
/// what nobody has written into our Via.
fn is_local(core: &Core, response: &Response) -> bool {
    let is_named = response
        .headers
        .iter()
        .any(|header| matches!(header, Header::UserAgent(name) if name.value() == core.endpoint.user_agent));
    let is_seen = response.via_header().is_ok_and(|via| via.value().contains("rport="));
    is_named && !is_seen
}

pub async fn request(
    core: Arc<Core>,
    call: Arc<Call>,
    method: Method,
    headers: Pairs,
    body: Vec<u8>,
    order: u64,
) {
    let is_offer = method == Method::Invite || (method == Method::Update && !body.is_empty());
    if is_offer {
        call.offers_of_ours.fetch_add(1, Ordering::SeqCst);
    }
    let answer = send(&call, method, headers, body).await;
    if is_offer {
        call.offers_of_ours.fetch_sub(1, Ordering::SeqCst);
    }
    if let Ok(Some(response)) = &answer
        && matches!(method, Method::Invite | Method::Update)
        && response.status_code.kind() == StatusCodeKind::Successful
    {
        call.refresh_target(&response.headers);
    }
    tell_reply(&core, order, answer);
}

async fn send(
    call: &Call,
    method: Method,
    headers: Pairs,
    body: Vec<u8>,
) -> Result<Option<Response>, String> {
    let mut tries = 0;
    loop {
        let Some(dialog) = call.dialog().filter(|dialog| dialog.state().is_confirmed()) else {
            return Err("the call is not up".into());
        };
        let headers = Some(wire::headers(headers.clone()));
        let body = (!body.is_empty()).then(|| body.clone());
        let answer = timeout(PATIENCE, dialog.request(method, headers, body)).await;
        match answer {
            Ok(Ok(Some(response))) if response.status_code.code() == 491 && tries < GLARES => {
                let spread = u64::from(std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_micros()));
                let wait = if call.is_inbound { spread % 2000 } else { 2100 + spread % 1900 };
                sleep(Duration::from_millis(wait)).await;
                tries += 1;
            }
            Ok(answer) => return answer.map_err(|error| error.to_string()),
            Err(_) => return Ok(None),
        }
    }
}

/// Ends a call in whatever state it is.
pub fn end(core: &Arc<Core>, call: &Arc<Call>, headers: Pairs, order: u64) {
    let done = |core: &Core| tell_reply(core, order, Err("over".into()));
    if call.is(|call| &call.is_over) && call.dialog().is_none_or(|dialog| dialog.state().is_terminated()) {
        return done(core);
    }
    let is_up = call.is(|call| &call.is_answered) || call.dialog().is_some_and(|d| d.state().waiting_ack());
    if !is_up && call.is_inbound {
        if inbound::reject(core, call, 603, headers).is_err() {
            // Ended by the far side in this very moment.
        }
        return done(core);
    }
    if !is_up {
        call.is_cancelled.store(true, Ordering::SeqCst);
        core.tell_end(call, "us", 487, "cancelled".into(), Pairs::new());
        call.cancelled.notify_one();
        return done(core);
    }
    let (core, call) = (core.clone(), call.clone());
    tokio::spawn(async move {
        core.tell_end(&call, "us", 200, String::new(), Pairs::new());
        if let Some(dialog) = call.dialog() {
            timeout(PATIENCE, dialog.bye_with_headers(Some(wire::headers(headers)))).await.ok();
        }
        core.forget(&call);
        tell_reply(&core, order, Err("over".into()));
    });
}

pub async fn options(core: Arc<Core>, uri: Uri, proxies: Vec<Uri>, patience: Duration, order: u64) {
    let answer = timeout(patience, ask_options(&core, &uri, &proxies)).await;
    tell_reply(&core, order, answer.unwrap_or(Ok(None)));
}

async fn ask_options(core: &Core, uri: &Uri, proxies: &[Uri]) -> Result<Option<Response>, String> {
    let routes = if proxies.is_empty() { std::slice::from_ref(uri) } else { proxies };
    let mut trouble = "no address".to_string();
    for target in targets(core, routes).await? {
        if let Err(error) = core.targets.connect(&target).await {
            trouble = error;
            continue;
        }
        let via = core.endpoint.get_via(Some(core.local(target.transport()).clone()), None);
        let via = via.map_err(|error| error.to_string())?;
        let from =
            From::from(core.contact(None, target.transport(), Some(&target.address))).with_tag(make_tag());
        let to = To { display_name: None, uri: uri.clone(), params: vec![] };
        let mut request = core.endpoint.make_request(Method::Options, uri.clone(), via, from, to, 1, None);
        let contact = rsipstack::sip::typed::Contact::from(core.contact(
            None,
            target.transport(),
            Some(&target.address),
        ));
        request.headers.unique_push(contact.into());
        let key = TransactionKey::from_request(&request, TransactionRole::Client);
        let key = key.map_err(|error| error.to_string())?;
        let mut transaction = Transaction::new_client(key, request, core.endpoint.clone(), None);
        transaction.destination = Some(target.address);
        transaction.send().await.map_err(|error| error.to_string())?;
        while let Some(message) = transaction.receive().await {
            if let SipMessage::Response(response) = message
                && response.status_code.kind() != StatusCodeKind::Provisional
            {
                return Ok(Some(response));
            }
        }
        return Ok(None);
    }
    Err(trouble)
}

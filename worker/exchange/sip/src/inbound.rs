//! What comes in: new calls, requests inside of one, and all else.

use crate::calls::{Call, Core, Ringing, is_offer};
use crate::events::Event;
use crate::watch::watch;
use crate::wire::{self, Pairs};
use rsipstack::sip::{Header, HeadersExt, Method, Response, StatusCode, Transport};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::EndpointInner;
use rsipstack::transaction::transaction::{Transaction, TransactionEvent};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An INVITE that Python says nothing to for so long is rejected.
const THINKING: Duration = Duration::from_secs(60);

pub async fn receive(core: Arc<Core>, mut incoming: TransactionReceiver) {
    while let Some(transaction) = incoming.recv().await {
        if wire::to_tag(&transaction.original).is_some() {
            inside(&core, transaction);
            continue;
        }
        match transaction.original.method {
            Method::Invite => invitation(&core, transaction),
            Method::Ack => {}
            Method::Options => {
                let code = core.options_code.load(Ordering::Relaxed);
                let mut headers = vec![
                    ("Allow".to_string(), wire::ALLOW.to_string()),
                    ("Accept".to_string(), "application/sdp".to_string()),
                    ("Supported".to_string(), "timer".to_string()),
                ];
                if code >= 500 {
                    headers.push(("Retry-After".into(), "30".into()));
                }
                reply(transaction, code, headers);
            }
            Method::Bye | Method::Info | Method::Notify | Method::PRack | Method::Update => {
                // Only ever inside of a dialog, and this one names none.
                reply(transaction, 481, Pairs::new())
            }
            // Of nothing that can be followed; RFC 6665 wants to know of what then.
            Method::Subscribe => reply(transaction, 489, vec![("Allow-Events".into(), "refer".into())]),
            _ => reply(transaction, 405, allow()),
        }
    }
}

fn allow() -> Pairs {
    vec![("Allow".into(), wire::ALLOW.into())]
}

/// Answers without a dialog, and stays for the ACK of an INVITE.
fn reply(mut transaction: Transaction, code: u16, headers: Pairs) {
    tokio::spawn(async move {
        let is_invite = transaction.original.method == Method::Invite;
        let replied = transaction.reply_with(wire::status(code), wire::headers(headers), None).await;
        if is_invite && replied.is_ok() {
            let until_acknowledged = async { while transaction.receive().await.is_some() {} };
            tokio::time::timeout(Duration::from_secs(33), until_acknowledged).await.ok();
        }
    });
}

fn inside(core: &Arc<Core>, mut transaction: Transaction) {
    let request = &transaction.original;
    let tags = wire::call_id(request).zip(wire::to_tag(request));
    let call = tags.and_then(|(call_id, tag)| core.calls.inside(&call_id, &tag));
    let dialog = call.as_ref().and_then(|call| call.dialog());
    let (Some(call), Some(mut dialog)) = (call, dialog) else {
        if request.method != Method::Ack {
            reply(transaction, 481, Pairs::new());
        }
        return;
    };
    let is_confirmed = dialog.state().is_confirmed();
    if is_confirmed && wire::from_tag(request).as_deref() != Some(dialog.id().remote_tag.as_str()) {
        // A branch of a fork that we ended.
        if request.method != Method::Ack {
            reply(transaction, 481, Pairs::new());
        }
        return;
    }
    match request.method {
        Method::Bye => *call.farewell.lock() = wire::pairs(&request.headers),
        Method::Ack => {}
        Method::Message | Method::Publish | Method::Register => return reply(transaction, 405, allow()),
        Method::Subscribe => {
            return reply(transaction, 489, vec![("Allow-Events".into(), "refer".into())]);
        }
        _ if !is_confirmed => {
            // The answer or its ACK is still on its way (RFC 3261 §14.2).
            return reply(transaction, 500, vec![("Retry-After".into(), "1".into())]);
        }
        _ if is_offer(request) && call.offers_of_ours.load(Ordering::SeqCst) > 0 => {
            return reply(transaction, 491, Pairs::new());
        }
        _ if is_offer(request) && call.offers_of_theirs.load(Ordering::SeqCst) > 0 => {
            return reply(transaction, 500, vec![("Retry-After".into(), "3".into())]);
        }
        _ => {}
    }
    if !is_confirmed && !call.is_inbound {
        return reply(transaction, 481, Pairs::new());
    }
    tokio::spawn(async move {
        dialog.handle(&mut transaction).await.ok();
    });
}

fn invitation(core: &Arc<Core>, transaction: Transaction) {
    let invite = &transaction.original;
    if core.calls.begun_by(invite).is_some() {
        // The same call by another way (RFC 3261 §8.2.2.2).
        return reply(transaction, 482, Pairs::new());
    }
    let unsupported = unsupported(&transaction);
    if !unsupported.is_empty() {
        return reply(transaction, 420, vec![("Unsupported".into(), unsupported.join(", "))]);
    }
    let (Some(call_id), Some(from_tag)) = (wire::call_id(invite), wire::from_tag(invite)) else {
        return reply(transaction, 400, Pairs::new());
    };
    if core.pending.load(Ordering::SeqCst) >= core.pending_limit {
        core.refused.fetch_add(1, Ordering::Relaxed);
        return reply(transaction, 503, vec![("Retry-After".into(), "2".into())]);
    }
    let flow = transaction.connection.clone();
    let transport = flow.as_ref().map_or(Transport::Udp, |connection| connection.transport());
    let towards = flow.as_ref().and_then(|connection| connection.get_remote_addr());
    let contact = core.contact(invite.uri.user(), transport, towards);
    let (sender, states) = core.layer.new_dialog_state_channel();
    let Ok(mut dialog) = core.layer.get_or_create_server_invite(&transaction, sender, None, Some(contact))
    else {
        return reply(transaction, 400, Pairs::new());
    };
    let reliable = flow.clone().filter(|connection| connection.is_reliable());
    let call = Arc::new(Call::new(core.calls.next_key(), call_id, true, reliable));
    let address = flow.as_ref().and_then(|connection| connection.get_remote_addr()?.get_socketaddr().ok());
    let event = Event {
        kind: "invitation",
        key: call.key,
        text: invite.uri.to_string(),
        headers: wire::pairs(&invite.headers),
        body: invite.body.clone(),
        address: address.map(|address| (address.ip().to_string(), address.port())),
        transport: wire::transport_name(transport),
        ..Event::default()
    };
    *call.ringing.lock() = Some(Ringing { invite: invite.clone(), answers: transaction.tu_sender.clone() });
    *call.dialog.lock() = Some(dialog.clone());
    if invite.headers.iter().any(|header| matches!(header, Header::RecordRoute(_))) {
        // The crate writes the transport that an INVITE came over into the far side's address. Behind a proxy that is
        // the proxy's alone: it would look for somebody over TCP who only speaks UDP.
        call.refresh_target(&invite.headers);
    }
    core.calls.add(&call);
    core.calls.add_tag(&call, dialog.id().local_tag);
    core.calls.add_invite(&call, from_tag);
    core.pending.fetch_add(1, Ordering::SeqCst);
    core.outbox.tell(event);
    tokio::spawn(watch(core.clone(), call.clone(), states, 0));
    tokio::spawn(async move {
        let mut transaction = transaction;
        dialog.handle(&mut transaction).await.ok();
    });
    let (core, call) = (core.clone(), Arc::downgrade(&call));
    tokio::spawn(async move {
        tokio::time::sleep(THINKING).await;
        if let Some(call) = call.upgrade()
            && !call.is(|call| &call.is_heard)
            && !call.is(|call| &call.is_over)
        {
            reject(&core, &call, 480, Pairs::new()).ok();
        }
    });
}

/// What an INVITE requires of us and we do not do.
fn unsupported(transaction: &Transaction) -> Vec<String> {
    let headers = &transaction.original.headers;
    let required = headers.iter().filter_map(|header| match header {
        Header::Require(value) => Some(value.value().to_string()),
        _ => None,
    });
    required
        .flat_map(|value| value.split(',').map(|token| token.trim().to_string()).collect::<Vec<_>>())
        .filter(|token| !token.is_empty() && !token.eq_ignore_ascii_case("timer"))
        .collect()
}

/// A final answer other than 2xx.
pub fn reject(core: &Core, call: &Call, code: u16, headers: Pairs) -> Result<(), String> {
    let ringing = refusable(call)?;
    refuse(core, call, ringing, code, headers)
}

/// Takes the INVITE that is then refused: nobody else answers it any more.
pub fn refusable(call: &Call) -> Result<Ringing, String> {
    let too_late = || "the call is answered or over".to_string();
    let ringing = call.ringing.lock().take().ok_or_else(too_late)?;
    let dialog = call.dialog().ok_or_else(too_late)?;
    if dialog.state().is_terminated() || dialog.state().waiting_ack() || dialog.state().is_confirmed() {
        return Err(too_late());
    }
    Ok(ringing)
}

/// Refuses it. On the SIP thread only: an ACK that comes between the two steps would make the call one that is up.
///
/// The crate's own way takes no headers but Reason: so ours goes first, and its own is then one too many and
/// dropped by the transaction.
pub fn refuse(core: &Core, call: &Call, ringing: Ringing, code: u16, headers: Pairs) -> Result<(), String> {
    let too_late = || "the call is answered or over".to_string();
    let dialog = call.dialog().ok_or_else(too_late)?;
    call.parting_code.store(code, Ordering::SeqCst);
    call.is_heard.store(true, Ordering::SeqCst);
    let response = response(&core.endpoint, &ringing, dialog.id().local_tag, code, headers);
    ringing.answers.send(TransactionEvent::Respond(response)).map_err(|_| too_late())?;
    dialog.reject(Some(StatusCode::Decline), None).map_err(|error| error.to_string())
}

fn response(endpoint: &EndpointInner, ringing: &Ringing, tag: String, code: u16, headers: Pairs) -> Response {
    let mut response = endpoint.make_response(&ringing.invite, wire::status(code), None);
    if let Ok(to) = response.to_header() {
        let to = to.clone().with_tag(tag.into());
        response.headers.unique_push(to.into());
    }
    response.headers.extend(wire::headers(headers));
    response
}

//! An INVITE that another process took and did not see to its end: it died, and whoever calls waits.
//!
//! ```text
//! that process   INVITE ──► 100, 180 … ✝              INVITE ──► 200 ✝         its ACK comes to nobody
//! this one       503, with the same tag ──► ACK       200, again and again ──► ACK ──► the talk goes on
//!                                                                          └─ none: BYE
//! ```
//!
//! Whoever calls takes what comes now for an answer, or the repetition of one, and sends an ACK for each
//! (RFC 3261 §13.2.2.4). What they repeat of the INVITE belongs to the same transaction, as it did.

use crate::calls::{Call, Core, Ringing};
use crate::inbound;
use crate::snapshot;
use crate::targets::Target;
use crate::watch::watch;
use crate::wire::{self, Pairs};
use rsipstack::sip::{Header, HeadersExt, Request, SipMessage, ToTypedHeader, Transport};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::{SipAddr, SipConnection};
use serde_json::Value;
use std::sync::Arc;

/// What another process needs for it, until there was an ACK.
pub fn write(call: &Call) -> Option<Value> {
    let mut value = snapshot::write(&call.dialog()?.snapshot());
    let ringing = call.ringing.lock();
    let Request { method, uri, version, headers, .. } = ringing.as_ref()?.invite.clone();
    // Nothing else of it is read any more, and no credential is ever written down.
    let headers: Vec<Header> = headers.into_iter().filter(is_needed).collect();
    let invite = Request { method, uri, version, headers: headers.into(), body: Vec::new() };
    value["invite"] = invite.to_string().into();
    Some(value)
}

fn is_needed(header: &Header) -> bool {
    use Header::{CSeq, CallId, Contact, From, RecordRoute, To, Via};
    matches!(header, Via(_) | From(_) | To(_) | CallId(_) | CSeq(_) | Contact(_) | RecordRoute(_))
}

/// Takes it: from now on it can be answered, or refused. Inside of the runtime.
pub fn take(core: &Arc<Core>, value: &Value, text: &str) -> Result<Arc<Call>, String> {
    let snapshot = snapshot::read(value)?;
    let message = SipMessage::try_from(text.as_bytes()).map_err(|error| error.to_string())?;
    let SipMessage::Request(invite) = message else { return Err("what came is no request".into()) };
    if let Some(again) = core.calls.begun_by(&invite) {
        // It was repeated before we came to this: a call that nobody knows of yet.
        let core = core.clone();
        let later = vec![("Retry-After".into(), "5".into())];
        tokio::spawn(async move { inbound::reject(&core, &again, 503, later).ok() });
        return Err("it has come again".into());
    }
    let from_tag = wire::from_tag(&invite).ok_or("no tag in what came")?;
    let key = TransactionKey::from_request(&invite, TransactionRole::Server);
    let key = key.map_err(|error| error.to_string())?;
    let mut transaction = Transaction::new_server(key, invite.clone(), core.endpoint.clone(), None);
    let answers = transaction.tu_sender.clone();
    let (sender, states) = core.layer.new_dialog_state_channel();
    let call = Arc::new(Call::new(core.calls.next_key(), snapshot.id.call_id.clone(), true, None));
    let tag = snapshot.id.local_tag.clone();
    let begun = Some((invite.clone(), answers.clone()));
    let mut dialog = snapshot::rebuild(core, snapshot, sender, None, 0, None, begun)?;
    *call.dialog.lock() = Some(dialog.clone());
    *call.ringing.lock() = Some(Ringing { invite: invite.clone(), answers });
    core.calls.add(&call);
    core.calls.add_tag(&call, tag);
    core.calls.add_invite(&call, from_tag);
    tokio::spawn(watch(core.clone(), call.clone(), states, 0));
    let (core, taken) = (core.clone(), call.clone());
    tokio::spawn(async move {
        match way_back(&core, &invite).await {
            Ok(connection) => {
                transaction.connection = Some(connection);
                dialog.handle(&mut transaction).await.ok();
            }
            Err(text) => {
                core.tell_end(&taken, "transport", 503, text, Pairs::new());
                core.forget(&taken);
            }
        }
    });
    Ok(call)
}

/// What its answers go by. A connection that it came on is gone with the process (RFC 3261 §18.2.2).
async fn way_back(core: &Core, invite: &Request) -> Result<SipConnection, String> {
    let plain = |error: rsipstack::Error| error.to_string();
    let via = invite.via_header().map_err(|error| error.to_string())?;
    let (transport, mut place) = SipConnection::parse_target_from_via(via).map_err(plain)?;
    if transport != Transport::Udp {
        let said = via.first_value().and_then(|value| value.typed()).map_err(|error| error.to_string())?;
        place.port = said.uri.host_with_port.port;
    }
    let target = Target { address: SipAddr::new(transport, place), name: None };
    core.targets.connect(&target).await?;
    let found = core.endpoint.transport_layer.lookup(&target.address, None).await;
    found.map(|(connection, _)| connection).map_err(plain)
}

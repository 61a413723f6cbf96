//! A dialog as JSON and back: in another process, or in this one with a credential.

use crate::calls::{Call, Core};
use crate::watch::watch;
use crate::wire;
use rsipstack::dialog::DialogId;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::{
    DialogInner, DialogSnapshot, DialogSnapshotState, DialogState, DialogStateSender,
};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::headers::{CSeq, CallId, Contact, From, Route, To};
use rsipstack::sip::{Header, Method, Request, Response, ToTypedHeader, Version};
use rsipstack::transaction::key::TransactionRole;
use rsipstack::transaction::transaction::{TransactionEventSender, transaction_event_sender_noop};
use rsipstack::transport::SipConnection;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How far a restored dialog counts on, past all that was sent after the snapshot. CSeq may jump (RFC 3261 §12.2.1.1).
const AHEAD: u32 = 1000;

pub fn write(snapshot: &DialogSnapshot) -> Value {
    json!({
        "role": if snapshot.role == TransactionRole::Server { "server" } else { "client" },
        "call_id": snapshot.id.call_id,
        "local_tag": snapshot.id.local_tag,
        "remote_tag": snapshot.id.remote_tag,
        "from": snapshot.from.to_string(),
        "to": snapshot.to.to_string(),
        "local_cseq": snapshot.local_cseq,
        "remote_cseq": snapshot.remote_cseq,
        "local_contact": snapshot.local_contact.as_ref().map(|uri| uri.to_string()),
        "remote_target": snapshot.remote_uri.to_string(),
        "remote_contact": snapshot.remote_contact.as_ref().map(|contact| contact.value().to_string()),
        "routes": snapshot.route_set.iter().map(|route| route.value()).collect::<Vec<_>>(),
    })
}

pub fn read(value: &Value) -> Result<DialogSnapshot, String> {
    let text = |name: &str| -> Result<String, String> {
        value[name].as_str().map(str::to_string).ok_or_else(|| format!("no {name} in the snapshot"))
    };
    let number = |name: &str| -> Result<u32, String> {
        let number = value[name].as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| format!("no {name} in the snapshot"))
    };
    let routes = value["routes"].as_array().ok_or("no routes in the snapshot")?;
    Ok(DialogSnapshot {
        state: DialogSnapshotState::Confirmed,
        role: match text("role")?.as_str() {
            "server" => TransactionRole::Server,
            "client" => TransactionRole::Client,
            other => return Err(format!("no role: {other}")),
        },
        id: DialogId {
            call_id: text("call_id")?,
            local_tag: text("local_tag")?,
            remote_tag: text("remote_tag")?,
        },
        from: From::new(text("from")?).typed().map_err(|error| error.to_string())?,
        to: To::new(text("to")?).typed().map_err(|error| error.to_string())?,
        local_cseq: number("local_cseq")?,
        remote_cseq: number("remote_cseq")?,
        local_contact: value["local_contact"].as_str().map(wire::uri).transpose()?,
        remote_uri: wire::uri(&text("remote_target")?)?,
        remote_contact: value["remote_contact"].as_str().map(Contact::new),
        route_set: routes
            .iter()
            .map(|route| route.as_str().map(Route::new).ok_or("a route is not text".to_string()))
            .collect::<Result<_, _>>()?,
        supports_100rel: false,
        session_id: None,
    })
}

/// The crate's own way back drops the credential: a challenged BYE would fail. So we make the dialog ourselves.
/// `begun`: of one whose INVITE has no ACK yet, that, and who answers it.
pub fn rebuild(
    core: &Core,
    snapshot: DialogSnapshot,
    states: DialogStateSender,
    credential: Option<Credential>,
    ahead: u32,
    flow: Option<SipConnection>,
    begun: Option<(Request, TransactionEventSender)>,
) -> Result<InviteDialog, String> {
    let remote = Contact::new(format!("<{}>", snapshot.remote_uri));
    let cseq = snapshot.local_cseq.checked_add(ahead).ok_or("CSeq is too large")?;
    // A dialog holds the INVITE it began with; of this one nothing but these is ever read.
    let initial = Request {
        method: Method::Invite,
        uri: snapshot.remote_uri.clone(),
        version: Version::V2,
        headers: vec![
            Header::CallId(CallId::new(snapshot.id.call_id.clone())),
            Header::From(From::new(snapshot.from.to_string())),
            Header::To(To::new(snapshot.to.to_string())),
            Header::CSeq(CSeq::new(format!("{cseq} INVITE"))),
            Header::Contact(remote.clone()),
        ]
        .into(),
        body: Vec::new(),
    };
    let state = match begun {
        Some(_) => DialogState::Trying(snapshot.id.clone()),
        None => DialogState::Confirmed(snapshot.id.clone(), Response::default()),
    };
    let (initial, answers) = begun.unwrap_or_else(|| (initial, transaction_event_sender_noop()));
    let inner = DialogInner::new(
        snapshot.role,
        snapshot.id,
        initial,
        core.endpoint.clone(),
        states,
        credential,
        snapshot.local_contact,
        answers,
    )
    .map_err(|error| error.to_string())?;
    inner.set_server_connection(flow);
    inner.remote_seq.store(snapshot.remote_cseq, Ordering::Relaxed);
    *inner.remote_uri.lock() = snapshot.remote_uri;
    *inner.remote_contact.lock() = snapshot.remote_contact.or(Some(remote));
    *inner.route_set.lock() = snapshot.route_set;
    *inner.to.lock() = snapshot.to;
    *inner.state.lock() = state;
    Ok(InviteDialog::from_inner(Arc::new(inner)))
}

/// A dialog of another process. Inside of the runtime.
pub fn restore(
    core: &Arc<Core>,
    snapshot: DialogSnapshot,
    credential: Option<Credential>,
) -> Result<Arc<Call>, String> {
    if core.calls.inside(&snapshot.id.call_id, &snapshot.id.local_tag).is_some() {
        return Err("the dialog is here already".into());
    }
    let is_inbound = snapshot.role == TransactionRole::Server;
    let call = Arc::new(Call::new(core.calls.next_key(), snapshot.id.call_id.clone(), is_inbound, None));
    let tag = snapshot.id.local_tag.clone();
    let (sender, states) = core.layer.new_dialog_state_channel();
    *call.dialog.lock() = Some(rebuild(core, snapshot, sender, credential, AHEAD, None, None)?);
    call.is_answered.store(true, Ordering::SeqCst);
    call.is_heard.store(true, Ordering::SeqCst);
    core.calls.add(&call);
    core.calls.add_tag(&call, tag);
    tokio::spawn(watch(core.clone(), call.clone(), states, 0));
    Ok(call)
}

/// The crate wants a credential before an inbound call's dialog is made; we learn it when the call is answered.
pub fn take_credential(core: &Arc<Core>, call: &Arc<Call>, attempt: usize) {
    let Some(credential) = call.credential.lock().clone() else { return };
    let Some(dialog) = call.dialog() else { return };
    let (sender, states) = core.layer.new_dialog_state_channel();
    let flow = call.connection.clone();
    let Ok(rebuilt) = rebuild(core, dialog.snapshot(), sender, Some(credential), 0, flow, None) else {
        return;
    };
    *call.dialog.lock() = Some(rebuilt);
    tokio::spawn(watch(core.clone(), call.clone(), states, attempt));
}

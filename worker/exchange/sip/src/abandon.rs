//! The end of an INVITE that another process sent and nobody answered: it died, and a telephone rings on.
//!
//! ```text
//! that process   INVITE ──► 100, 180 …  ✝
//! this one       CANCEL, with its branch and tags ─┬─ 200: INVITE again ─┬─► 487 ──► ACK
//!                                                  │                     └─► 200 ──► ACK, BYE
//!                                                  └─ 481: it never came there, or is over
//! ```
//!
//! Whoever has the first INVITE takes the second for a repetition of it; from then on it is the crate's transaction.
//! Whoever has not must not get another: a telephone would ring anew.

use crate::calls::Core;
use crate::outbound::PATIENCE;
use crate::targets::{DESTINATION, Target};
use crate::wire;
use rsipstack::dialog::DialogId;
use rsipstack::dialog::dialog::{DialogInner, DialogState};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{HeadersExt, HostWithPort, Method, Request, SipMessage};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::SipAddr;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;

/// What another process needs for it.
pub fn written(invite: &Request, destination: &SipAddr) -> Option<String> {
    let told = json!({
        "invite": invite.to_string(),
        "transport": wire::transport_name(destination.r#type?),
        "address": destination.get_socketaddr().ok()?.to_string(),
    });
    Some(told.to_string())
}

pub struct Abandoned {
    invite: Request,
    target: Target,
}

pub fn read(text: &str) -> Result<Abandoned, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let text = |name: &str| value[name].as_str().ok_or_else(|| format!("no {name} in what was sent"));
    let message = SipMessage::try_from(text("invite")?.as_bytes()).map_err(|error| error.to_string())?;
    let SipMessage::Request(invite) = message else { return Err("what was sent is no request".into()) };
    if invite.method != Method::Invite {
        return Err("what was sent is no INVITE".into());
    }
    let address: SocketAddr =
        text("address")?.parse().map_err(|_| "no address in what was sent".to_string())?;
    let address = SipAddr::new(wire::transport(text("transport")?)?, HostWithPort::from(address));
    Ok(Abandoned { invite, target: Target { address, name: None } })
}

pub async fn end(core: Arc<Core>, abandoned: Abandoned) -> Result<(), String> {
    let Abandoned { invite, target } = abandoned;
    core.targets.connect(&target).await?;
    let plain = |error: rsipstack::Error| error.to_string();
    let key = TransactionKey::from_request(&invite, TransactionRole::Client).map_err(plain)?;
    let mut transaction = Transaction::new_client(key, invite.clone(), core.endpoint.clone(), None);
    transaction.destination = Some(target.address.clone());
    let id = DialogId::try_from((&invite, TransactionRole::Client)).map_err(plain)?;
    let (sender, _states) = core.layer.new_dialog_state_channel();
    let contact = invite.typed_contact_headers().ok().and_then(|found| Some(found.first()?.uri.clone()));
    let inner = DialogInner::new(
        TransactionRole::Client,
        id.clone(),
        invite,
        core.endpoint.clone(),
        sender,
        None,
        contact,
        transaction.tu_sender.clone(),
    )
    .map_err(plain)?;
    *inner.remote_uri.lock() = target.address.clone().into();
    *inner.state.lock() = DialogState::Trying(id); // else the CANCEL would wait for an answer to the INVITE
    let dialog = InviteDialog::from_inner(Arc::new(inner));
    DESTINATION.scope(target.address, dialog.cancel()).await.map_err(plain)?;
    let seen = timeout(PATIENCE * 2, dialog.process_invite(&mut transaction)).await;
    // Answers are repeated until the ACK has arrived.
    timeout(PATIENCE, async { while transaction.receive().await.is_some() {} }).await.ok();
    seen.map_err(|_| "no answer".to_string())?.map(drop).map_err(plain)
}

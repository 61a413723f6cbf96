//! What the crate says of one dialog, told to Python once and in plain words.

use crate::calls::{Call, Core};
use crate::events::Event;
use crate::snapshot;
use crate::wire::{self, Pairs};
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver, TerminatedReason};
use rsipstack::sip::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Follows a dialog until it ends. `attempt`: which of an outbound call's tries this is.
pub async fn watch(core: Arc<Core>, call: Arc<Call>, mut states: DialogStateReceiver, attempt: usize) {
    while let Some(state) = states.recv().await {
        if call.attempt.load(Ordering::SeqCst) != attempt {
            return;
        }
        match state {
            DialogState::Trying(_) => call.is_heard.store(true, Ordering::SeqCst),
            DialogState::Early(_, response) if !call.is_inbound => {
                call.is_heard.store(true, Ordering::SeqCst);
                if !call.is(|call| &call.is_answered) && !call.is(|call| &call.is_cancelled) {
                    core.outbox.offer(Event {
                        kind: "progress",
                        key: call.key,
                        code: response.status_code.code(),
                        text: wire::reason(&response),
                        headers: wire::pairs(&response.headers),
                        body: response.body,
                        ..Event::default()
                    });
                }
            }
            // Repeated after each request inside of the dialog.
            DialogState::Confirmed(_, response) if !call.is_answered.swap(true, Ordering::SeqCst) => {
                call.is_heard.store(true, Ordering::SeqCst);
                if call.is_inbound {
                    let acknowledged = call.dialog().and_then(|dialog| dialog.last_remote_ack());
                    call.ringing.lock().take();
                    snapshot::take_credential(&core, &call, attempt);
                    core.outbox.tell(Event {
                        kind: "confirmed",
                        key: call.key,
                        body: acknowledged.map(|ack| ack.body).unwrap_or_default(),
                        ..Event::default()
                    });
                } else if !call.is(|call| &call.is_cancelled) {
                    core.outbox.tell(Event {
                        kind: "answered",
                        key: call.key,
                        code: response.status_code.code(),
                        headers: wire::pairs(&response.headers),
                        body: response.body,
                        ..Event::default()
                    });
                }
            }
            DialogState::Updated(_, request, handle)
            | DialogState::Info(_, request, handle)
            | DialogState::Notify(_, request, handle)
            | DialogState::Refer(_, request, handle) => core.ask(&call, request, handle).await,
            DialogState::Options(_, _, handle) => {
                let allow = wire::headers(vec![("Allow".into(), wire::ALLOW.into())]);
                handle.respond(StatusCode::OK, Some(allow), None).await.ok();
            }
            DialogState::Terminated(_, reason) => {
                // How an outbound call fails is known to the task that dials.
                if call.is_inbound || call.is(|call| &call.is_answered) {
                    end(&core, &call, reason);
                }
                return;
            }
            _ => {}
        }
    }
}

fn end(core: &Core, call: &Call, reason: TerminatedReason) {
    let farewell: Pairs = std::mem::take(&mut *call.farewell.lock());
    let by_far = match (&reason, call.is_inbound) {
        (TerminatedReason::UacBye, inbound) => inbound,
        (TerminatedReason::UasBye, inbound) => !inbound,
        (TerminatedReason::UacCancel, inbound) => inbound,
        (TerminatedReason::ProxyAuthRequired, _) => true,
        _ => false,
    };
    let is_our_bye = matches!(
        (&reason, call.is_inbound),
        (TerminatedReason::UasBye, true) | (TerminatedReason::UacBye, false)
    );
    match reason {
        TerminatedReason::Timeout => {
            core.tell_end(call, "timeout", 408, "No ACK".into(), Pairs::new());
        }
        TerminatedReason::ProxyAuthRequired => {
            core.tell_end(call, "far", 407, "Challenged, and no credential for it".into(), farewell);
        }
        _ if by_far => {
            let code = if matches!(reason, TerminatedReason::UacCancel) { 487 } else { 200 };
            core.tell_end(call, "far", code, String::new(), farewell);
        }
        _ => {
            let code = match call.parting_code.load(Ordering::SeqCst) {
                0 => 200,
                code => code,
            };
            core.tell_end(call, "us", code, String::new(), Pairs::new());
        }
    }
    // After a BYE of ours the task that sent it forgets the call, when it is answered.
    if !is_our_bye {
        core.forget(call);
    }
}

//! Calls that we begin: one address after the other, a CANCEL that goes where the INVITE went, one end that is told.

use crate::calls::{Call, Core};
use crate::targets::{DESTINATION, Target};
use crate::watch::watch;
use crate::wire::{self, Pairs};
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::invitation::{InviteAsyncResult, InviteOption};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Response, StatusCodeKind, Transport, Uri};
use rsipstack::transport::SipAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// SIP's own patience with a transaction, and a little.
pub const PATIENCE: Duration = Duration::from_secs(34);

const UNWRITTEN: &str = "the call could not be written down";

/// Bytes of a request that goes over UDP.
const LARGEST: usize = 1300;

pub struct Plan {
    pub uri: Uri,
    pub body: Vec<u8>,
    pub caller: Uri,
    pub caller_name: Option<String>,
    /// Where to send it instead of to `uri`.
    pub proxies: Vec<Uri>,
    pub credential: Option<Credential>,
    pub headers: Pairs,
    pub contact: Option<Uri>,
    pub ring: Duration,
}

enum Outcome {
    /// Answered, or given up by us: both were told.
    Settled,
    Failed {
        by: &'static str,
        code: u16,
        text: String,
        headers: Pairs,
    },
    /// This address is of no use.
    Next {
        text: String,
    },
}

/// Every address of a list of URIs that somebody gave us, in order, each once: with the name that led there, if one did.
pub async fn targets(core: &Core, uris: &[Uri]) -> Result<Vec<Target>, String> {
    let mut found: Vec<Target> = Vec::new();
    let mut trouble = "no address".to_string();
    for uri in uris {
        match core.targets.resolve(uri).await {
            Ok(more) => {
                let (may, may_not): (Vec<_>, Vec<_>) =
                    more.into_iter().partition(|target| core.targets.may_reach(target));
                if !may_not.is_empty() {
                    trouble = format!("{} leads into a private network", uri.host_with_port.host);
                }
                for target in may {
                    match found.iter_mut().find(|known| known.address == target.address) {
                        Some(known) => known.name = known.name.take().or(target.name),
                        None => found.push(target),
                    }
                }
            }
            Err(error) => trouble = error,
        }
    }
    if found.is_empty() { Err(trouble) } else { Ok(found) }
}

pub async fn dial(core: Arc<Core>, call: Arc<Call>, plan: Plan) {
    let deadline = Instant::now() + plan.ring;
    let routes = if plan.proxies.is_empty() { vec![plan.uri.clone()] } else { plan.proxies.clone() };
    let mut trouble = match targets(&core, &routes).await {
        Ok(targets) => {
            let mut trouble = String::new();
            for (nth, target) in targets.iter().enumerate() {
                let is_last = nth + 1 == targets.len();
                let target = &fitting(&core, &call, &plan, target).await;
                match attempt(&core, &call, &plan, target, nth, is_last, deadline).await {
                    Outcome::Settled => {
                        if call.is(|call| &call.is_unwritten) {
                            core.tell_end(&call, "transport", 503, UNWRITTEN.into(), Pairs::new());
                        }
                        return;
                    }
                    Outcome::Failed { by, code, text, headers } => {
                        core.tell_end(&call, by, code, text, headers);
                        core.forget(&call);
                        return;
                    }
                    Outcome::Next { text } => trouble = text,
                }
            }
            trouble
        }
        Err(error) => error,
    };
    if trouble.is_empty() {
        trouble = "no address".into();
    }
    core.tell_end(&call, "transport", 503, trouble, Pairs::new());
    core.forget(&call);
}

/// The same address over TCP, for what is too large to pass every network in one packet (RFC 3261 §18.1.1); where
/// nobody listens there, it goes over UDP all the same. What a challenge adds is not counted.
async fn fitting(core: &Core, call: &Call, plan: &Plan, target: &Target) -> Target {
    let can =
        target.transport() == Transport::Udp && core.locals.iter().any(|l| l.transport == Transport::Tcp);
    if !can {
        return target.clone();
    }
    let size = core.layer.make_invite_request(&option(core, call, plan, target));
    let size = size.map_or(0, |request| request.to_string().len() + plan.body.len());
    if size <= LARGEST {
        return target.clone();
    }
    let over_tcp = Target {
        address: SipAddr::new(Transport::Tcp, target.address.addr.clone()),
        name: target.name.clone(),
    };
    if core.targets.is_without_tcp(&over_tcp) {
        return target.clone();
    }
    tokio::select! {
        made = core.targets.connect(&over_tcp) => {
            if made.is_ok() {
                return over_tcp;
            }
            core.targets.note_without_tcp(&over_tcp);
        }
        _ = call.cancelled.notified() => {}
    }
    target.clone()
}

async fn attempt(
    core: &Arc<Core>,
    call: &Arc<Call>,
    plan: &Plan,
    target: &Target,
    nth: usize,
    is_last: bool,
    deadline: Instant,
) -> Outcome {
    if call.is(|call| &call.is_cancelled) {
        core.forget(call);
        return Outcome::Settled;
    }
    let connected = tokio::select! {
        connected = core.targets.connect(target) => connected,
        _ = call.cancelled.notified() => {
            core.forget(call);
            return Outcome::Settled;
        }
    };
    if let Err(text) = connected {
        return Outcome::Next { text };
    }
    if call.journal.as_ref().is_some_and(|journal| journal.reserve().is_err()) {
        return Outcome::Failed { by: "transport", code: 503, text: UNWRITTEN.into(), headers: Pairs::new() };
    }
    let (sender, states) = core.layer.new_dialog_state_channel();
    call.attempt.store(nth, Ordering::SeqCst);
    call.is_heard.store(false, Ordering::SeqCst);
    core.targets.note(&plan.uri, &target.address);
    let sent = core.layer.do_invite_async(option(core, call, plan, target), sender);
    let (dialog, mut answer) = match sent {
        Ok(sent) => sent,
        Err(error) => return Outcome::Next { text: error.to_string() },
    };
    *call.dialog.lock() = Some(dialog.clone());
    core.calls.add_tag(call, dialog.id().local_tag);
    tokio::spawn(watch(core.clone(), call.clone(), states, nth));

    let silence = Instant::now() + core.try_next;
    let may_go_on = !is_last && target.transport() == Transport::Udp;
    loop {
        tokio::select! {
            answered = &mut answer => {
                let outcome = outcome(call, answered, is_last);
                if call.is(|call| &call.is_cancelled) {
                    finish(core.clone(), call.clone(), dialog);
                    return Outcome::Settled;
                }
                return outcome;
            }
            _ = call.cancelled.notified() => break,
            _ = sleep_until(silence), if may_go_on && !call.is(|call| &call.is_heard) => {
                if call.is(|call| &call.is_heard) {
                    continue;
                }
                call.attempt.store(nth + 1, Ordering::SeqCst);
                answer.abort();
                return Outcome::Next { text: "nobody answered".into() };
            }
            _ = sleep_until(deadline) => {
                call.is_cancelled.store(true, Ordering::SeqCst);
                core.tell_end(call, "timeout", 408, "not answered in time".into(), Pairs::new());
                break;
            }
        }
    }
    // The end was told by whoever cancelled. What is left is to see the INVITE to its end: a 2xx that crosses the CANCEL
    // is acknowledged and ended by the crate.
    cancel(core.clone(), call.clone(), dialog, answer, target.clone());
    Outcome::Settled
}

fn cancel(
    core: Arc<Core>,
    call: Arc<Call>,
    dialog: InviteDialog,
    answer: JoinHandle<InviteAsyncResult>,
    target: Target,
) {
    tokio::spawn(async move {
        let cancelling = DESTINATION.scope(target.address.clone(), dialog.cancel());
        let both = async { tokio::join!(cancelling, answer) };
        timeout(PATIENCE * 2, both).await.ok();
        finish(core, call, dialog);
    });
}

/// The last of a call that we gave up: an answer that came just before the crate knew of it is ended with a BYE.
fn finish(core: Arc<Core>, call: Arc<Call>, dialog: InviteDialog) {
    tokio::spawn(async move {
        if dialog.state().is_confirmed() {
            timeout(PATIENCE, dialog.bye()).await.ok();
        }
        core.forget(&call);
    });
}

fn outcome(
    call: &Call,
    answered: Result<InviteAsyncResult, tokio::task::JoinError>,
    is_last: bool,
) -> Outcome {
    let response = match answered {
        Ok(Ok((_, Some(response)))) => response,
        Ok(Ok((_, None))) => return Outcome::Next { text: "no answer".into() },
        Ok(Err(error)) => return Outcome::Next { text: error.to_string() },
        Err(error) => return Outcome::Next { text: error.to_string() },
    };
    if response.status_code.kind() == StatusCodeKind::Successful {
        return Outcome::Settled;
    }
    let code = response.status_code.code();
    let is_silence = code == 408 && !call.is(|call| &call.is_heard);
    if !is_last && (code == 503 || is_silence) {
        return Outcome::Next { text: wire::reason(&response) };
    }
    if is_silence {
        return Outcome::Failed {
            by: "timeout",
            code,
            text: "nobody answered".into(),
            headers: Pairs::new(),
        };
    }
    failure(response, code)
}

fn failure(response: Response, code: u16) -> Outcome {
    Outcome::Failed {
        by: "far",
        code,
        text: wire::reason(&response),
        headers: wire::pairs(&response.headers),
    }
}

fn option(core: &Core, call: &Call, plan: &Plan, target: &Target) -> InviteOption {
    let transport = target.transport();
    let contact = match &plan.contact {
        Some(contact) => contact.clone(),
        None => core.contact(plan.caller.user(), transport, Some(&target.address)),
    };
    InviteOption {
        caller_display_name: plan.caller_name.clone(),
        caller: plan.caller.clone(),
        callee: plan.uri.clone(),
        destination: Some(target.address.clone()),
        content_type: Some("application/sdp".into()),
        offer: Some(plan.body.clone()),
        contact,
        credential: plan.credential.clone(),
        headers: Some(wire::headers(plan.headers.clone())),
        support_prack: false,
        call_id: Some(call.call_id.clone()),
        ..InviteOption::default()
    }
}

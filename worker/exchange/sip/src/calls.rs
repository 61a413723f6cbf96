//! What is known of each call, and where a request that comes in belongs.

use crate::events::{Event, Outbox};
use crate::journal::Journal;
use crate::targets::Targets;
use crate::wire::{self, Pairs};
use parking_lot::Mutex;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::{Dialog, TransactionHandle};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{HasHeaders, Headers, HeadersExt, HostWithPort, Method, Request, Transport, Uri};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transaction::transaction::TransactionEventSender;
use rsipstack::transport::{SipAddr, SipConnection};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The INVITE that we have not finally answered yet.
pub struct Ringing {
    pub invite: Request,
    pub answers: TransactionEventSender,
}

pub struct Call {
    pub key: u64,
    pub call_id: String,
    pub is_inbound: bool,
    /// None until an outbound call has an address to go to.
    pub dialog: Mutex<Option<InviteDialog>>,
    pub ringing: Mutex<Option<Ringing>>,
    /// The flow an inbound call came on.
    pub connection: Option<SipConnection>,
    pub credential: Mutex<Option<Credential>>,
    /// Outbound: where its INVITE is written down before it leaves, for another process to cancel.
    pub journal: Option<Journal>,
    /// It could not be, and the call was taken back.
    pub is_unwritten: AtomicBool,
    pub is_answered: AtomicBool,
    pub is_over: AtomicBool,
    /// The far side has said something, or we have.
    pub is_heard: AtomicBool,
    /// Outbound: our side does not want it any more.
    pub is_cancelled: AtomicBool,
    pub cancelled: Notify,
    /// Outbound calls are tried at one address after the other; what earlier tries still say is not told.
    pub attempt: AtomicUsize,
    /// How many re-INVITEs and UPDATEs are under way, ours and theirs (RFC 3261 §14).
    pub offers_of_ours: AtomicUsize,
    pub offers_of_theirs: AtomicUsize,
    /// Headers of the BYE or CANCEL that ends it.
    pub farewell: Mutex<Pairs>,
    /// What our side ends it with.
    pub parting_code: AtomicU16,
    pub(crate) tags: Mutex<Vec<(String, String)>>,
}

impl Call {
    pub fn new(key: u64, call_id: String, is_inbound: bool, connection: Option<SipConnection>) -> Self {
        Call {
            key,
            call_id,
            is_inbound,
            dialog: Mutex::new(None),
            ringing: Mutex::new(None),
            connection,
            credential: Mutex::new(None),
            journal: None,
            is_unwritten: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_heard: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            cancelled: Notify::new(),
            attempt: AtomicUsize::new(0),
            offers_of_ours: AtomicUsize::new(0),
            offers_of_theirs: AtomicUsize::new(0),
            farewell: Mutex::default(),
            parting_code: AtomicU16::new(0),
            tags: Mutex::default(),
        }
    }

    pub fn dialog(&self) -> Option<InviteDialog> {
        self.dialog.lock().clone()
    }

    pub fn is(&self, flag: fn(&Call) -> &AtomicBool) -> bool {
        flag(self).load(Ordering::SeqCst)
    }

    /// RFC 3261 §12.2: a re-INVITE or UPDATE and its 2xx may name another place to send to.
    pub fn refresh_target(&self, headers: &Headers) {
        struct Held<'a>(&'a Headers);
        impl HasHeaders for Held<'_> {
            fn headers(&self) -> &Headers {
                self.0
            }
            fn headers_mut(&mut self) -> &mut Headers {
                unreachable!("read only")
            }
        }
        impl HeadersExt for Held<'_> {}
        let held = Held(headers);
        if let (Some(dialog), Ok(contact), Ok(contacts)) =
            (self.dialog(), held.contact_header(), held.typed_contact_headers())
            && let Some(first) = contacts.first()
        {
            Dialog::Invite(dialog).set_remote_target(first.uri.clone(), Some(contact.clone()));
        }
    }
}

#[derive(Default)]
struct Books {
    by_key: HashMap<u64, Arc<Call>>,
    /// By Call-ID and our own tag, which the far side cannot guess.
    by_tag: HashMap<(String, String), u64>,
    /// Inbound, by Call-ID and the far side's tag: for CANCEL, and for an INVITE that comes by two ways.
    by_invite: HashMap<(String, String), u64>,
}

#[derive(Default)]
pub struct Calls {
    books: Mutex<Books>,
    next: AtomicU64,
}

impl Calls {
    pub fn next_key(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn add(&self, call: &Arc<Call>) {
        self.books.lock().by_key.insert(call.key, call.clone());
    }

    pub fn add_tag(&self, call: &Call, tag: String) {
        let id = (call.call_id.clone(), tag);
        call.tags.lock().push(id.clone());
        self.books.lock().by_tag.insert(id, call.key);
    }

    pub fn add_invite(&self, call: &Call, tag: String) {
        self.books.lock().by_invite.insert((call.call_id.clone(), tag), call.key);
    }

    pub fn get(&self, key: u64) -> Option<Arc<Call>> {
        self.books.lock().by_key.get(&key).cloned()
    }

    pub fn inside(&self, call_id: &str, tag: &str) -> Option<Arc<Call>> {
        let books = self.books.lock();
        let key = books.by_tag.get(&(call_id.to_string(), tag.to_string()))?;
        books.by_key.get(key).cloned()
    }

    /// A call of ours, by the INVITE that begins it.
    pub fn placed_by(&self, invite: &Request) -> Option<Arc<Call>> {
        self.inside(&wire::call_id(invite)?, &wire::from_tag(invite)?)
    }

    pub fn begun_by(&self, request: &Request) -> Option<Arc<Call>> {
        let id = (wire::call_id(request)?, wire::from_tag(request)?);
        let books = self.books.lock();
        books.by_key.get(books.by_invite.get(&id)?).cloned()
    }

    /// A CANCEL's Reason ("answered elsewhere") is not handed on by the crate.
    pub fn note_cancel(&self, cancel: &Request) {
        if let Some(call) = self.begun_by(cancel) {
            *call.farewell.lock() = wire::pairs(&cancel.headers);
        }
    }

    pub fn remove(&self, call: &Call) {
        let mut books = self.books.lock();
        if books.by_key.remove(&call.key).is_none() {
            return;
        }
        for id in call.tags.lock().iter() {
            books.by_tag.remove(id);
        }
        books.by_invite.retain(|_, key| *key != call.key);
    }

    pub fn len(&self) -> usize {
        self.books.lock().by_key.len()
    }
}

/// A request of the far side inside of a dialog that Python has yet to answer.
pub struct Asked {
    pub call: Arc<Call>,
    pub request: Request,
    pub handle: TransactionHandle,
}

pub struct Local {
    pub transport: Transport,
    pub address: SipAddr,
}

/// Everything that the engine's tasks share.
pub struct Core {
    pub endpoint: EndpointInnerRef,
    pub layer: Arc<DialogLayer>,
    pub outbox: Arc<Outbox>,
    pub calls: Arc<Calls>,
    pub targets: Arc<Targets>,
    pub asked: Mutex<HashMap<u64, Asked>>,
    pub locals: Vec<Local>,
    /// What registrars see us as, by their address, where they reach us by the connection that we opened alone: we are
    /// behind NAT, or do not listen on that transport at all.
    pub seen: Mutex<HashMap<SipAddr, HostWithPort>>,
    pub options_code: AtomicU16,
    pub pending: AtomicUsize,
    pub pending_limit: usize,
    pub refused: AtomicU64,
    pub try_next: std::time::Duration,
}

impl Core {
    fn listening(&self, transport: Transport) -> Option<&SipAddr> {
        let found = self.locals.iter().find(|local| local.transport == transport);
        found.map(|local| &local.address)
    }

    /// The address of ours that is heard on this transport, else the first.
    pub fn local(&self, transport: Transport) -> &SipAddr {
        self.listening(transport).unwrap_or(&self.locals[0].address)
    }

    /// Remembers what a registrar sees us as, if that is where it has to reach us. Over UDP it is not: there the source
    /// of our packets is the listener's own, and carriers that serve customers behind NAT keep to it.
    pub fn note_seen(&self, registrar: &SipAddr, seen: Option<&HostWithPort>) {
        let transport = registrar.r#type.unwrap_or(Transport::Udp);
        let is_behind =
            |seen: &&HostWithPort| self.listening(transport).is_none_or(|local| local.addr.host != seen.host);
        match seen.filter(is_behind) {
            Some(seen) if transport != Transport::Udp => {
                self.seen.lock().insert(registrar.clone(), seen.clone());
            }
            _ => {
                self.seen.lock().remove(registrar);
            }
        }
    }

    /// Our Contact for somebody there. It names its transport wherever that is not UDP, so that the crate sends it
    /// unchanged.
    pub fn contact(&self, user: Option<&str>, transport: Transport, towards: Option<&SipAddr>) -> Uri {
        use rsipstack::sip::{Auth, Param, Scheme};
        let seen = towards.and_then(|towards| self.seen.lock().get(towards).cloned());
        let mut params = Vec::new();
        if transport != Transport::Udp {
            params.push(Param::Transport(transport));
        }
        Uri {
            scheme: Some(Scheme::Sip),
            auth: user.map(|user| Auth { user: user.to_string(), password: None }),
            host_with_port: seen.unwrap_or_else(|| self.local(transport).addr.clone()),
            params,
            headers: Vec::new(),
        }
    }

    /// Tells the end of a call, once.
    pub fn tell_end(&self, call: &Call, by: &str, code: u16, text: String, headers: Pairs) {
        if call.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        self.outbox.tell(Event {
            kind: "ended",
            key: call.key,
            code,
            text,
            method: by.to_string(),
            headers,
            ..Event::default()
        });
    }

    /// From now on nothing reaches the call any more.
    pub fn forget(&self, call: &Call) {
        self.calls.remove(call);
        self.asked.lock().retain(|_, asked| asked.call.key != call.key);
        if let Some(dialog) = call.dialog() {
            self.layer.remove_dialog(&dialog.id());
        }
    }

    /// Hands a request inside of a dialog to Python, who answers by its token.
    pub async fn ask(&self, call: &Arc<Call>, request: Request, handle: TransactionHandle) {
        if request.method == Method::Invite {
            // A 100, so that the far side does not repeat itself while Python thinks.
            handle.reply(wire::status(100)).await.ok();
        }
        let token = self.calls.next_key();
        let event = Event {
            kind: "request",
            key: call.key,
            token,
            method: request.method.to_string(),
            headers: wire::pairs(&request.headers),
            body: request.body.clone(),
            ..Event::default()
        };
        if is_offer(&request) {
            call.offers_of_theirs.fetch_add(1, Ordering::SeqCst);
        }
        self.asked.lock().insert(token, Asked { call: call.clone(), request, handle: handle.clone() });
        if !self.outbox.offer(event)
            && let Some(asked) = self.take(token)
        {
            let later = wire::headers(vec![("Retry-After".into(), "2".into())]);
            asked.handle.respond(wire::status(503), Some(later), None).await.ok();
        }
    }

    pub fn take(&self, token: u64) -> Option<Asked> {
        let asked = self.asked.lock().remove(&token)?;
        if is_offer(&asked.request) {
            asked.call.offers_of_theirs.fetch_sub(1, Ordering::SeqCst);
        }
        Some(asked)
    }
}

pub fn is_offer(request: &Request) -> bool {
    match request.method {
        Method::Invite => true,
        Method::Update => !request.body.is_empty(),
        _ => false,
    }
}

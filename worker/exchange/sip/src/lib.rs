//! SIP for asyncio. Its typed face is `worker/exchange/sip/`; nothing else calls this.

mod abandon;
mod admission;
mod calls;
mod challenges;
mod engine;
mod events;
mod inbound;
mod journal;
mod listening;
mod outbound;
mod registration;
mod requests;
mod resume;
mod snapshot;
mod targets;
mod threads;
mod watch;
mod wire;

use admission::{Gate, Rules};
use calls::{Call, Core};
use engine::Listener;
use events::{Event, Outbox};
use journal::Journal;
use parking_lot::Mutex;
use pyo3::exceptions::{PyLookupError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rsipstack::dialog::dialog::DialogSnapshotState;
use rsipstack::sip::{Method, Transport};
use rsipstack::transaction::{CallIdFormat, make_call_id};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use targets::Reach;
use threads::Running;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wire::{Pairs, Secret};

/// So many orders may be under way; beyond, Python is told.
const ORDERS: usize = 20_000;

type Address = (String, String, u16, Option<(String, u16)>, Vec<u8>, Vec<u8>);

#[pyclass(frozen, module = "call2me_sip")]
struct Engine {
    running: Mutex<Option<Running>>,
    outbox: Arc<Outbox>,
    gate: Arc<Gate>,
    reach: Mutex<Reach>,
    bindings: Mutex<HashMap<u64, (CancellationToken, Arc<Notify>)>>,
    orders: Arc<AtomicUsize>,
}

fn bad(error: String) -> PyErr {
    PyValueError::new_err(error)
}

fn described((transport, host, port, advertised, certificate, private_key): Address) -> PyResult<Listener> {
    let transport = wire::transport(&transport).map_err(bad)?;
    if transport == Transport::Tls {
        engine::is_pair(&certificate, &private_key).map_err(PyOSError::new_err)?;
    }
    Ok(Listener {
        transport,
        address: wire::socket(&(host, port)).map_err(bad)?,
        advertised: advertised.as_ref().map(wire::socket).transpose().map_err(bad)?,
        certificate,
        private_key,
    })
}

impl Engine {
    fn core(&self) -> PyResult<(Arc<Core>, Handle)> {
        match &*self.running.lock() {
            Some(running) => Ok((running.core.clone(), running.handle.clone())),
            None => Err(PyRuntimeError::new_err("the engine does not run")),
        }
    }

    fn call(&self, key: u64) -> PyResult<(Arc<Core>, Handle, Arc<Call>)> {
        let (core, handle) = self.core()?;
        match core.calls.get(key) {
            Some(call) => Ok((core, handle, call)),
            None => Err(PyLookupError::new_err("the call is over")),
        }
    }

    /// Runs a task on the SIP thread, without waiting for it.
    fn order(&self, handle: &Handle, task: impl Future<Output = ()> + Send + 'static) -> PyResult<()> {
        if self.orders.fetch_add(1, Ordering::SeqCst) >= ORDERS {
            self.orders.fetch_sub(1, Ordering::SeqCst);
            return Err(PyRuntimeError::new_err("too many orders"));
        }
        let orders = self.orders.clone();
        handle.spawn(async move {
            task.await;
            orders.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(())
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new() -> Self {
        Engine {
            running: Mutex::default(),
            outbox: Arc::default(),
            gate: Arc::new(Gate::new(Rules {
                sources: Some(Vec::new()),
                refuse_with: None,
                per_second: 0.0,
                burst: 0.0,
                connections: 0,
            })),
            reach: Mutex::default(),
            bindings: Mutex::default(),
            orders: Arc::default(),
        }
    }

    /// Listens; what happens is told to `sink` in lists, on a thread of its own. Where it listens.
    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (sink, listeners, user_agent, nameservers, authorities, connect_seconds, try_next_seconds,
        pending_limit, t1_seconds = 0.5))]
    fn start(
        &self,
        py: Python<'_>,
        sink: Py<PyAny>,
        listeners: Vec<Address>,
        user_agent: String,
        nameservers: Vec<(String, u16)>,
        authorities: Option<Vec<u8>>,
        connect_seconds: f64,
        try_next_seconds: f64,
        pending_limit: usize,
        t1_seconds: f64,
    ) -> PyResult<Vec<(String, String, u16)>> {
        let listeners = listeners.into_iter().map(described).collect::<PyResult<_>>()?;
        let settings = engine::Settings {
            user_agent,
            nameservers: nameservers.iter().map(wire::socket).collect::<Result<_, _>>().map_err(bad)?,
            authorities,
            connect: Duration::from_secs_f64(connect_seconds),
            try_next: Duration::from_secs_f64(try_next_seconds),
            t1: Duration::from_secs_f64(t1_seconds),
            reach: self.reach.lock().clone(),
            pending_limit,
        };
        let (gate, outbox) = (self.gate.clone(), self.outbox.clone());
        let begun = py.detach(|| Running::begin(listeners, settings, gate, outbox, sink));
        let (running, addresses) = begun.map_err(PyOSError::new_err)?;
        *self.running.lock() = Some(running);
        let named =
            |(of, at): (Transport, SocketAddr)| (wire::transport_name(of), at.ip().to_string(), at.port());
        Ok(addresses.into_iter().map(named).collect())
    }

    /// Closes the sockets and ends both threads.
    fn stop(&self, py: Python<'_>) {
        if let Some(running) = self.running.lock().take() {
            self.outbox.close();
            py.detach(|| running.end());
        }
    }

    #[pyo3(signature = (sources, refuse_with, per_second, burst, connections = 32))]
    fn admit(
        &self,
        sources: Option<Vec<String>>,
        refuse_with: Option<u16>,
        per_second: f64,
        burst: f64,
        connections: usize,
    ) -> PyResult<()> {
        let sources = match sources {
            None => None,
            Some(texts) => Some(wire::networks(&texts).map_err(bad)?),
        };
        self.gate.set(Rules { sources, refuse_with, per_second, burst, connections });
        Ok(())
    }

    /// Where the names that are given from the next `start` on may not lead, and the names that may all the same.
    fn keep_names_from(&self, refused: Vec<String>, exempt: Vec<(String, u16)>) -> PyResult<()> {
        *self.reach.lock() = Reach { refused: wire::networks(&refused).map_err(bad)?, exempt };
        Ok(())
    }

    fn answer_options(&self, code: u16) -> PyResult<()> {
        self.core()?.0.options_code.store(code, Ordering::Relaxed);
        Ok(())
    }

    /// An invitation was handed out.
    fn taken(&self) -> PyResult<()> {
        self.core()?.0.pending.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (uri, body, caller, caller_name, proxies, secret, headers, contact, call_id, ring_seconds,
        journal = None))]
    fn invite(
        &self,
        uri: &str,
        body: Vec<u8>,
        caller: &str,
        caller_name: Option<String>,
        proxies: Vec<String>,
        secret: Option<Secret>,
        headers: Pairs,
        contact: Option<&str>,
        call_id: Option<String>,
        ring_seconds: f64,
        journal: Option<PathBuf>,
    ) -> PyResult<(u64, String)> {
        let (core, handle) = self.core()?;
        let plan = outbound::Plan {
            uri: wire::uri(uri).map_err(bad)?,
            body,
            caller: wire::uri(caller).map_err(bad)?,
            caller_name,
            proxies: wire::uris(&proxies).map_err(bad)?,
            credential: secret.map(wire::credential),
            headers,
            contact: contact.map(wire::uri).transpose().map_err(bad)?,
            ring: Duration::from_secs_f64(ring_seconds),
        };
        let call_id = call_id.unwrap_or_else(|| {
            make_call_id(Some(engine::CALL_ID_SUFFIX), CallIdFormat::default()).value().to_string()
        });
        let journal = journal.map(Journal::new);
        let call = Call { journal, ..Call::new(core.calls.next_key(), call_id.clone(), false, None) };
        let call = Arc::new(call);
        let key = call.key;
        core.calls.add(&call);
        self.order(&handle, outbound::dial(core.clone(), call.clone(), plan))
            .inspect_err(|_| core.calls.remove(&call))?;
        Ok((key, call_id))
    }

    /// Ends what another process has begun with an INVITE and did not live to see answered.
    fn abandon(&self, text: &str) -> PyResult<u64> {
        let (core, handle) = self.core()?;
        let abandoned = abandon::read(text).map_err(bad)?;
        let order = core.calls.next_key();
        self.order(&handle, async move {
            let ended = abandon::end(core.clone(), abandoned).await;
            requests::tell_reply(&core, order, Err(ended.err().unwrap_or_else(|| "over".into())));
        })?;
        Ok(order)
    }

    fn ring(&self, key: u64, headers: Pairs, body: Vec<u8>) -> PyResult<()> {
        let (_, _, call) = self.call(key)?;
        let dialog = call.dialog().filter(|dialog| dialog.state().can_cancel());
        let dialog = dialog.ok_or_else(|| PyLookupError::new_err("too late"))?;
        call.is_heard.store(true, Ordering::SeqCst);
        let body = (!body.is_empty()).then_some(body);
        dialog
            .ringing(Some(wire::headers(headers)), body)
            .map_err(|error| PyLookupError::new_err(error.to_string()))
    }

    fn answer(&self, key: u64, headers: Pairs, body: Vec<u8>, secret: Option<Secret>) -> PyResult<()> {
        let (_, _, call) = self.call(key)?;
        let dialog = call.dialog().filter(|dialog| dialog.state().can_cancel());
        let dialog = dialog.ok_or_else(|| PyLookupError::new_err("too late"))?;
        call.is_heard.store(true, Ordering::SeqCst);
        *call.credential.lock() = secret.map(wire::credential);
        dialog
            .accept(Some(wire::headers(headers)), Some(body))
            .map_err(|error| PyLookupError::new_err(error.to_string()))
    }

    fn reject(&self, key: u64, code: u16, headers: Pairs) -> PyResult<()> {
        let (core, handle, call) = self.call(key)?;
        let ringing = inbound::refusable(&call).map_err(PyLookupError::new_err)?;
        self.order(&handle, async move {
            // Cancelled by the far side in this very moment otherwise.
            inbound::refuse(&core, &call, ringing, code, headers).ok();
        })
    }

    /// Ends a call in whatever state it is; `order` is answered when that is done.
    fn end(&self, key: u64, headers: Pairs) -> PyResult<u64> {
        let (core, handle, call) = self.call(key)?;
        let order = core.calls.next_key();
        self.order(&handle, async move { requests::end(&core, &call, headers, order) })?;
        Ok(order)
    }

    fn request(&self, key: u64, method: &str, headers: Pairs, body: Vec<u8>) -> PyResult<u64> {
        let (core, handle, call) = self.call(key)?;
        let method: Method = method.parse().map_err(|_| bad(format!("no method: {method:?}")))?;
        let order = core.calls.next_key();
        self.order(&handle, requests::request(core.clone(), call, method, headers, body, order))?;
        Ok(order)
    }

    /// The answer to a request of the far side; a second one is dropped.
    fn respond(&self, token: u64, code: u16, headers: Pairs, body: Vec<u8>) -> PyResult<()> {
        let (core, handle) = self.core()?;
        self.order(&handle, async move {
            let Some(asked) = core.take(token) else { return };
            let is_target_refresh = matches!(asked.request.method, Method::Invite | Method::Update);
            if is_target_refresh && (200..300).contains(&code) {
                asked.call.refresh_target(&asked.request.headers);
            }
            let body = (!body.is_empty()).then_some(body);
            asked.handle.respond(wire::status(code), Some(wire::headers(headers)), body).await.ok();
        })
    }

    fn options(&self, uri: &str, proxies: Vec<String>, seconds: f64) -> PyResult<u64> {
        let (core, handle) = self.core()?;
        let (uri, proxies) = (wire::uri(uri).map_err(bad)?, wire::uris(&proxies).map_err(bad)?);
        let order = core.calls.next_key();
        let patience = Duration::from_secs_f64(seconds);
        self.order(&handle, requests::options(core.clone(), uri, proxies, patience, order))?;
        Ok(order)
    }

    fn register(
        &self,
        registrar: &str,
        secret: Secret,
        proxies: Vec<String>,
        expires: u32,
        contact_user: Option<String>,
    ) -> PyResult<u64> {
        let (core, handle) = self.core()?;
        let stopped = CancellationToken::new();
        let renewed = Arc::new(Notify::new());
        let binding = registration::Binding {
            key: core.calls.next_key(),
            registrar: wire::uri(registrar).map_err(bad)?,
            secret,
            proxies: wire::uris(&proxies).map_err(bad)?,
            expires,
            contact_user,
            stopped: stopped.clone(),
            renewed: renewed.clone(),
        };
        let key = binding.key;
        self.order(&handle, registration::keep(core, binding))?;
        self.bindings.lock().insert(key, (stopped, renewed));
        Ok(key)
    }

    /// Over TCP and TLS: opens another connection, and registers by it.
    fn renew(&self, key: u64) {
        if let Some((_, renewed)) = self.bindings.lock().get(&key) {
            renewed.notify_one();
        }
    }

    /// "gone" is told when it is done.
    fn unregister(&self, key: u64) {
        if let Some((stopped, _)) = self.bindings.lock().remove(&key) {
            stopped.cancel();
        }
    }

    fn snapshot(&self, key: u64) -> PyResult<String> {
        let (_, _, call) = self.call(key)?;
        let written = resume::write(&call).or_else(|| {
            let snapshot = call.dialog().map(|dialog| dialog.snapshot());
            let snapshot = snapshot.filter(|snapshot| snapshot.state == DialogSnapshotState::Confirmed)?;
            Some(snapshot::write(&snapshot))
        });
        let written = written.ok_or_else(|| PyLookupError::new_err("the call is not up"))?;
        Ok(written.to_string())
    }

    /// The key of the dialog that goes on here.
    fn restore(&self, text: &str, secret: Option<Secret>) -> PyResult<u64> {
        let (core, handle) = self.core()?;
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        let _inside = handle.enter();
        if let Some(invite) = value["invite"].as_str() {
            return Ok(resume::take(&core, &value, invite).map_err(bad)?.key);
        }
        let snapshot = snapshot::read(&value).map_err(bad)?;
        let call = snapshot::restore(&core, snapshot, secret.map(wire::credential)).map_err(bad)?;
        Ok(call.key)
    }

    /// Dialogs, transactions, waiting events, dropped requests, refused invitations.
    fn stats(&self) -> PyResult<(usize, usize, usize, u64, u64)> {
        let (core, _) = self.core()?;
        let transactions = core.endpoint.get_stats();
        Ok((
            core.calls.len(),
            transactions.running_transactions + transactions.finished_transactions,
            self.outbox.len(),
            self.gate.dropped.load(Ordering::Relaxed),
            core.refused.load(Ordering::Relaxed),
        ))
    }
}

#[pymodule]
fn call2me_sip(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_class::<Event>()
}

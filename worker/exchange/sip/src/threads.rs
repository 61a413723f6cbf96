//! The two threads of an engine: one serves SIP, the other tells Python what happened.

use crate::admission::Gate;
use crate::calls::Core;
use crate::engine::{self, Listener, Settings, Started};
use crate::events::Outbox;
use pyo3::prelude::*;
use rsipstack::sip::Transport;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

pub struct Running {
    pub core: Arc<Core>,
    pub handle: Handle,
    token: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Listens; and where.
    pub fn begin(
        listeners: Vec<Listener>,
        settings: Settings,
        gate: Arc<Gate>,
        outbox: Arc<Outbox>,
        sink: Py<PyAny>,
    ) -> Result<(Self, Vec<(Transport, SocketAddr)>), String> {
        let token = CancellationToken::new();
        let (told, heard) = mpsc::channel();
        let (stopped, telling) = (token.clone(), outbox.clone());
        let serve = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(told.send(Err(error.to_string()))),
            };
            let handle = runtime.handle().clone();
            runtime.block_on(async move {
                let started = engine::start(listeners, settings, gate, outbox, stopped.clone()).await;
                let is_up = started.is_ok();
                told.send(started.map(|started| (started, handle))).ok();
                if is_up {
                    stopped.cancelled().await;
                }
            });
            // What is still under way ends here: nobody would hear of it.
            runtime.shutdown_background();
        };
        let serving = spawn("sip", serve)?;
        let (Started { core, addresses }, handle) = heard.recv().map_err(|error| error.to_string())??;
        let delivering = spawn("sip-events", move || telling.deliver(sink))?;
        Ok((Running { core, handle, token, threads: vec![serving, delivering] }, addresses))
    }

    /// Closes the sockets and waits for both.
    pub fn end(self) {
        self.token.cancel();
        for thread in self.threads {
            thread.join().ok();
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    std::thread::Builder::new().name(name.into()).spawn(body).map_err(|error| error.to_string())
}

//! What is told to Python: a queue, and the one thread that takes the GIL to empty it.
//!
//! The SIP thread never waits for Python. What a far side can send without end (invitations, requests inside of a
//! dialog) is refused when the queue is full; what ends a call, and answers to what Python asked, always fits: there
//! is a bounded number of each for each call.

use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;
use std::collections::VecDeque;

/// So many may wait before the far side is told that we are busy.
const ROOM: usize = 4096;
const BATCH: usize = 256;

#[pyclass(frozen, get_all, module = "call2me_sip")]
#[derive(Default)]
pub struct Event {
    pub kind: &'static str,
    /// The dialog or registration it is about.
    pub key: u64,
    /// The request to be answered, or the order that is answered.
    pub token: u64,
    pub code: u16,
    pub text: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub address: Option<(String, u16)>,
    pub transport: String,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    is_closed: bool,
}

#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Outbox {
    /// For what must arrive.
    pub fn tell(&self, event: Event) {
        let mut waiting = self.waiting.lock();
        if !waiting.is_closed {
            waiting.events.push_back(event);
            self.arrived.notify_one();
        }
    }

    /// For what the far side may be refused: whether there was room.
    pub fn offer(&self, event: Event) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed || waiting.events.len() >= ROOM {
            return false;
        }
        waiting.events.push_back(event);
        self.arrived.notify_one();
        true
    }

    pub fn len(&self) -> usize {
        self.waiting.lock().events.len()
    }

    pub fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Calls `sink` with lists of events until closed, or until Python cannot take them any more.
    pub fn deliver(&self, sink: Py<PyAny>) {
        loop {
            let batch: Vec<Event> = {
                let mut waiting = self.waiting.lock();
                while waiting.events.is_empty() && !waiting.is_closed {
                    self.arrived.wait(&mut waiting);
                }
                if waiting.is_closed {
                    return;
                }
                let size = waiting.events.len().min(BATCH);
                waiting.events.drain(..size).collect()
            };
            let delivered = Python::try_attach(|py| sink.call1(py, (batch,)).map(drop));
            if !matches!(delivered, Some(Ok(()))) {
                // Nobody listens any more: the event loop was closed, or the interpreter ends.
                return self.close();
            }
        }
    }
}

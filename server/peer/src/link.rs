//! One connection to another member, from the side that has made it: its calls under way, and the
//! task that carries them. A link is dialed once; when it is over, another takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::frames::{Frames, Reading, encoded};
use crate::greeting::introduce;
use crate::measure::Measures;
use crate::network::Network;
use crate::outbox::{Class, Outbox, Outgoing, Refused};
use crate::wire::{Body, Frame, failure_of};
use crate::{Config, Error};

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There never was a connection.
    Unreachable,
    /// There was one, and it is over.
    Over,
}

/// Whether a link takes calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// What is under way is still answered.
    Leaving,
    Closed,
}

/// A call under way.
#[derive(Debug)]
struct Call {
    reply: oneshot::Sender<Result<Bytes, Error>>,
    /// Its frame may have reached the other side.
    sent: bool,
}

#[derive(Debug, Default)]
struct Calls {
    waiting: BTreeMap<u64, Call>,
    state: State,
}

/// One connection to another member.
#[derive(Debug)]
pub(crate) struct Link {
    config: Arc<Config>,
    measures: Measures,
    address: Box<str>,
    outbox: Outbox,
    calls: Mutex<Calls>,
    last_id: AtomicU64,
    hung_up: Notify,
    /// Since the last look: somebody has used it; a frame came in; a frame went out.
    used: AtomicBool,
    heard: AtomicBool,
    spoke: AtomicBool,
}

impl Link {
    pub(crate) fn new(config: Arc<Config>, measures: Measures, address: &str) -> Arc<Self> {
        let outbox = Outbox::new(config.queue_bytes, config.mail_bytes);
        Arc::new(Self {
            config,
            measures,
            address: address.into(),
            outbox,
            calls: Mutex::default(),
            last_id: AtomicU64::new(0),
            hung_up: Notify::new(),
            used: AtomicBool::new(true),
            heard: AtomicBool::new(true),
            spoke: AtomicBool::new(true),
        })
    }

    /// Whether it takes calls.
    pub(crate) fn is_open(&self) -> bool {
        self.calls.lock().state == State::Open
    }

    /// Begins a call: queues its request, to be answered within `deadline`.
    pub(crate) fn begin(self: &Arc<Self>, request: Bytes, urgent: bool, deadline: Duration) -> Result<Ticket, Refused> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let remaining_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let bytes = encoded(&Frame { id, remaining_ms, urgent, body: Some(Body::Request(request)) });
        let class = if urgent { Class::Urgent } else { Class::Call };
        let bound = self.config.in_flight + if urgent { limits::PEER_IN_FLIGHT_URGENT } else { 0 };
        let (reply, answer) = oneshot::channel();
        {
            let mut calls = self.calls.lock();
            if calls.state != State::Open {
                return Err(Refused::Closed);
            }
            if calls.waiting.len() >= bound {
                return Err(Refused::Full);
            }
            calls.waiting.insert(id, Call { reply, sent: false });
        }
        let ticket = Ticket { link: Arc::clone(self), id, answer };
        self.outbox.offer(Outgoing { class, id, bytes })?;
        self.used.store(true, Ordering::Relaxed);
        Ok(ticket)
    }

    /// Queues mail; says whether there was room.
    pub(crate) fn post(&self, mail: Bytes) -> bool {
        let bytes = encoded(&Frame::bare(Body::Mail(mail)));
        self.used.store(true, Ordering::Relaxed);
        self.outbox.offer(Outgoing { class: Class::Mail, id: 0, bytes }).is_ok()
    }

    /// Ends the link and fails its calls.
    pub(crate) fn hang_up(&self) {
        self.fail("the connection was hung up");
        self.hung_up.notify_one();
    }

    /// Dials after `pause`, then carries what has queued and will, until the connection is over.
    pub(crate) async fn run(&self, network: &dyn Network, pause: Duration) -> End {
        let dial = async {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let late = |_| "no connection in time".to_owned();
            timeout(self.config.dial, self.dial(network)).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
        };
        let dialed = tokio::select! {
            biased;
            () = self.hung_up.notified() => return End::Over,
            dialed = dial => dialed,
        };
        self.measures.dialed(dialed.is_ok());
        let frames = match dialed {
            Ok(frames) => frames,
            Err(why) => {
                tracing::debug!(address = %self.address, why, "a member cannot be reached");
                self.fail(&format!("{} cannot be reached: {why}", self.address));
                return End::Unreachable;
            }
        };
        if let Err(why) = self.carry(frames).await {
            self.measures.lost();
            tracing::debug!(address = %self.address, why, "the connection to a member is lost");
            self.fail(&format!("the connection to {} is lost: {why}", self.address));
        }
        self.fail("the connection has ended");
        End::Over
    }

    async fn dial(&self, network: &dyn Network) -> Result<Frames, String> {
        let stream = network.dial(&self.address).await.map_err(|error| error.to_string())?;
        let mut frames = Frames::over(stream);
        let hello = introduce(&mut frames, &self.config.hello, &self.measures).await;
        let hello = hello.map_err(|error| error.to_string())?;
        frames.reading.allow(self.config.frame_bytes);
        tracing::debug!(address = %self.address, name = hello.name, "connected to a member");
        Ok(frames)
    }

    /// Carries frames both ways. `Ok`: the connection was ended by one of the two, and nothing is
    /// under way; otherwise why it was lost.
    async fn carry(&self, frames: Frames) -> Result<(), String> {
        let Frames { mut reading, mut writing } = frames;
        let spoke = || self.spoke.store(true, Ordering::Relaxed);
        // What is written comes first: it runs dry when nothing is read.
        tokio::select! {
            biased;
            () = self.hung_up.notified() => Ok(()),
            error = writing.send_all(&self.outbox, &self.measures, |frames| self.admit(frames), spoke) => {
                Err(error.to_string())
            }
            over = self.read(&mut reading) => over,
            over = self.watch() => over,
        }
    }

    /// Marks requests as sent; takes those out whose callers have gone.
    fn admit(&self, frames: &mut Vec<Outgoing>) {
        let mut calls = self.calls.lock();
        frames.retain(|frame| match calls.waiting.get_mut(&frame.id) {
            Some(call) => {
                call.sent = true;
                true
            }
            None => frame.id == 0,
        });
    }

    async fn read(&self, reading: &mut Reading) -> Result<(), String> {
        loop {
            let frame = match reading.next(&self.measures).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Err("the member has ended it".into()),
                Err(error) => return Err(error.to_string()),
            };
            self.heard.store(true, Ordering::Relaxed);
            let Frame { id, body, .. } = frame;
            match body {
                Some(Body::Answer(answer)) => self.answered(id, Ok(answer)),
                Some(Body::Failed(failure)) => {
                    let failure = failure_of(failure).map_err(|error| Error::Unknown(error.to_string()));
                    self.answered(id, Err(failure.map_or_else(|error| error, Error::from)));
                }
                Some(Body::Rejected(why)) => return Err(why),
                Some(Body::Goodbye(())) => self.leave(),
                _ => self.answered(id, Err(Error::Unknown("this version does not know the answer".into()))),
            }
            if self.has_left() {
                return Ok(());
            }
        }
    }

    fn answered(&self, id: u64, answer: Result<Bytes, Error>) {
        if let Some(call) = self.calls.lock().waiting.remove(&id) {
            // A caller that has gone needs no answer.
            let _ = call.reply.send(answer);
        }
    }

    /// Takes no more calls; those that were not sent yet fail, the others go on.
    fn leave(&self) {
        let mut calls = self.calls.lock();
        calls.state = State::Leaving;
        let unsent = calls.waiting.extract_if(.., |_, call| !call.sent);
        for (_, call) in unsent {
            let _ = call.reply.send(Err(Error::Unavailable(format!("{} is about to stop", self.address))));
        }
    }

    fn has_left(&self) -> bool {
        let calls = self.calls.lock();
        calls.state == State::Leaving && calls.waiting.is_empty()
    }

    /// Looks at the connection from time to time: asks for a sign of life when it is idle, and ends it
    /// when it is dead, or not used any more.
    async fn watch(&self) -> Result<(), String> {
        let (silence, idle) = (self.config.looks(self.config.silence), self.config.looks(self.config.idle));
        let (mut silent, mut unused) = (0, 0);
        let mut looks = interval(self.config.ping);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        loop {
            looks.tick().await;
            let (heard, spoke) = (self.heard.swap(false, Ordering::Relaxed), self.spoke.swap(false, Ordering::Relaxed));
            silent = if heard { 0 } else { silent + 1 };
            if silent >= silence {
                return Err("no sign of life".into());
            }
            if !heard || !spoke {
                let bytes = encoded(&Frame::bare(Body::Ping(())));
                // With no room for it there is no lack of frames either.
                let _ = self.outbox.offer(Outgoing { class: Class::Urgent, id: 0, bytes });
            }
            unused = if self.used.swap(false, Ordering::Relaxed) { 0 } else { unused + 1 };
            if self.has_left() || (unused >= idle && self.close_unused()) {
                return Ok(());
            }
        }
    }

    /// Closes the link if no call is under way.
    fn close_unused(&self) -> bool {
        let mut calls = self.calls.lock();
        let unused = calls.waiting.is_empty();
        if unused {
            calls.state = State::Closed;
        }
        unused
    }

    /// Takes no more calls and fails those under way, in their order.
    fn fail(&self, why: &str) {
        let waiting = {
            let mut calls = self.calls.lock();
            calls.state = State::Closed;
            std::mem::take(&mut calls.waiting)
        };
        self.outbox.close();
        for call in waiting.into_values() {
            let error = if call.sent { Error::Unknown(why.to_owned()) } else { Error::Unavailable(why.to_owned()) };
            let _ = call.reply.send(Err(error));
        }
    }
}

/// A call that has been begun; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    link: Arc<Link>,
    id: u64,
    answer: oneshot::Receiver<Result<Bytes, Error>>,
}

impl Ticket {
    /// Waits up to `deadline` for the answer.
    pub(crate) async fn answer(mut self, deadline: Duration) -> Result<Bytes, Error> {
        match timeout(deadline, &mut self.answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(Error::Unknown("the connection has ended".into()))),
            Err(_) => {
                let call = self.link.calls.lock().waiting.remove(&self.id);
                match call {
                    Some(Call { sent: false, .. }) => {
                        Err(Error::Unavailable(format!("{} could not be asked in time", self.link.address)))
                    }
                    Some(Call { sent: true, .. }) => {
                        Err(Error::Unknown(format!("{} has not answered in time", self.link.address)))
                    }
                    // It was answered just now.
                    None => self.answer.try_recv().unwrap_or_else(|_| Err(Error::Unknown("no answer".into()))),
                }
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.link.calls.lock().waiting.remove(&self.id);
    }
}

//! One connection of another member, from the side that was called: what is asked is answered side
//! by side, within bounds; mail is handed on in order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Mail;
use ordermill_journal::decode;
use ordermill_station::limits;
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::frames::{ENVELOPE_BYTES, Frames, Reading, encoded};
use crate::measure::Measures;
use crate::outbox::{Class, Outbox, Outgoing};
use crate::wire::{Body, Frame, MailWire, RequestWire, answer_to, failure_to, mail_of, request_of};
use crate::{Answer, Config, Failure, Hello, Request};

/// Longest time to tell the other side why its connection is ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Who does what other members ask for.
#[async_trait::async_trait]
pub trait Service: Send + Sync + fmt::Debug + 'static {
    /// Does what is asked and answers with the request's kind of answer. `deadline`: how long the
    /// caller still waits; the work is dropped when that is over, or the connection is.
    async fn answer(&self, from: &Hello, request: Request, deadline: Duration) -> Answer;

    /// Takes mail, in the order in which its sender sent it, and returns at once. May lose it.
    fn deliver(&self, from: &Hello, mail: Vec<Mail>);
}

/// What the requests of one connection share.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<Config>,
    measures: Measures,
    service: Arc<dyn Service>,
    from: Hello,
    outbox: Outbox,
    /// Since the last look, a frame came in or went out.
    alive: AtomicBool,
    /// What comes now is refused.
    leaving: AtomicBool,
}

impl Session {
    pub(crate) fn new(config: Arc<Config>, measures: Measures, service: Arc<dyn Service>, from: Hello) -> Arc<Self> {
        let outbox = Outbox::new(config.queue_bytes, config.mail_bytes);
        let (alive, leaving) = (AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(Self { config, measures, service, from, outbox, alive, leaving })
    }

    /// Serves until the connection is over; says why. Once `stopping` is so, takes no more requests
    /// and lets the caller go when it has its answers.
    pub(crate) async fn run(self: Arc<Self>, frames: Frames, stopping: CancellationToken) -> String {
        let Frames { mut reading, mut writing } = frames;
        // Dropped with this call: work whose caller has gone is given up.
        let mut tasks = JoinSet::new();
        reading.allow(self.config.frame_bytes);
        let alive = || self.alive.store(true, Ordering::Relaxed);
        let why = tokio::select! {
            biased;
            error = writing.send_all(&self.outbox, &self.measures, |_| {}, alive) => return error.to_string(),
            why = self.read(&mut reading, &mut tasks) => why,
            why = self.watch() => why,
            why = self.leave(stopping) => why,
        };
        let last_words = Frame::bare(Body::Rejected(why.clone()));
        // It may not listen any more.
        let _ = timeout(LAST_WORDS, writing.send(&last_words)).await;
        why
    }

    async fn read(self: &Arc<Self>, reading: &mut Reading, tasks: &mut JoinSet<()>) -> String {
        loop {
            let frame = match reading.next(&self.measures).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return "the member has ended it".into(),
                Err(error) => return error.to_string(),
            };
            self.alive.store(true, Ordering::Relaxed);
            let Frame { id, remaining_ms, urgent, body } = frame;
            let class = if urgent { Class::Urgent } else { Class::Call };
            match body {
                Some(Body::Request(bytes)) => {
                    let caller = Caller { session: Arc::clone(self), id, class, answered: false };
                    self.request(caller, Duration::from_millis(remaining_ms), bytes, tasks).await;
                }
                Some(Body::Mail(bytes)) => self.mail(bytes),
                Some(Body::Ping(())) => self.put(Class::Urgent, &Frame::bare(Body::Pong(()))),
                _ if id != 0 => {
                    let caller = Caller { session: Arc::clone(self), id, class, answered: false };
                    caller.fail(Failure::Unavailable("its version does not know what was asked".into()));
                }
                _ => {}
            }
        }
    }

    /// Begins to answer a request, if there is room.
    async fn request(&self, caller: Caller, deadline: Duration, bytes: Bytes, tasks: &mut JoinSet<()>) {
        while tasks.try_join_next().is_some() {}
        // Answers that are not fetched keep further requests out.
        self.outbox.has_room().await;
        let bound =
            self.config.in_flight + if caller.class == Class::Urgent { limits::PEER_IN_FLIGHT_URGENT } else { 0 };
        if self.leaving.load(Ordering::Relaxed) {
            caller.fail(Failure::Unavailable(format!("{} is about to stop", self.config.hello.name)));
        } else if tasks.len() >= bound {
            caller.fail(Failure::Busy);
        } else {
            tasks.spawn(answer(caller, deadline, bytes));
        }
    }

    fn mail(&self, bytes: Bytes) {
        let Ok(mail) = decode::<MailWire>("mail", bytes) else {
            self.measures.dropped_mail(1);
            return;
        };
        let (mail, lost) = mail_of(mail);
        self.measures.dropped_mail(lost);
        self.service.deliver(&self.from, mail);
    }

    fn put(&self, class: Class, frame: &Frame) {
        self.outbox.put_always(Outgoing { class, id: frame.id, bytes: encoded(frame) });
    }

    /// Ends the connection when the other side is silent: it pings when it has nothing else to say.
    async fn watch(&self) -> String {
        let silence = self.config.looks(self.config.silence);
        let mut silent = 0;
        let mut looks = interval(self.config.ping);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            silent = if self.alive.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
            if silent >= silence {
                return "no sign of life".into();
            }
        }
    }

    /// Tells the other side to go once `stopping` is so; it is the one that ends the connection.
    async fn leave(&self, stopping: CancellationToken) -> String {
        stopping.cancelled().await;
        self.leaving.store(true, Ordering::Relaxed);
        self.put(Class::Call, &Frame::bare(Body::Goodbye(())));
        std::future::pending().await
    }
}

/// Does what was asked, as long as its caller waits.
async fn answer(caller: Caller, deadline: Duration, bytes: Bytes) {
    let Session { config, measures, service, from, .. } = &*caller.session;
    let began = config.clock.elapsed();
    let request = match decode::<RequestWire>("a request", bytes).and_then(request_of) {
        Ok(request) => request,
        Err(error) => {
            measures.served.failed("unreadable");
            return caller.fail(Failure::Unavailable(format!("it does not know what was asked: {error}")));
        }
    };
    let answer = timeout(deadline, service.answer(from, request, deadline)).await;
    measures.served.called(1);
    measures.served.took(config.clock.elapsed().saturating_sub(began));
    match answer {
        Ok(answer) => caller.answer(answer),
        Err(_) => {
            measures.served.failed("late");
            caller.fail(Failure::Unknown("it was not done in time".into()));
        }
    }
}

/// Who waits for an answer: gets one in any case, as long as there is a connection.
struct Caller {
    session: Arc<Session>,
    id: u64,
    class: Class,
    answered: bool,
}

impl Caller {
    fn answer(mut self, answer: Answer) {
        let room = self.session.config.frame_bytes.saturating_sub(ENVELOPE_BYTES);
        let bytes = answer_to(cut(answer, room)).encode_to_vec();
        if bytes.len() > room {
            let why = format!("its answer has {} bytes, and a frame holds {room}", bytes.len());
            self.session.measures.served.failed("too_large");
            return self.fail(Failure::Unknown(why));
        }
        self.put(Body::Answer(bytes.into()));
    }

    fn fail(mut self, failure: Failure) {
        self.put(Body::Failed(failure_to(failure)));
    }

    fn put(&mut self, body: Body) {
        self.answered = true;
        let frame = Frame { id: self.id, remaining_ms: 0, urgent: self.class == Class::Urgent, body: Some(body) };
        self.session.put(self.class, &frame);
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.answered {
            self.put(Body::Failed(failure_to(Failure::Unknown("it has failed while it was being done".into()))));
        }
    }
}

/// Leaves out the rows at the end of a page that do not fit into `room` bytes. At least one stays, so
/// that whoever reads on gets on.
fn cut(answer: Answer, room: usize) -> Answer {
    /// What a row takes beside its bytes, at most.
    const AROUND: usize = 16;
    let Answer::Page(Ok(mut scan)) = answer else { return answer };
    // The last key may come twice: as a row's, and as the place to go on.
    let longest = scan.rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut left = room.saturating_sub(longest + 2 * AROUND);
    let fitting = scan.rows.iter().take_while(|(key, value)| {
        let size = key.len() + value.len() + AROUND;
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    let fitting = fitting.count().max(1);
    if fitting < scan.rows.len() {
        scan.rows.truncate(fitting);
        scan.next = scan.rows.last().map(|(key, _)| key.clone());
    }
    Answer::Page(Ok(scan))
}

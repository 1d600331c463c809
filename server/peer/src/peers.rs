//! The way to all other members: one connection to each address, made when it is first needed and
//! dropped when nobody uses it any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Mail;
use ordermill_journal::decode;
use ordermill_station::limits;
use parking_lot::Mutex;
use prost::Message as _;

use crate::frames::ENVELOPE_BYTES;
use crate::link::{End, Link, Ticket};
use crate::measure::Measures;
use crate::network::Network;
use crate::outbox::Refused;
use crate::wire::{AnswerWire, answer_of, mail_to, request_to};
use crate::{Answer, Config, Error, Request};

/// How often a call tries again when the connection that it was given to has just ended.
const ATTEMPTS: usize = 3;

/// The way to all other members; cheap to clone. When the last clone is gone, so are the
/// connections.
#[derive(Clone, Debug)]
pub struct Peers {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    config: Arc<Config>,
    network: Arc<dyn Network>,
    measures: Measures,
    places: Mutex<BTreeMap<Box<str>, Place>>,
}

/// What is known of an address.
#[derive(Debug, Default)]
struct Place {
    link: Option<Arc<Link>>,
    /// Attempts in a row that brought no connection.
    failures: u32,
    /// When the next attempt may be made, by the clock's elapsed time.
    retry_at: Duration,
}

impl Peers {
    /// The way to the members that `network` reaches; nothing is connected yet.
    pub fn new(config: Config, network: Arc<dyn Network>) -> Self {
        let (config, measures, places) = (Arc::new(config), Measures::new(), Mutex::default());
        Self { pool: Arc::new(Pool { config, network, measures, places }) }
    }

    /// Asks the member at `address` and waits for its answer, at most `deadline`; the answer is of the
    /// request's kind. What is not answered by then is given up there too. A call that is dropped
    /// frees its place at once. Panics outside a tokio runtime.
    pub async fn call(&self, address: &str, request: Request, deadline: Duration) -> Result<Answer, Error> {
        let (calls, clock) = (&self.pool.measures.calls, &self.pool.config.clock);
        let began = clock.elapsed();
        let result = self.exchange(address, request, deadline).await;
        calls.called(1);
        calls.took(clock.elapsed().saturating_sub(began));
        if let Err(error) = &result {
            calls.failed(error.kind());
        }
        result
    }

    async fn exchange(&self, address: &str, request: Request, deadline: Duration) -> Result<Answer, Error> {
        let kind = request.kind();
        let request = Bytes::from(request_to(request).encode_to_vec());
        let limit_bytes = self.pool.config.frame_bytes;
        let size_bytes = request.len() + ENVELOPE_BYTES;
        if size_bytes > limit_bytes {
            return Err(Error::TooLarge { size_bytes, limit_bytes });
        }
        let ticket = self.begin(address, request, kind.is_urgent(), deadline)?;
        let answer = ticket.answer(deadline).await?;
        let unreadable = |error: ordermill_journal::Unreadable| Error::Unknown(error.to_string());
        let answer = decode::<AnswerWire>("an answer", answer).and_then(answer_of).map_err(unreadable)?;
        if answer.kind() != kind {
            return Err(Error::Unknown(format!("{address} has answered something else than it was asked")));
        }
        Ok(answer)
    }

    fn begin(&self, address: &str, request: Bytes, urgent: bool, deadline: Duration) -> Result<Ticket, Error> {
        for _ in 0..ATTEMPTS {
            match self.pool.link(address).begin(request.clone(), urgent, deadline) {
                Ok(ticket) => return Ok(ticket),
                Err(Refused::Full) => return Err(Error::Busy),
                Err(Refused::Closed) => {}
            }
        }
        Err(Error::Unavailable(format!("the connection to {address} is being ended")))
    }

    /// Sends mail to the member at `address` and returns at once. Mail that one caller sends arrives in
    /// order or not at all: what finds no room, or was under way when the connection was lost, is
    /// dropped, and sent again by the outbox that it comes from. Panics outside a tokio runtime.
    pub fn send(&self, address: &str, mail: Vec<Mail>) {
        let mut mail = mail.into_iter();
        loop {
            let some: Vec<Mail> = mail.by_ref().take(limits::PEER_MAIL_PER_FRAME).collect();
            if some.is_empty() {
                return;
            }
            let pieces = some.len();
            let bytes = Bytes::from(mail_to(some).encode_to_vec());
            let fits = bytes.len() + ENVELOPE_BYTES <= self.pool.config.frame_bytes;
            if !fits || !self.pool.link(address).post(bytes) {
                self.pool.measures.dropped_mail(pieces + mail.len());
                return;
            }
        }
    }

    /// Ends the connection to `address`, if there is one: for a member that is known to be gone. Calls
    /// under way fail at once, as when a connection is lost.
    pub fn hang_up(&self, address: &str) {
        let place = self.pool.places.lock().remove(address);
        if let Some(link) = place.and_then(|place| place.link) {
            link.hang_up();
        }
    }
}

impl Pool {
    /// The link to `address`; a new one when there is none that takes calls.
    fn link(self: &Arc<Self>, address: &str) -> Arc<Link> {
        let mut places = self.places.lock();
        if let Some(link) = places.get(address).and_then(|place| place.link.as_ref())
            && link.is_open()
        {
            return Arc::clone(link);
        }
        let now = self.config.clock.elapsed();
        // Addresses that nobody asks for any more are forgotten.
        places.retain(|other, place| place.link.is_some() || place.retry_at > now || other.as_ref() == address);
        let place = places.entry(address.into()).or_default();
        let link = Link::new(self.config.clone(), self.measures.clone(), address);
        place.link = Some(Arc::clone(&link));
        let pause = place.retry_at.saturating_sub(now);
        tokio::spawn(carry(Arc::downgrade(self), self.network.clone(), Arc::clone(&link), address.into(), pause));
        link
    }

    /// Takes note of how a link has ended.
    fn ended(&self, address: &str, link: &Arc<Link>, end: End) {
        let mut places = self.places.lock();
        let Some(place) = places.get_mut(address) else { return };
        if !place.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            return;
        }
        match end {
            End::Over => {
                places.remove(address);
            }
            End::Unreachable => {
                place.link = None;
                place.failures += 1;
                place.retry_at = self.config.clock.elapsed() + self.config.pause(place.failures);
            }
        }
    }
}

async fn carry(pool: Weak<Pool>, network: Arc<dyn Network>, link: Arc<Link>, address: Box<str>, pause: Duration) {
    let end = link.run(network.as_ref(), pause).await;
    if let Some(pool) = pool.upgrade() {
        pool.ended(&address, &link, end);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for place in self.places.get_mut().values() {
            if let Some(link) = &place.link {
                link.hang_up();
            }
        }
    }
}

//! The way to a shard, wherever it is served: here, or by another member that is asked.
//!
//! A request that finds a shard moved, or not yet served, goes on looking for its owner until its
//! patience ends. Whether asking again can do harm is the only thing that is known of requests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use ordermill_delivery::{Mail, Peers};
use ordermill_order::{Action, Command, Order, OrderId, Outcome};
use ordermill_peer::{Answer, Failure, Request};
use ordermill_shard::{Handle, Keys, Reply, Row, Scan};
use ordermill_station::{clock, limits};
use ordermill_store::ShardId;
use ordermill_store::keys::RowKey;
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

use crate::Error;
use crate::cluster::Cluster;
use crate::router::{decoded, slot_of};
use crate::served::{Served, State, Wanted};
use crate::view::{Owner, Place, View};

/// All shards of a cluster, as one process reaches them.
#[derive(Debug)]
pub(crate) struct Shards {
    pub(crate) keys: Keys,
    clock: clock::Shared,
    view: RwLock<Arc<View>>,
    changed: watch::Sender<u64>,
    /// Wakes who waits for another view, in the order in which they came: a `watch` wakes them in any order.
    news: Notify,
    /// The other members; none when this process is alone.
    cluster: Option<Cluster>,
    /// This process is about to stop: it begins to serve nothing more, whatever the map says.
    closing: AtomicBool,
}

/// Why a place did not do what was asked, as far as going on is concerned.
pub(crate) enum Miss {
    /// It is not served there: nothing has happened.
    Elsewhere,
    /// It does not answer: it may have happened.
    Silent(String),
    /// It does not answer, and nothing has happened.
    Away(String),
}

impl Shards {
    /// No shards yet: [`Shards::show`] is called before anything is asked.
    pub(crate) fn new(keys: Keys, clock: clock::Shared, cluster: Option<Cluster>) -> Self {
        let view = RwLock::new(Arc::new(View::empty()));
        Self {
            keys,
            clock,
            view,
            changed: watch::channel(0).0,
            news: Notify::new(),
            cluster,
            closing: AtomicBool::new(false),
        }
    }

    /// The other members; none when this process is alone.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Ends what is served here, and begins nothing more.
    pub(crate) fn begin_to_close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.view().here().for_each(|served| served.want(Wanted::Away));
    }

    /// Whether this process is about to stop.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Goes by `view` from now on.
    pub(crate) fn show(&self, view: View) {
        let version = view.version;
        *self.view.write() = Arc::new(view);
        self.changed.send_replace(version);
        self.news.notify_waiters();
    }

    /// Who serves what.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().clone()
    }

    /// Changes whenever the view does.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Asks whoever serves `slot`, and looks for who does for a while.
    pub(crate) async fn ask(&self, slot: u16, request: Request) -> Result<Answer, Error> {
        let deadline = self.clock.elapsed() + limits::OWNER_WAIT;
        let Some(cluster) = &self.cluster else {
            let view = self.view();
            return match self.ask_here(view.of(slot), request, deadline).await {
                Ok(answer) => Ok(answer),
                Err(Miss::Elsewhere) => Err(Error::Unavailable("the shard is not served".into())),
                Err(Miss::Silent(why) | Miss::Away(why)) => Err(Error::Unavailable(why)),
            };
        };
        let harmless = is_harmless(&request);
        loop {
            let view = self.view();
            let place = view.of(slot);
            let left = deadline.saturating_sub(self.clock.elapsed()) + wait_of(&request);
            let missed = match &place.owner {
                Owner::Here(_) => self.ask_here(place, request.clone(), deadline).await,
                Owner::There(address) => cluster.ask(address, request.clone(), left).await,
                Owner::Nobody => Err(Miss::Elsewhere),
            };
            let why = match missed {
                Ok(answer) => return Ok(answer),
                Err(Miss::Elsewhere) => "the shard has no owner now".to_owned(),
                Err(Miss::Silent(why)) if !harmless => {
                    let why = format!("{why}: it may have happened, ask again with the same idempotency key");
                    return Err(Error::Unavailable(why));
                }
                Err(Miss::Silent(why) | Miss::Away(why)) => why,
            };
            if self.clock.elapsed() >= deadline {
                return Err(Error::Unavailable(why));
            }
            self.wait_for_news(cluster, view.version, deadline).await;
        }
    }

    /// Reads a committed row, linearizably.
    pub(crate) async fn row(&self, slot: u16, key: &RowKey) -> Result<Option<Row>, Error> {
        let request = Request::Get { slot, hops: 0, key: key.to_bytes() };
        match self.ask(slot, request).await? {
            Answer::Row(row) => row?.map(|value| decoded(key, &value)).transpose(),
            other => unreachable!("a row was asked for: {other:?}"),
        }
    }

    /// Reads an order.
    pub(crate) async fn order(&self, tenant: &str, id: OrderId) -> Result<Option<Arc<Order>>, Error> {
        match self.row(id.slot(), &self.keys.order(tenant, id)).await? {
            Some(Row::Order(order)) => Ok(Some(order)),
            Some(other) => unreachable!("the key of a row says what it is: {other:?}"),
            None => Ok(None),
        }
    }

    /// Reads committed rows in key order, at most `limit`, of the shard that `slot` lies in.
    pub(crate) async fn scan(
        &self,
        slot: u16,
        from: Bound<Bytes>,
        to: Bound<Bytes>,
        limit: usize,
    ) -> Result<Scan, Error> {
        let request = Request::Scan { slot, hops: 0, from, to, limit };
        match self.ask(slot, request).await? {
            Answer::Page(page) => Ok(page?),
            other => unreachable!("a page was asked for: {other:?}"),
        }
    }

    /// Applies a command, and waits up to `wait` for the decision about an order.
    pub(crate) async fn apply(&self, slot: u16, command: Command, wait: Duration) -> Result<Outcome, Error> {
        let request = Request::Apply { slot, hops: 0, wait, command };
        match self.ask(slot, request).await? {
            Answer::Applied(outcome) => Ok(outcome?),
            other => unreachable!("a command was sent: {other:?}"),
        }
    }

    /// The last committed record of each shard that another member serves, of those that say so.
    pub(crate) async fn numbers_elsewhere(&self) -> BTreeMap<ShardId, u64> {
        let Some(cluster) = &self.cluster else { return BTreeMap::new() };
        let view = self.view();
        let addresses: BTreeSet<&Arc<str>> = view
            .places()
            .iter()
            .filter_map(|place| match &place.owner {
                Owner::There(address) => Some(address),
                Owner::Here(_) | Owner::Nobody => None,
            })
            .collect();
        join_all(addresses.into_iter().map(|address| cluster.numbers(address))).await.into_iter().flatten().collect()
    }

    /// Waits until there may be another owner.
    async fn wait_for_news(&self, cluster: &Cluster, seen: u64, deadline: Duration) {
        let left = deadline.saturating_sub(self.clock.elapsed()).min(limits::LOOK_FOR_OWNER);
        let news = self.news.notified();
        if self.view().version != seen {
            return;
        }
        cluster.refresh(seen);
        // Without news the owner may have begun to serve meanwhile: it is asked again all the same.
        let _ = tokio::time::timeout(left, news).await;
    }

    /// Asks the shard in this process, once it serves.
    async fn ask_here(&self, place: &Place, request: Request, deadline: Duration) -> Result<Answer, Miss> {
        let Owner::Here(served) = &place.owner else { return Err(Miss::Elsewhere) };
        let handle = match served.handle() {
            Some(handle) => handle,
            None => self.wait_to_serve(served, deadline).await?,
        };
        match missed(self.answer_from(&handle, request).await) {
            Err(Miss::Elsewhere) => Err(match served.state() {
                State::Failed(error) => Miss::Away(error.to_string()),
                _ => Miss::Elsewhere,
            }),
            answered => answered,
        }
    }

    async fn wait_to_serve(&self, served: &Served, deadline: Duration) -> Result<Handle, Miss> {
        let left = deadline.saturating_sub(self.clock.elapsed());
        let settled = |state: &State| !matches!(state, State::Starting | State::Ending);
        match tokio::time::timeout(left, served.wait_for(settled)).await {
            Ok(State::Serving(handle)) => Ok(handle),
            Ok(State::Failed(error)) => Err(Miss::Away(error.to_string())),
            Ok(_) => Err(Miss::Elsewhere),
            Err(_) => Err(Miss::Away("the shard is being taken over".into())),
        }
    }

    /// What another member asked, which waits for `patience`; answered from here or not at all.
    pub(crate) async fn answer_here(&self, slot: u16, request: Request, patience: Duration) -> Answer {
        let view = self.view();
        let refuse = refusal_of(&request);
        let deadline = self.clock.elapsed() + patience.min(limits::OWNER_WAIT);
        match self.ask_here(view.of(slot), request, deadline).await {
            Ok(answer) => answer,
            Err(Miss::Elsewhere) => {
                // The other may have seen a newer map.
                self.cluster.iter().for_each(|cluster| cluster.refresh(view.version));
                refuse(Failure::NotOwner { map_version: view.version })
            }
            Err(Miss::Silent(why)) => refuse(Failure::Unknown(why)),
            Err(Miss::Away(why)) => refuse(Failure::Unavailable(why)),
        }
    }

    /// Hands mail to a shard that is served here.
    pub(crate) fn post_here(&self, mail: Mail) {
        if let Owner::Here(served) = &self.view().of(mail.slot).owner {
            post(served, mail);
        }
    }

    /// The last committed record of each shard that is served here.
    pub(crate) fn numbers_here(&self) -> Vec<(ShardId, u64)> {
        let number = |(id, state)| match state {
            State::Serving(handle) => Some((id, *handle.committed().borrow())),
            _ => None,
        };
        self.states_here().into_iter().filter_map(number).collect()
    }

    /// How the shards are that are this process's.
    pub(crate) fn states_here(&self) -> Vec<(ShardId, State)> {
        let state = |place: &Place| match &place.owner {
            Owner::Here(served) => Some((place.id, served.state())),
            Owner::There(_) | Owner::Nobody => None,
        };
        self.view().places().iter().filter_map(state).collect()
    }

    async fn answer_from(&self, handle: &Handle, request: Request) -> Answer {
        match request {
            Request::Apply { command, wait, .. } => Answer::Applied(settle(handle.call(command).await, wait).await),
            Request::ApplyMany { commands, wait, .. } => {
                let elsewhere = Failure::NotOwner { map_version: self.view().version };
                Answer::AppliedMany(apply_many(handle, commands, wait, elsewhere).await)
            }
            Request::Get { key, .. } => Answer::Row(handle.get(RowKey::from(&key[..])).await.map_err(Failure::from)),
            Request::Scan { from, to, limit, .. } => {
                Answer::Page(self.scan_here(handle, from, to, limit).await.map_err(Failure::from))
            }
            Request::Numbers | Request::Beat(_) | Request::Admin(_) => {
                unreachable!("no shard is asked for what a member knows")
            }
        }
    }
}

impl Shards {
    /// Reads no further than the shard's slots go, whatever the caller takes it for, who goes on elsewhere.
    async fn scan_here(
        &self,
        handle: &Handle,
        from: Bound<Bytes>,
        to: Bound<Bytes>,
        limit: usize,
    ) -> Result<Scan, ordermill_shard::Error> {
        let last = handle.range().last;
        let Some(end) = last.checked_add(1).map(|slot| begin_of(self.keys.cluster, slot)) else {
            return handle.scan(from, to, limit).await;
        };
        let inside = match &to {
            Bound::Included(to) => *to < end,
            Bound::Excluded(to) => *to <= end,
            Bound::Unbounded => false,
        };
        if inside {
            return handle.scan(from, to, limit).await;
        }
        let mut page = handle.scan(from, Bound::Excluded(end), limit).await?;
        page.next.get_or_insert_with(|| end_of(self.keys.cluster, last));
        Ok(page)
    }

    /// The view of map `version`, or a newer one; none when it does not come.
    pub(crate) async fn view_since(&self, version: u64) -> Option<Arc<View>> {
        let deadline = self.clock.elapsed() + limits::OWNER_WAIT;
        loop {
            let view = self.view();
            if view.version >= version {
                return Some(view);
            }
            self.news_of(view.version, deadline).await?;
        }
    }

    /// Waits for a view newer than `seen`, for a moment; none when there will be none, or it is too late.
    pub(crate) async fn news_of(&self, seen: u64, deadline: Duration) -> Option<()> {
        let cluster = self.cluster.as_ref().filter(|_| self.clock.elapsed() < deadline)?;
        self.wait_for_news(cluster, seen, deadline).await;
        Some(())
    }
}

impl Peers for Shards {
    fn deliver(&self, mail: Mail) {
        let view = self.view();
        match &view.of(mail.slot).owner {
            Owner::Here(served) => post(served, mail),
            Owner::There(address) => {
                if let Some(cluster) = &self.cluster {
                    cluster.send(address, mail);
                }
            }
            Owner::Nobody => {}
        }
    }

    fn has_heard<'a>(
        &'a self,
        tenant: &'a str,
        order: OrderId,
        line: u16,
        operation: u32,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let order = self.order(tenant, order).await.ok().flatten();
            let line = order.as_ref().and_then(|order| order.lines.get(usize::from(line)));
            line.is_some_and(|line| line.in_flight.is_none() && line.operation >= operation)
        })
    }
}

/// Hands mail to a shard. One that does not serve yet gets it when it is sent again.
fn post(served: &Served, mail: Mail) {
    if let Some(handle) = served.handle() {
        handle.post(mail);
    }
}

/// Where the rows of a slot begin.
pub(crate) fn begin_of(cluster: u32, slot: u16) -> Bytes {
    [&cluster.to_be_bytes()[..], &slot.to_be_bytes()].concat().into()
}

/// A key behind all rows of a slot, and before those of the next: no kind of row has this number.
pub(crate) fn end_of(cluster: u32, slot: u16) -> Bytes {
    [&begin_of(cluster, slot)[..], &[u8::MAX]].concat().into()
}

/// Applies the commands whose slots are here; for the others the answer is `elsewhere`. The caller may have
/// sorted them before the shard was split.
async fn apply_many(
    handle: &Handle,
    commands: Vec<Command>,
    wait: Duration,
    elsewhere: Failure,
) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
    let range = handle.range();
    let here: Vec<bool> = commands.iter().map(|command| range.contains(slot_of(command))).collect();
    let commands: Vec<_> = commands.into_iter().zip(&here).filter(|(_, here)| **here).map(|(one, _)| one).collect();
    let replies = match commands.len() {
        0 => Vec::new(),
        _ => handle.submit_many(commands).await?.await.map_err(|_| ordermill_shard::Error::NotServed)?,
    };
    let mut replies = replies.into_iter();
    let mut outcomes = Vec::with_capacity(here.len());
    for here in here {
        outcomes.push(match if here { replies.next() } else { None } {
            Some(reply) => settle(reply, wait).await,
            None => Err(elsewhere.clone()),
        });
    }
    Ok(outcomes)
}

/// Waits up to `wait` for the decision about an order.
async fn settle(reply: Reply, wait: Duration) -> Result<Outcome, Failure> {
    let outcome = reply.outcome?;
    let (Some(settled), Outcome::Order { replayed, .. }) = (reply.settled, &outcome) else { return Ok(outcome) };
    let replayed = *replayed;
    match tokio::time::timeout(wait, settled).await {
        Ok(Ok(order)) => Ok(Outcome::Order { order, replayed }),
        _ => Ok(outcome),
    }
}

/// Whether a command is known by a name of its own, so that it happens once however often it is sent.
pub(crate) fn is_known(command: &Command) -> bool {
    let named = match &command.action {
        Action::Create(new) => new.reference.is_some(),
        // With a version the second time would be refused: no harm, but no answer either.
        Action::Credit(_) | Action::Step { .. } | Action::PutItem { .. } | Action::AdjustItem { .. } => false,
        // Messages between shards are made to come more than once.
        Action::Claim(_) | Action::Report(_) | Action::Noted { .. } | Action::Timer(_) => true,
    };
    named || command.idempotency.is_some()
}

/// Whether a request may be carried out twice.
fn is_harmless(request: &Request) -> bool {
    match request {
        Request::Apply { command, .. } => is_known(command),
        Request::ApplyMany { commands, .. } => commands.iter().all(is_known),
        Request::Get { .. } | Request::Scan { .. } | Request::Numbers | Request::Beat(_) | Request::Admin(_) => true,
    }
}

/// The answer, unless another place may have a better one.
pub(crate) fn missed(answer: Answer) -> Result<Answer, Miss> {
    let (Answer::Applied(Err(failure))
    | Answer::AppliedMany(Err(failure))
    | Answer::Row(Err(failure))
    | Answer::Page(Err(failure))) = &answer
    else {
        return Ok(answer);
    };
    match failure {
        Failure::NotOwner { .. } => Err(Miss::Elsewhere),
        Failure::Unknown(why) => Err(Miss::Silent(why.clone())),
        _ => Ok(answer),
    }
}

/// How the answer is made that says why nothing came of `request`.
fn refusal_of(request: &Request) -> fn(Failure) -> Answer {
    match request {
        Request::Apply { .. } => |failure| Answer::Applied(Err(failure)),
        Request::ApplyMany { .. } => |failure| Answer::AppliedMany(Err(failure)),
        Request::Get { .. } => |failure| Answer::Row(Err(failure)),
        Request::Scan { .. } => |failure| Answer::Page(Err(failure)),
        Request::Numbers | Request::Beat(_) | Request::Admin(_) => {
            unreachable!("no shard is asked for what a member knows")
        }
    }
}

/// How long the answer may take because an order waits for its decision.
fn wait_of(request: &Request) -> Duration {
    match request {
        Request::Apply { wait, .. } | Request::ApplyMany { wait, .. } => *wait,
        _ => Duration::ZERO,
    }
}

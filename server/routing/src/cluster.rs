//! The other members, as routing reaches them: asked over their connections, found through the map.

use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Mail;
use ordermill_members::{Channel, ChannelError, Handle};
use ordermill_peer::{Answer, Error, Peers, Request};
use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::shards::{Miss, missed};

/// The other members.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) members: Handle,
    pub(crate) peers: Peers,
}

impl Cluster {
    /// Asks the member at `address`, which answers within `left` or not at all.
    pub(crate) async fn ask(&self, address: &str, request: Request, left: Duration) -> Result<Answer, Miss> {
        match self.peers.call(address, request, left).await {
            Ok(answer) => missed(answer),
            Err(Error::Busy) => Err(Miss::Away("too much is under way to the member that serves the shard".into())),
            Err(Error::Unavailable(why)) => Err(Miss::Away(why)),
            Err(error @ Error::TooLarge { .. }) => Err(Miss::Away(error.to_string())),
            Err(Error::Unknown(why)) => Err(Miss::Silent(why)),
        }
    }

    /// Sends mail; it may be lost.
    pub(crate) fn send(&self, address: &str, mail: Mail) {
        self.peers.send(address, vec![mail]);
    }

    /// Lets somebody look for a map newer than `seen`, and returns at once.
    pub(crate) fn refresh(&self, seen: u64) {
        let members = self.members.clone();
        // Whoever waits for news notices the map itself.
        tokio::spawn(async move { members.refresh(seen, limits::LOOK_FOR_OWNER).await.map(drop) });
    }

    /// The last committed record of each shard that the member at `address` serves; nothing if it does
    /// not say.
    pub(crate) async fn numbers(&self, address: &str) -> Vec<(ShardId, u64)> {
        match self.peers.call(address, Request::Numbers, limits::NUMBERS_DEADLINE).await {
            Ok(Answer::Numbers(numbers)) => numbers,
            _ => Vec::new(),
        }
    }
}

/// Beats and administrators' requests, over the members' connections.
#[derive(Debug)]
pub(crate) struct Lines(pub(crate) Peers);

impl Lines {
    async fn call(&self, address: &str, request: Request, deadline: Duration) -> Result<Bytes, ChannelError> {
        match self.0.call(address, request, deadline).await {
            Ok(Answer::Beat(body) | Answer::Admin(body)) => Ok(body),
            Ok(_) | Err(Error::Unknown(_)) => Err(ChannelError::Late(address.to_owned())),
            Err(_) => Err(ChannelError::Unreachable(address.to_owned())),
        }
    }
}

#[async_trait::async_trait]
impl Channel for Lines {
    async fn beat(&self, address: &str, body: Bytes, deadline: Duration) -> Result<Bytes, ChannelError> {
        self.call(address, Request::Beat(body), deadline).await
    }

    async fn admin(&self, address: &str, body: Bytes, deadline: Duration) -> Result<Bytes, ChannelError> {
        self.call(address, Request::Admin(body), deadline).await
    }
}

/// What this process is asked by other members.
#[async_trait::async_trait]
impl ordermill_peer::Service for crate::shards::Shards {
    async fn answer(&self, _from: &ordermill_peer::Hello, request: Request, deadline: Duration) -> Answer {
        let Some(cluster) = &self.cluster() else { unreachable!("nobody is asked before the cluster is known") };
        let slot = match request {
            Request::Beat(body) => return Answer::Beat(cluster.members.answer_beat(body)),
            Request::Admin(body) => return Answer::Admin(cluster.members.answer_admin(body).await),
            Request::Numbers => return Answer::Numbers(self.numbers_here()),
            Request::Apply { slot, .. }
            | Request::ApplyMany { slot, .. }
            | Request::Get { slot, .. }
            | Request::Scan { slot, .. } => slot,
        };
        self.answer_here(slot, request, deadline).await
    }

    fn deliver(&self, _from: &ordermill_peer::Hello, mail: Vec<Mail>) {
        mail.into_iter().for_each(|mail| self.post_here(mail));
    }
}

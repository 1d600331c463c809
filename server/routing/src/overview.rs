//! What administrators see and do: the members and the shards, wherever they are asked for.
//!
//! A process that has its store for itself shows itself, and refuses what takes others.

use std::time::Duration;

use ordermill_members::{Error, Heard, Incarnation, Map, Overview, Report as _, Request};
use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::Router;

/// Why an administrator's request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// There is no such member or shard.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense as things are.
    #[error("{0}")]
    Refused(String),
    /// This process has its store for itself.
    #[error("this server has its store for itself: there is no other member, and its shards are fixed")]
    Alone,
    /// The coordinator or the store cannot be asked now: it may have been done, or still be. Asking again
    /// does no harm.
    #[error("{0}")]
    Unavailable(String),
}

impl Router {
    /// The incarnation of this process.
    pub fn incarnation(&self) -> Incarnation {
        self.inner.roll.me().incarnation
    }

    /// The members and the shards, as the coordinator sees them.
    pub async fn overview(&self) -> Overview {
        let mut overview = self.inner.roll.overview().await;
        if self.members().is_none() {
            let reporter = &self.inner.reporter;
            let (shards, process) = (reporter.shards(), reporter.process());
            overview.heard = vec![Heard { member: self.incarnation(), ago: Duration::ZERO, shards, process }];
        }
        overview
    }

    /// The member that an administrator names: by its incarnation, or by a name that only one has.
    pub async fn member_named(&self, named: &str) -> Result<Incarnation, AdminError> {
        self.found(|map| named_in(map, named)).await
    }

    /// The shard that an administrator names by its number.
    pub async fn shard_named(&self, named: &str) -> Result<ShardId, AdminError> {
        let none = || AdminError::NotFound(format!("there is no shard {named:?}"));
        let id = named.parse().map(ShardId).map_err(|_| none())?;
        self.found(|map| map.shard(id).map(|shard| shard.id).ok_or_else(none)).await
    }

    /// The shard that an administrator names by its number, or that was split since.
    pub async fn shard_ever_named(&self, named: &str) -> Result<ShardId, AdminError> {
        let none = || AdminError::NotFound(format!("there is no shard {named:?}"));
        let id = named.parse().map(ShardId).map_err(|_| none())?;
        let known = |map: &Map| map.shard(id).is_some() || map.was_split(id).is_some();
        self.found(|map| if known(map) { Ok(id) } else { Err(none()) }).await
    }

    /// What `look` finds in the map, or in a newer one: it may have come this moment.
    async fn found<T>(&self, look: impl Fn(&Map) -> Result<T, AdminError>) -> Result<T, AdminError> {
        let members = self.members().ok_or(AdminError::Alone)?;
        let map = members.current();
        match look(&map) {
            Err(AdminError::NotFound(_)) => {
                let newer = members.refresh(map.version, limits::COORDINATION_DEADLINE).await;
                look(&newer.unwrap_or(map))
            }
            found => found,
        }
    }

    /// Has the coordinator do something; says from which version of the map on it holds.
    pub async fn administrate(&self, request: Request) -> Result<u64, AdminError> {
        let members = self.members().ok_or(AdminError::Alone)?;
        match members.admin(request).await {
            Ok(done) => Ok(done.version),
            Err(Error::Refused(why)) => Err(AdminError::Refused(why)),
            Err(error) => Err(AdminError::Unavailable(error.to_string())),
        }
    }

    /// Has the store's format raised; says from which version of the map on it holds, and whether it was
    /// another one before. Of two who ask at once both may be told that it was.
    pub async fn raise_format(&self, format: u32) -> Result<(u64, bool), AdminError> {
        let before = self.overview().await.map.format;
        let version = self.administrate(Request::RaiseFormat(format)).await?;
        Ok((version, before != format))
    }
}

fn named_in(map: &Map, named: &str) -> Result<Incarnation, AdminError> {
    let members = || map.members.iter();
    if let Some(one) = members().find(|member| member.incarnation.to_string() == named) {
        return Ok(one.incarnation);
    }
    let mut by_name = members().filter(|member| member.name == named && !named.is_empty());
    match (by_name.next(), by_name.next()) {
        (Some(one), None) => Ok(one.incarnation),
        (Some(_), Some(_)) => {
            Err(AdminError::Refused(format!("several members have the name {named:?}: say which by its incarnation")))
        }
        (None, _) => Err(AdminError::NotFound(format!("there is no member {named:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use ordermill_members::{Formats, Member};

    use super::*;

    #[test]
    fn a_member_is_named_by_its_incarnation_or_by_a_name_that_only_it_has() {
        let member = |incarnation, name: &str| Member {
            incarnation: Incarnation(incarnation),
            name: name.into(),
            address: String::new(),
            formats: Formats { min: 1, max: 1 },
        };
        let mut map = Map::alone(1, member(1, "pod-0"));
        map.members.extend([member(2, "pod-1"), member(3, "pod-1"), member(4, "")]);
        assert_eq!(named_in(&map, "pod-0"), Ok(Incarnation(1)));
        assert_eq!(named_in(&map, "0000000000000003"), Ok(Incarnation(3)));
        assert!(matches!(named_in(&map, "pod-1"), Err(AdminError::Refused(_))));
        for nobody in ["", "pod", "3", "0000000000000009"] {
            assert!(matches!(named_in(&map, nobody), Err(AdminError::NotFound(_))), "{nobody:?}");
        }
    }
}

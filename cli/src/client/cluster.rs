//! Calls about the cluster.

use ordermill_api::{
    ChangeRebalancing, Cluster, ClusterChange, FormatChange, MemberList, MoveShard, RaiseFormat, ShardPage, SplitShard,
};

use super::{Client, Error, Request, segment};

impl Client {
    /// The cluster as a whole.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        self.call(Request::get("/v1/cluster")).await
    }

    /// All members.
    pub async fn cluster_members(&self) -> Result<MemberList, Error> {
        self.call(Request::get("/v1/cluster/members")).await
    }

    /// A page of shards.
    pub async fn cluster_shards(&self, page_size: Option<usize>, page_token: Option<&str>) -> Result<ShardPage, Error> {
        let request = Request::get("/v1/cluster/shards");
        self.call(request.query("page_size", page_size).query("page_token", page_token)).await
    }

    /// Drains, cordons or uncordons a member: `action` is that word.
    pub async fn change_member(&self, member: &str, action: &str) -> Result<ClusterChange, Error> {
        let path = format!("/v1/cluster/members/{}/{action}", segment(member)?);
        self.call(Request::post(path).repeatable()).await
    }

    /// Moves a shard to a member.
    pub async fn move_shard(&self, shard: u32, to: String) -> Result<ClusterChange, Error> {
        let request = Request::post(format!("/v1/cluster/shards/{shard}/move"));
        self.call(request.repeatable().json(&MoveShard { to })).await
    }

    /// Splits a shard before slot `at`, or in its middle.
    pub async fn split_shard(&self, shard: u32, at: Option<u16>) -> Result<ClusterChange, Error> {
        let request = Request::post(format!("/v1/cluster/shards/{shard}/split"));
        self.call(request.repeatable().json(&SplitShard { at })).await
    }

    /// Levels loads.
    pub async fn rebalance(&self) -> Result<ClusterChange, Error> {
        self.call(Request::post("/v1/cluster/rebalance").repeatable()).await
    }

    /// Changes what shards move for by themselves, and how many at once.
    pub async fn change_rebalancing(&self, change: ChangeRebalancing) -> Result<ClusterChange, Error> {
        self.call(Request::post("/v1/cluster/rebalancing").repeatable().json(&change)).await
    }

    /// Raises the store's format.
    pub async fn raise_format(&self, format: u32) -> Result<FormatChange, Error> {
        self.call(Request::post("/v1/cluster/format").repeatable().json(&RaiseFormat { format })).await
    }
}

//! Commands about the cluster.

use ordermill_api::{ChangeRebalancing, ClusterChange};

use super::{Context, Done, Failure};
use crate::args::{ClusterCommand, Pages};
use crate::output::{Widths, cluster, pairs};

pub(super) async fn run(context: &mut Context, command: ClusterCommand) -> Result<Done, Failure> {
    let change = match command {
        ClusterCommand::Status => {
            let status = context.client.cluster().await?;
            context.out.one(&status, cluster::status)?;
            return Ok(Done::Well);
        }
        ClusterCommand::Members => {
            let members = context.client.cluster_members().await?.members;
            context.out.page(&members, &mut Widths::default(), true, cluster::members)?;
            return Ok(Done::Well);
        }
        ClusterCommand::Shards(pages) => return shards(context, pages).await,
        ClusterCommand::Format { raise: None } => {
            let known = cluster::Known::of(context.client.cluster().await?);
            context.out.one(&known, cluster::formats)?;
            return Ok(Done::Well);
        }
        ClusterCommand::Format { raise: Some(format) } => {
            let change = context.client.raise_format(format).await?;
            context.out.one(&change, cluster::format)?;
            return Ok(Done::Well);
        }
        ClusterCommand::Drain { member } => context.client.change_member(&member, "drain").await?,
        ClusterCommand::Cordon { member } => context.client.change_member(&member, "cordon").await?,
        ClusterCommand::Uncordon { member } => context.client.change_member(&member, "uncordon").await?,
        ClusterCommand::Move { shard, to } => context.client.move_shard(shard, to).await?,
        ClusterCommand::Split { shard, at } => context.client.split_shard(shard, at).await?,
        ClusterCommand::Rebalance => context.client.rebalance().await?,
        ClusterCommand::Rebalancing { policy, moves_at_once } => {
            let change = ChangeRebalancing { policy, moves_at_once };
            context.client.change_rebalancing(change).await?
        }
    };
    let map = |change: &ClusterChange| pairs(&[("map version", change.map_version.to_string())]);
    context.out.one(&change, map)?;
    Ok(Done::Well)
}

async fn shards(context: &mut Context, pages: Pages) -> Result<Done, Failure> {
    let (client, size) = (context.client.clone(), pages.page_size);
    let read = async |token: Option<&str>| {
        let page = client.cluster_shards(size, token).await?;
        Ok((page.shards, page.next_page_token))
    };
    context.list(pages, read, cluster::shards).await
}

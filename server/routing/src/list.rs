//! Lists: pages over the rows of one shard or of all, in the order of their keys.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ordermill_order::id::Class;
use ordermill_order::{Item, Order, Partition, Status};
use ordermill_shard::Row;
use ordermill_station::limits;
use ordermill_store::keys::{self, Kind};

use crate::router::decoded;
use crate::{Error, Router};

/// Which orders a list wants.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Only this customer's: strongly consistent, oldest first. Without: stable, in no order of time.
    pub customer: Option<String>,
    /// Only orders with this status.
    pub status: Option<Status>,
    /// Only orders created after this time, milliseconds since the Unix epoch.
    pub created_after_ms: Option<u64>,
}

/// A page of orders.
#[derive(Clone, Debug, Default)]
pub struct OrderList {
    /// The orders.
    pub orders: Vec<Arc<Order>>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// A page of items.
#[derive(Clone, Debug, Default)]
pub struct ItemList {
    /// SKUs and items.
    pub items: Vec<(Box<str>, Item)>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// Rows of one read when other kinds of rows lie between those that are wanted.
const STRIDE: usize = 64;

fn token_of(key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn key_of(token: &str) -> Result<Bytes, Error> {
    let key = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::BadToken("the page token was not made here"))?;
    keys::decode(&key).ok_or(Error::BadToken("the page token was not made here"))?;
    Ok(key.into())
}

/// The slot in which what comes behind a bound begins; none behind the last one.
fn slot_after(from: &Bound<Bytes>) -> Option<u16> {
    let (Bound::Included(key) | Bound::Excluded(key)) = from else { return Some(0) };
    let slot = u16::from_be_bytes(key.get(4..6)?.try_into().ok()?);
    // The end of a slot, which is no row's key, stands for the beginning of the next.
    if key.len() == keys::HEAD_BYTES && key.last() == Some(&u8::MAX) { slot.checked_add(1) } else { Some(slot) }
}

/// A walk over all rows of one kind and tenant, shard after shard.
struct Walk<'a> {
    router: &'a Router,
    kind: Kind,
    tenant: &'a str,
    /// How many rows may still be looked at.
    budget: usize,
}

impl Walk<'_> {
    /// Hands rows to `take` until it has enough; says the last key looked at, where there is more.
    async fn run(
        &mut self,
        after: Option<Bytes>,
        mut take: impl FnMut(&Bytes, &Bytes) -> Result<bool, Error>,
    ) -> Result<Option<Bytes>, Error> {
        let cluster = self.router.inner.keys.cluster;
        let mut from = after.map_or_else(|| Bound::Included(keys::prefix(cluster, 0, self.kind)), Bound::Excluded);
        let shards = &self.router.inner.shards;
        // Shards are split meanwhile: where one ends is looked up when it is come to.
        while let Some(slot) = slot_after(&from) {
            let range = shards.view().of(slot).range;
            let end = keys::prefix(cluster, range.last, self.kind);
            let end = keys::after_prefix(&end).map_or(Bound::Unbounded, Bound::Excluded);
            'shard: while let Some(slot) = slot_after(&from).filter(|slot| *slot <= range.last) {
                let page = shards.scan(slot, from.clone(), end.clone(), STRIDE).await?;
                let mut next = page.next.map(Bound::Excluded);
                for (key, value) in page.rows {
                    let Some(parts) = keys::decode(&key) else { continue };
                    if parts.kind != self.kind {
                        // On to where this kind stands in this slot, or in the next.
                        let slot = if parts.kind < self.kind { Some(parts.slot) } else { parts.slot.checked_add(1) };
                        match slot.filter(|slot| *slot <= range.last) {
                            Some(slot) => next = Some(Bound::Included(keys::prefix(cluster, slot, self.kind))),
                            None => break 'shard,
                        }
                        break;
                    }
                    self.budget = self.budget.saturating_sub(1);
                    if parts.tenant == self.tenant && !take(&key, &value)? || self.budget == 0 {
                        return Ok(Some(key));
                    }
                }
                match next {
                    Some(next) => from = next,
                    None => break,
                }
            }
            from = match range.last.checked_add(1) {
                Some(slot) => Bound::Included(keys::prefix(cluster, slot, self.kind)),
                None => return Ok(None),
            };
        }
        Ok(None)
    }
}

impl OrderFilter {
    fn wants(&self, order: &Order) -> bool {
        self.customer.as_ref().is_none_or(|customer| order.customer.as_deref() == Some(customer))
            && self.status.is_none_or(|status| order.status() == status)
            && self.created_after_ms.is_none_or(|after| order.created_ms > after)
    }
}

impl Router {
    /// Lists orders.
    pub async fn orders(
        &self,
        tenant: Arc<str>,
        filter: &OrderFilter,
        size: usize,
        token: Option<&str>,
    ) -> Result<OrderList, Error> {
        let after = token.map(key_of).transpose()?;
        let mut orders = Vec::new();
        let mut take = |key: &Bytes, value: &Bytes| {
            if let Row::Order(order) = decoded(key, value)?
                && filter.wants(&order)
            {
                orders.push(order);
            }
            Ok(orders.len() < size)
        };
        let next = match &filter.customer {
            Some(customer) => self.walk_customer(&tenant, customer, after, take).await?,
            None => {
                let budget = limits::PAGE_ROWS_SCANNED;
                Walk { router: self, kind: Kind::Order, tenant: &tenant, budget }.run(after, &mut take).await?
            }
        };
        Ok(OrderList { orders, next: next.as_deref().map(token_of) })
    }

    async fn walk_customer(
        &self,
        tenant: &str,
        customer: &str,
        after: Option<Bytes>,
        mut take: impl FnMut(&Bytes, &Bytes) -> Result<bool, Error>,
    ) -> Result<Option<Bytes>, Error> {
        let partition = Partition::of(tenant, Class::Customer, customer);
        let prefix = self.inner.keys.orders_of(tenant, partition);
        if after.as_ref().is_some_and(|after| !after.starts_with(&prefix)) {
            return Err(Error::BadToken("the page token belongs to another list"));
        }
        let end = keys::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let mut from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let mut budget = limits::PAGE_ROWS_SCANNED;
        loop {
            let page = self.inner.shards.scan(partition.slot, from, end.clone(), limits::PAGE_DEFAULT).await?;
            for (key, value) in page.rows {
                budget = budget.saturating_sub(1);
                if !take(&key, &value)? || budget == 0 {
                    return Ok(Some(key));
                }
            }
            match page.next {
                Some(next) => from = Bound::Excluded(next),
                None => return Ok(None),
            }
        }
    }

    /// Lists items.
    pub async fn items(&self, tenant: Arc<str>, size: usize, token: Option<&str>) -> Result<ItemList, Error> {
        let after = token.map(key_of).transpose()?;
        let mut items = Vec::new();
        let mut walk = Walk { router: self, kind: Kind::Item, tenant: &tenant, budget: limits::PAGE_ROWS_SCANNED };
        let take = |key: &Bytes, value: &Bytes| {
            let sku = keys::decode(key).and_then(|key| std::str::from_utf8(key.rest).ok().map(Box::from));
            if let (Some(sku), Row::Item(item)) = (sku, decoded(key, value)?) {
                items.push((sku, item));
            }
            Ok(items.len() < size)
        };
        let next = walk.run(after, take).await?;
        Ok(ItemList { items, next: next.as_deref().map(token_of) })
    }
}

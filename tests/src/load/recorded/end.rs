//! The end of a load: everything comes to rest, and all of it is read.

use std::collections::BTreeMap;

use ordermill_api::{ItemPage, OrderPage};
use ordermill_history::{Item, Order};
use reqwest::Method;
use serde::de::DeserializeOwned;

use super::Shared;
use super::follower::Follower;
use super::seen::{item_of, order_of};
use crate::process::{Http, until};

/// Most events of a page.
const EVENTS: usize = 1_000;
/// Empty pages one after the other that end the feed: more than there are servers to ask in turn. An empty page
/// says that there is nothing new as far as the server that was asked knows.
const EMPTY_PAGES: u32 = 6;

/// Waits until nothing is under way, and adds to the history what is there then.
pub(super) async fn read_all(shared: &Shared, mut follower: Follower) {
    until("orders and items at rest", async || at_rest(&shared.all).await).await;
    let (orders, items) = until("all orders and items", async || read(&shared.all).await).await;
    let versions: u64 = orders.iter().map(|order| order.version).sum();
    {
        let history = &mut *shared.history.lock();
        (history.orders, history.items) = (orders, items);
    }
    let mut empty = 0;
    // What is told afterwards is a mistake that the checks name; what is not told by the deadline is missing.
    let follower = tokio::sync::Mutex::new((&mut follower, &mut empty));
    until("the end of the feed", async || {
        let (follower, empty) = &mut *follower.lock().await;
        let count = follower.read(EVENTS).await?;
        let told = shared.history.lock().events.iter().filter(|event| event.order.is_some()).count() as u64;
        **empty = if count == 0 && told >= versions { **empty + 1 } else { 0 };
        if **empty == EMPTY_PAGES { Ok(()) } else { Err(format!("{told} of {versions} versions are told")) }
    })
    .await;
}

/// An error while an order is pending, or an item does not yet know what an order knows.
async fn at_rest(http: &Http) -> Result<(), String> {
    let (orders, items) = read(http).await?;
    if let Some(order) = orders.iter().find(|order| order.pending) {
        return Err(format!("{order:?} is pending"));
    }
    let mut sums: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for line in orders.iter().flat_map(|order| &order.lines) {
        let sum = sums.entry(&line.sku).or_default();
        let units = [line.held, line.backordered, line.fulfilled, line.restocked];
        sum.iter_mut().zip(units).for_each(|(sum, units)| *sum += units);
    }
    let differs = |item: &&Item| {
        let told = [item.held, item.backordered, item.fulfilled, item.restocked];
        told != sums.get(&*item.sku).copied().unwrap_or_default()
    };
    match items.iter().find(differs) {
        None => Ok(()),
        Some(item) => Err(format!("{item:?} is {:?} in orders", sums.get(&*item.sku))),
    }
}

async fn read(http: &Http) -> Result<(Vec<Order>, Vec<Item>), String> {
    let (mut orders, mut items) = (Vec::new(), Vec::new());
    let mut token = Some(String::new());
    while let Some(from) = token {
        let page: OrderPage = page(http, "orders", &from).await?;
        orders.extend(page.orders.iter().map(order_of));
        token = page.next_page_token;
    }
    let mut token = Some(String::new());
    while let Some(from) = token {
        let page: ItemPage = page(http, "items", &from).await?;
        items.extend(page.items.iter().map(item_of));
        token = page.next_page_token;
    }
    Ok((orders, items))
}

async fn page<T: DeserializeOwned>(http: &Http, what: &str, token: &str) -> Result<T, String> {
    let path = format!("/v1/{what}?page_size=1000&page_token={token}");
    let answer = http.send(http.request(Method::GET, &path)).await.map_err(|error| error.to_string())?;
    if answer.status == 200 { Ok(answer.json()) } else { Err(answer.body) }
}

//! Orders on Restate: a virtual object per customer whose handler asks a virtual object per item, as its guides do.
//!
//! Restate keeps the idempotency key at its ingress. An item that was never set has stock without end.

use anyhow::Result;
use ordermill_api::NewOrder;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// What became of an order.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    id: String,
    status: String,
}

/// Stock of an item.
#[derive(Debug, Serialize, Deserialize)]
struct Stock {
    on_hand: u64,
    held: u64,
}

const STOCK: &str = "stock";
/// Stock of an item that was never set.
const PLENTY: u64 = 1 << 40;

struct Item;

impl Item {
    async fn stock(ctx: &ObjectContext<'_>) -> Result<Stock, TerminalError> {
        Ok(ctx.get::<Json<Stock>>(STOCK).await?.map_or(Stock { on_hand: PLENTY, held: 0 }, Json::into_inner))
    }
}

#[object]
impl Item {
    /// Sets what is on hand.
    #[handler]
    async fn set(&self, ctx: ObjectContext<'_>, on_hand: u64) -> Result<(), TerminalError> {
        let stock = Self::stock(&ctx).await?;
        ctx.set(STOCK, Json(Stock { on_hand, ..stock }));
        Ok(())
    }

    /// Units held.
    #[handler]
    async fn held(&self, ctx: ObjectContext<'_>) -> Result<u64, TerminalError> {
        Ok(Self::stock(&ctx).await?.held)
    }

    /// Holds units, all or none.
    #[handler]
    async fn hold(&self, ctx: ObjectContext<'_>, quantity: u64) -> Result<bool, TerminalError> {
        let mut stock = Self::stock(&ctx).await?;
        let there = stock.on_hand - stock.held >= quantity;
        if there {
            stock.held += quantity;
            ctx.set(STOCK, Json(stock));
        }
        Ok(there)
    }

    /// Gives held units back.
    #[handler]
    async fn release(&self, ctx: ObjectContext<'_>, quantity: u64) -> Result<(), TerminalError> {
        let mut stock = Self::stock(&ctx).await?;
        stock.held -= quantity;
        ctx.set(STOCK, Json(stock));
        Ok(())
    }
}

struct Customer;

#[object]
impl Customer {
    /// Places an order: holds every line, or none.
    #[handler]
    async fn place(&self, mut ctx: ObjectContext<'_>, order: Json<NewOrder>) -> Result<Json<Placed>, TerminalError> {
        let order = order.into_inner();
        let id = ctx.rand_uuid().to_string();
        let mut held = Vec::new();
        for line in &order.lines {
            if ctx.object_client::<ItemClient>(&line.sku).hold(line.quantity).call().await? {
                held.push(line);
                continue;
            }
            for line in held {
                ctx.object_client::<ItemClient>(&line.sku).release(line.quantity).call().await?;
            }
            return Ok(Json(Placed { id, status: "rejected".to_owned() }));
        }
        ctx.set(&id, Json(order));
        Ok(Json(Placed { id, status: "confirmed".to_owned() }))
    }
}

/// Serves until it is killed.
pub(crate) async fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let endpoint = Endpoint::builder().bind(Item).bind(Customer).build();
    HttpServer::new(endpoint).serve(listener).await;
    Ok(())
}

//! Orders over HTTP on Postgres: a thin server over a pool, one prepared call of a stored function per order.
//!
//! The schema and the function are the benchmark's (`bench/src/peers/postgres.sql`).

use std::path::Path;

use anyhow::Result;
use axum::extract::{Path as Key, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use ordermill_api::NewOrder;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

/// What went wrong, told as it is: this server is only measured.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

#[derive(Serialize)]
struct Placed {
    id: i64,
    status: String,
}

#[derive(Deserialize)]
struct NewItem {
    on_hand: i64,
}

#[derive(Serialize)]
struct Item {
    sku: String,
    on_hand: i64,
    held: i64,
}

/// Serves until it is killed.
pub(crate) async fn run(socket: &Path, connections: usize) -> Result<()> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket).user("postgres").dbname("postgres");
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let pool = Pool::builder(Manager::from_config(config, NoTls, recycling)).max_size(connections).build()?;
    let router = Router::new()
        .route("/v1/orders", post(place))
        .route("/v1/items/{sku}", get(item).put(put_item))
        .with_state(pool);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // As the engine does; a stream that is gone already is found when it is read.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn place(
    State(pool): State<Pool>,
    headers: HeaderMap,
    Json(order): Json<NewOrder>,
) -> Result<(StatusCode, Json<Placed>), Failure> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let (mut skus, mut quantities, mut prices) = (Vec::new(), Vec::new(), Vec::new());
    for line in &order.lines {
        skus.push(line.sku.as_str());
        quantities.push(i64::try_from(line.quantity)?);
        prices.push(i64::try_from(line.unit_price.amount)?);
    }
    let currency = order.lines.first().map_or("", |line| line.unit_price.currency.as_str());
    let customer = order.customer.as_deref().unwrap_or_default();
    let client = pool.get().await?;
    let call = client.prepare_cached("SELECT id, status FROM place_order($1, $2, $3, $4, $5, $6)").await?;
    let row = client.query_one(&call, &[&key, &customer, &skus, &quantities, &prices, &currency]).await?;
    Ok((StatusCode::CREATED, Json(Placed { id: row.get(0), status: row.get(1) })))
}

async fn put_item(
    State(pool): State<Pool>,
    Key(sku): Key<String>,
    Json(item): Json<NewItem>,
) -> Result<StatusCode, Failure> {
    let client = pool.get().await?;
    let put =
        "INSERT INTO items (sku, on_hand) VALUES ($1, $2) ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand";
    let put = client.prepare_cached(put).await?;
    client.execute(&put, &[&sku, &item.on_hand]).await?;
    Ok(StatusCode::OK)
}

async fn item(State(pool): State<Pool>, Key(sku): Key<String>) -> Result<Json<Item>, Failure> {
    let client = pool.get().await?;
    let row = client.query_one("SELECT on_hand, held FROM items WHERE sku = $1", &[&sku]).await?;
    Ok(Json(Item { sku, on_hand: row.get(0), held: row.get(1) }))
}

//! Calls about orders.

use ordermill_api::{
    CancelResult, Cancellation, NewFulfillment, NewPayment, NewReturn, Order, OrderPage, Status, Time,
};
use serde::Serialize;

use super::{Client, Error, Request, random_key, segment};

/// How an order is to be placed.
#[derive(Clone, Debug, Default)]
pub struct NewOrderOptions {
    /// Under this key it is placed once, however often it is sent. Default: a random one.
    pub key: Option<String>,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Answer as soon as the order is accepted, before its stock is decided.
    pub no_wait: bool,
}

/// What came of placing an order.
#[derive(Clone, Debug)]
pub struct Created {
    /// The order, as it stands now.
    pub order: Order,
    /// It was placed by an earlier request with the same key.
    pub replayed: bool,
}

/// Which orders are listed.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Only this customer's.
    pub customer: Option<String>,
    /// Only those that stand so.
    pub status: Option<Status>,
    /// Only those placed after this time.
    pub created_after: Option<Time>,
    /// How many per page.
    pub page_size: Option<usize>,
}

impl Client {
    /// Places an order, given as the JSON of [`ordermill_api::NewOrder`].
    pub async fn create_order(&self, order: &impl Serialize, options: &NewOrderOptions) -> Result<Created, Error> {
        let key = options.key.clone().unwrap_or_else(random_key);
        let mut request = Request::post("/v1/orders").keyed(&key)?.json(order);
        request = request.query("dry_run", options.dry_run.then_some(true));
        if options.no_wait {
            request = request.header("prefer", "respond-async")?;
        }
        let reply = self.send(request).await?;
        let replayed = reply.headers.get("idempotent-replayed").is_some_and(|value| value == "true");
        let order = self.parse(&reply)?;
        Ok(Created { order, replayed })
    }

    /// An order.
    pub async fn order(&self, id: &str) -> Result<Order, Error> {
        self.call(Request::get(format!("/v1/orders/{}", segment(id)?))).await
    }

    /// A page of orders.
    pub async fn orders(&self, filter: &OrderFilter, page_token: Option<&str>) -> Result<OrderPage, Error> {
        let status = filter.status.map(|status| crate::output::word(&status));
        let request = Request::get("/v1/orders")
            .query("customer", filter.customer.as_ref())
            .query("status", status)
            .query("created_after", filter.created_after)
            .query("page_size", filter.page_size)
            .query("page_token", page_token);
        self.call(request).await
    }

    /// Cancels what is open of an order.
    pub async fn cancel_order(
        &self,
        id: &str,
        cancellation: &Cancellation,
        if_version: Option<u64>,
    ) -> Result<CancelResult, Error> {
        let request = step(id, "cancel", if_version)?.json(cancellation);
        self.call(request).await
    }

    /// Records what happened to an order's payment.
    pub async fn pay_order(&self, id: &str, payment: &NewPayment, if_version: Option<u64>) -> Result<Order, Error> {
        self.call(step(id, "payments", if_version)?.json(payment)).await
    }

    /// Records a shipment.
    pub async fn fulfil_order(
        &self,
        id: &str,
        fulfilment: &NewFulfillment,
        if_version: Option<u64>,
    ) -> Result<Order, Error> {
        self.call(step(id, "fulfillments", if_version)?.json(fulfilment)).await
    }

    /// Records goods that came back.
    pub async fn return_order(&self, id: &str, returned: &NewReturn, if_version: Option<u64>) -> Result<Order, Error> {
        self.call(step(id, "returns", if_version)?.json(returned)).await
    }
}

/// A step on an order, taken once however often it is sent; with a version it is taken only while
/// the order still has that one.
fn step(id: &str, step: &str, if_version: Option<u64>) -> Result<Request, Error> {
    let request = Request::post(format!("/v1/orders/{}/{step}", segment(id)?)).keyed(&random_key())?;
    match if_version {
        Some(version) => request.header("if-match", &format!("\"{version}\"")),
        None => Ok(request),
    }
}

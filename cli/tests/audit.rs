//! The audit against books that are served page by page, at rest and in motion.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use orderctl::audit::{Config, Report, run};
use orderctl::client::Client;
use orderctl::progress::Meter;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const TIME: &str = "2010-12-01T08:26:00Z";
/// Small, so that there are many pages; every second one is empty, as a filter may make it.
const PAGE: usize = 2;

/// A change of items and orders.
type Change = Box<dyn FnMut(&mut Vec<Value>, &mut Vec<Value>) + Send>;

/// What the server has, and how it changes at the beginning of each further walk.
struct Books {
    items: Vec<Value>,
    orders: Vec<Value>,
    walks: u32,
    next: Change,
}

impl Books {
    /// Item `A` with units held by `orders` orders, one each.
    fn new(orders: u64) -> Self {
        Self {
            items: vec![item("A", orders), item("B", 0), item("C", 0)],
            orders: (0..orders).map(order).collect(),
            walks: 0,
            next: Box::new(|_, _| ()),
        }
    }

    fn page(&mut self, request: &Request<Incoming>) -> Value {
        let query = request.uri().query().unwrap_or_default();
        let token = query.split('&').find_map(|pair| pair.strip_prefix("page_token="));
        let place: usize = token.map_or(0, |token| token.parse().unwrap());
        let name = if request.uri().path() == "/v1/items" { "items" } else { "orders" };
        // A walk begins with the orders: items are walked before and after.
        if name == "orders" && place == 0 && !query.contains("customer=") {
            self.walks += 1;
            if self.walks > 1 {
                (self.next)(&mut self.items, &mut self.orders);
            }
        }
        let rows = if name == "items" { &self.items } else { &self.orders };
        let wanted = |row: &&Value| {
            query.split('&').find_map(|pair| pair.strip_prefix("customer=")).is_none_or(|name| row["customer"] == name)
        };
        let rows: Vec<_> = rows.iter().filter(wanted).collect();
        let (from, filled) = (place / 2 * PAGE, place.is_multiple_of(2));
        let page = if filled { &rows[from.min(rows.len())..(from + PAGE).min(rows.len())] } else { &[] };
        let more = from + PAGE < rows.len();
        json!({name: page, "next_page_token": more.then(|| (place + 1).to_string())})
    }
}

fn item(sku: &str, held: u64) -> Value {
    json!({"sku": sku, "on_hand": 100, "held": held, "available": 100 - held, "backorder": false, "backordered": 0,
           "received": 100, "fulfilled": 0, "restocked": 0, "version": 1, "updated_at": TIME})
}

fn order(number: u64) -> Value {
    json!({"id": format!("O{number}"), "customer": "c", "reference": number.to_string(), "status": "confirmed",
           "lines": [{"line": 1, "sku": "A", "quantity": 1, "unit_price": {"amount": 5, "currency": "GBP"}, "held": 1,
                      "backordered": 0, "fulfilled": 0, "cancelled": 0, "returned": 0}],
           "total": {"amount": 5, "currency": "GBP"},
           "payment": {"status": "required", "terms": "on_account", "authorized": 0, "captured": 0, "refunded": 0,
                       "voided": 0},
           "version": 1, "created_at": TIME, "updated_at": TIME})
}

async fn audit(books: Books) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let books = Arc::new(Mutex::new(books));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let books = Arc::clone(&books);
            let service = hyper::service::service_fn(move |request| {
                let page = books.lock().unwrap().page(&request);
                let response = Response::new(Full::new(Bytes::from(page.to_string())));
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
        }
    });
    let client = Client::new(&url, None, None, Duration::from_secs(10)).unwrap();
    let config = Config { settle: Duration::from_secs(2), page_size: PAGE, listed: 10 };
    run(&client, config, Meter::hidden()).await.unwrap()
}

#[tokio::test]
async fn books_that_add_up_are_walked_once() {
    let report = audit(Books::new(5)).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.orders, report.lines, report.items, report.references, report.walks), (5, 5, 3, 5, 1));
}

#[tokio::test]
async fn what_stays_wrong_is_a_violation() {
    let mut books = Books::new(5);
    books.items[0] = item("A", 6);
    let report = audit(books).await;
    assert_eq!((report.violations_total, report.violations[0].rule), (1, "held = sum over orders"));
    assert!(report.walks > 1, "it was looked at again");

    let mut books = Books::new(5);
    books.orders[4]["total"]["amount"] = json!(6);
    let report = audit(books).await;
    assert_eq!((report.violations_total, report.walks), (1, 1), "an order's own numbers need no second look");
}

#[tokio::test]
async fn what_is_on_its_way_is_waited_for() {
    let mut books = Books::new(5);
    books.items[0] = item("A", 6);
    books.next = Box::new(|items, _| items[0] = item("A", 5));
    let report = audit(books).await;
    // The item changed between two walks; the third finds everything at rest.
    assert!(report.is_clean() && report.walks > 1, "{report:?}");

    let mut books = Books::new(5);
    books.orders[0]["status"] = json!("pending");
    books.next = Box::new(|_, orders| orders[0]["status"] = json!("confirmed"));
    let report = audit(books).await;
    assert!(report.is_clean() && report.walks == 2 && report.pending == 0, "{report:?}");
}

#[tokio::test]
async fn what_never_rests_is_not_called_wrong() {
    let mut books = Books::new(5);
    books.orders[0]["status"] = json!("pending");
    books.items[0] = item("A", 6);
    let report = audit(books).await;
    assert_eq!((report.violations_total, report.pending, report.unsettled), (0, 1, vec!["A".to_owned()]));
}

#[tokio::test]
async fn a_reference_that_stands_twice_is_looked_up() {
    let mut books = Books::new(5);
    books.orders[3]["reference"] = json!("1");
    let report = audit(books).await;
    assert_eq!((report.violations_total, report.violations[0].rule), (1, "a reference stands for one order"));
}

//! The lives of orders, from the first request to the last.

use ordermill_api::{CancelOutcome, CancelResult, PaymentStatus, ProblemKind, Status};
use ordermill_tests::process::problem;
use serde_json::{Value, json};

use super::{SHARDS, Shop, order, pence};

fn pay(action: &str, amount: u64) -> Value {
    json!({"action": action, "amount": pence(amount)})
}

fn units(line: u32, quantity: u64) -> Value {
    json!({"lines": [{"line": line, "quantity": quantity}]})
}

#[tokio::test]
async fn an_order_is_paid_sent_and_returned_in_parts() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 10)]).await;
        let mut body = order("ann", &[("tea", 3), ("cup", 2)]);
        body["payment_terms"] = json!("prepaid");
        let placed = shop.place(&body).await;
        assert_eq!((placed.status, placed.payment.status), (Status::Confirmed, PaymentStatus::Required));
        assert_eq!((shop.stock("tea").await, shop.stock("cup").await), ((10, 3, 7, 0), (10, 2, 8, 0)));
        let early = shop.step(&placed, "fulfillments", &units(1, 1)).await;
        assert_eq!(problem(&early), ProblemKind::StateConflict, "nothing leaves before it is paid");

        let now = shop.does(&placed, "payments", &pay("authorize", 500)).await;
        assert_eq!((now.payment.status, now.payment.authorized), (PaymentStatus::Authorized, 500));
        let now = shop.does(&placed, "payments", &pay("capture", 200)).await;
        assert_eq!((now.payment.status, now.payment.captured), (PaymentStatus::PartiallyCaptured, 200));
        let too_much = shop.step(&placed, "payments", &pay("capture", 301)).await;
        assert_eq!(problem(&too_much), ProblemKind::StateConflict);

        let now = shop.does(&placed, "fulfillments", &units(1, 2)).await;
        assert_eq!((now.status, now.lines[0].held, now.lines[0].fulfilled), (Status::PartiallyFulfilled, 1, 2));
        let now = shop.does(&placed, "payments", &pay("capture", 300)).await;
        assert_eq!((now.payment.status, now.payment.captured), (PaymentStatus::Captured, 500));
        // What is left: one of the first line and two of the second.
        let now = shop.does(&placed, "fulfillments", &json!({"tracking": "T-1"})).await;
        assert_eq!((now.status, now.fulfillments.len()), (Status::Completed, 2));
        assert_eq!(now.fulfillments[1].tracking.as_deref(), Some("T-1"));
        let late: CancelResult = shop.step(&placed, "cancel", &json!({})).await.expect(200).json();
        assert_eq!(late.outcome, CancelOutcome::TooLate);

        let now = shop.does(&placed, "returns", &units(1, 1)).await;
        assert_eq!((now.lines[0].returned, now.lines[0].restocked), (1, 1));
        let mut broken = units(2, 2);
        broken["restock"] = json!(false);
        broken["reason"] = json!("broken");
        let now = shop.does(&placed, "returns", &broken).await;
        assert_eq!((now.lines[1].returned, now.lines[1].restocked), (2, 0));
        let now = shop.does(&placed, "returns", &json!({})).await;
        assert_eq!((now.status, now.returns.len()), (Status::Returned, 3));
        assert_eq!(problem(&shop.step(&placed, "returns", &json!({})).await), ProblemKind::StateConflict);

        let now = shop.does(&placed, "payments", &pay("refund", 100)).await;
        assert_eq!((now.payment.status, now.payment.refunded), (PaymentStatus::PartiallyRefunded, 100));
        let now = shop.does(&placed, "payments", &pay("refund", 400)).await;
        assert_eq!(now.payment.status, PaymentStatus::Refunded);
        assert_eq!(problem(&shop.step(&placed, "payments", &pay("refund", 1)).await), ProblemKind::StateConflict);
        // Three left and came back; two left for ever.
        shop.wait_for(&placed, |order| order.lines.iter().all(|line| line.requested == 0)).await;
        audited(&shop).await;
        assert_eq!((shop.stock("tea").await, shop.stock("cup").await), ((10, 0, 10, 0), (8, 0, 8, 0)));
        shop.close().await;
    }
}

/// Waits until every message between shards has arrived: the audit settles.
async fn audited(shop: &Shop) {
    ordermill_tests::process::audit(&shop.server.url()).await;
}

#[tokio::test]
async fn an_order_is_cancelled_or_rejected_whole() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 1)]).await;
        let placed = shop.place(&order("ann", &[("tea", 3), ("cup", 1)])).await;
        let rejected = shop.place(&order("bob", &[("tea", 3), ("cup", 1)])).await;
        assert_eq!(rejected.status, Status::Rejected);
        assert_eq!(rejected.lines[1].reason.as_deref(), Some("insufficient_stock"));
        assert!(rejected.lines.iter().all(|line| line.held == 0 && line.cancelled == line.quantity), "{rejected:?}");
        assert_eq!(problem(&shop.step(&rejected, "fulfillments", &json!({})).await), ProblemKind::StateConflict);

        let cancel = async || shop.step(&placed, "cancel", &json!({"reason": "too dear"})).await.expect(200).json();
        let done: CancelResult = cancel().await;
        assert_eq!((done.outcome, done.order.status), (CancelOutcome::Done, Status::Cancelled));
        assert_eq!(done.order.cancellation.and_then(|c| c.reason).as_deref(), Some("too dear"));
        let again: CancelResult = cancel().await;
        assert_eq!(again.outcome, CancelOutcome::Already);
        audited(&shop).await;
        assert_eq!((shop.stock("tea").await, shop.stock("cup").await), ((10, 0, 10, 0), (1, 0, 1, 0)));

        // An item that nobody knows.
        let unknown = shop.http.post("/v1/orders", &order("ann", &[("tea", 1), ("none", 1)]), &[]).await;
        assert_eq!(problem(&unknown), ProblemKind::UnknownSku);
        assert_eq!(unknown.json::<ordermill_api::Problem>().errors[0].field, "lines[1].sku");
        assert_eq!(shop.http.orders().await.len(), 2);
        shop.close().await;
    }
}

#[tokio::test]
async fn a_backordered_order_is_confirmed_when_goods_arrive() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        shop.http.put("/v1/items/cup", &json!({"on_hand": 1, "backorder": true})).await.expect(201);
        let placed = shop.place(&order("ann", &[("tea", 1), ("cup", 4)])).await;
        assert_eq!((placed.status, placed.lines[1].backordered), (Status::Backordered, 3));
        let adjust = async |delta: i64| {
            shop.http.post("/v1/items/cup/adjustments", &json!({"delta": delta}), &[]).await.expect(200);
        };
        adjust(2).await;
        let now = shop.wait_for(&placed, |order| order.lines[1].backordered == 1).await;
        assert_eq!((now.status, now.lines[1].held), (Status::Backordered, 3));
        adjust(5).await;
        let now = shop.wait_for(&placed, |order| order.status == Status::Confirmed).await;
        assert_eq!(now.lines[1].held, 4);
        assert_eq!(shop.stock("cup").await, (8, 4, 4, 0));
        shop.close().await;
    }
}

#[tokio::test]
async fn a_reservation_runs_out_unless_it_is_paid() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 10)]).await;
        let mut body = order("ann", &[("tea", 3), ("cup", 2)]);
        body["expires_in_seconds"] = json!(1);
        let unpaid = shop.place(&body).await;
        let hold = unpaid.expires_at.expect("it ends").0 - unpaid.created_at.0;
        assert_eq!(hold, 1_000);
        body["customer"] = json!("bob");
        body["expires_in_seconds"] = json!(30);
        let paid = shop.place(&body).await;
        shop.does(&paid, "payments", &pay("authorize", 500)).await;
        let now = shop.wait_for(&unpaid, |order| order.status == Status::Expired).await;
        assert!(now.updated_at >= unpaid.expires_at.expect("it ends"), "not before its time: {now:?}");
        assert_eq!(problem(&shop.step(&unpaid, "fulfillments", &json!({})).await), ProblemKind::StateConflict);
        audited(&shop).await;
        assert_eq!((shop.stock("tea").await, shop.stock("cup").await), ((10, 3, 7, 0), (10, 2, 8, 0)));
        let paid = shop.does(&paid, "fulfillments", &json!({})).await;
        assert_eq!(paid.status, Status::Fulfilled);
        shop.close().await;
    }
}

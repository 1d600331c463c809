//! Commands about orders.

use std::path::Path;

use ordermill_api::{Cancellation, NewFulfillment, NewOrder, NewPayment, NewReturn, Order};
use serde_json::{Map, Value, json};

use super::{Context, Done, Failure};
use crate::args::{CreateOrder, ListOrders, OrderCommand};
use crate::client::{Again, NewOrderOptions, OrderFilter, random_key};
use crate::output::{orders, word};

pub(super) async fn run(context: &mut Context, command: OrderCommand) -> Result<Done, Failure> {
    let client = context.client.clone();
    let order = match command {
        OrderCommand::Create(args) => create(context, *args).await?,
        OrderCommand::Get { id } => client.order(&id).await?,
        OrderCommand::List(args) => return list(context, args).await,
        OrderCommand::Cancel { id, reason, if_version } => {
            let reply = client.cancel_order(&id, &Cancellation { reason }, if_version).await?;
            let table = |_: &_| format!("outcome    {}\n{}", word(&reply.outcome), orders::details(&reply.order));
            context.out.one(&reply, table)?;
            return Ok(Done::Well);
        }
        OrderCommand::Pay { id, action, amount, if_version } => {
            client.pay_order(&id, &NewPayment { action, amount }, if_version).await?
        }
        OrderCommand::Fulfil { id, lines, tracking, if_version } => {
            let lines = (!lines.is_empty()).then_some(lines);
            client.fulfil_order(&id, &NewFulfillment { lines, tracking }, if_version).await?
        }
        OrderCommand::Return { id, lines, no_restock, reason, if_version } => {
            let lines = (!lines.is_empty()).then_some(lines);
            let restock = no_restock.then_some(false);
            client.return_order(&id, &NewReturn { lines, restock, reason }, if_version).await?
        }
    };
    context.out.one(&order, orders::details)?;
    Ok(Done::Well)
}

async fn create(context: &mut Context, args: CreateOrder) -> Result<Order, Failure> {
    let key = args.key.clone().unwrap_or_else(random_key);
    let options = NewOrderOptions { key: Some(key.clone()), dry_run: args.dry_run, no_wait: args.no_wait };
    let body = body(args)?;
    match context.client.create_order(&body, &options).await {
        Ok(created) => {
            if created.replayed {
                context.note("this order was placed before under the same key");
            }
            Ok(created.order)
        }
        Err(error) => {
            if error.again() == Again::Doubtful {
                context.note(&format!("with --key {key} it can be sent again and is placed once"));
            }
            Err(error.into())
        }
    }
}

/// What is sent: the file's order, with what the options add. The server says what does not fit.
fn body(args: CreateOrder) -> Result<Value, Failure> {
    let mut order = match &args.file {
        Some(file) => read(file)?,
        None => Map::new(),
    };
    // Wire types and text are always JSON.
    let options = NewOrder {
        customer: args.customer,
        reference: args.reference,
        lines: Vec::new(),
        payment_terms: args.payment_terms,
        expires_in_seconds: args.expires_in,
    };
    if let Value::Object(options) = json!(options) {
        order.extend(options.into_iter().filter(|(name, _)| name != "lines"));
    }
    let lines = order.entry("lines").or_insert_with(|| json!([]));
    if let Value::Array(lines) = lines {
        lines.extend(args.lines.iter().map(|line| json!(line)));
    }
    Ok(Value::Object(order))
}

fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let name = if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
    serde_json::from_reader(super::open(file)?)
        .map_err(|error| Failure::Usage(format!("{name} is not an order in JSON: {error}")))
}

async fn list(context: &mut Context, args: ListOrders) -> Result<Done, Failure> {
    let filter = OrderFilter {
        customer: args.customer,
        status: args.status,
        created_after: args.created_after,
        page_size: args.pages.page_size,
    };
    let client = context.client.clone();
    let read = async |token: Option<&str>| {
        let page = client.orders(&filter, token).await?;
        Ok((page.orders, page.next_page_token))
    };
    context.list(args.pages, read, orders::table).await
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(line: &str) -> CreateOrder {
        let words = ["orderctl", "order", "create"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).unwrap().command {
            Command::Order(OrderCommand::Create(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_make_an_order() {
        let body = body(args("--customer c-1 --line A:2:255GBP --payment-terms prepaid")).unwrap();
        let order: NewOrder = serde_json::from_value(body).unwrap();
        assert_eq!((order.customer.as_deref(), order.lines.len()), (Some("c-1"), 1));
    }

    #[test]
    fn options_add_to_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("order.json");
        let line = r#"{"sku":"B","quantity":1,"unit_price":{"amount":1,"currency":"GBP"}}"#;
        std::fs::write(&path, format!(r#"{{"customer":"x","new_field":1,"lines":[{line}]}}"#)).unwrap();
        let body = body(args(&format!("--file {} --customer c-1 --line A:2:255GBP", path.display()))).unwrap();
        assert_eq!((&body["customer"], &body["new_field"]), (&json!("c-1"), &json!(1)));
        assert_eq!(body["lines"].as_array().map(Vec::len), Some(2));
        std::fs::write(&path, "[]").unwrap();
        assert!(super::body(args(&format!("--file {}", path.display()))).is_err());
    }
}

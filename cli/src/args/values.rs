//! Values on the command line, from text.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ordermill_api::{FulfillmentLine, NewLine, PaymentAction, PaymentTerms, RebalancingPolicy, Status, Time};
use serde::de::DeserializeOwned;

use crate::money;

/// `500ms`, `30s`, `2m`, `1h`, or seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("{text:?} is no time: write it as 500ms, 30s, 2m or 1h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// `SKU:QUANTITY:PRICE`, the price as `255GBP` (minor units) or `2.55GBP`; the SKU may hold colons.
pub fn new_line(text: &str) -> Result<NewLine, String> {
    let mut parts = text.rsplitn(3, ':');
    let (Some(price), Some(quantity), Some(sku)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("write a line as SKU:QUANTITY:PRICE, such as 85123A:6:255GBP".to_owned());
    };
    let quantity = quantity.parse().map_err(|_| format!("the quantity {quantity:?} is not a whole number"))?;
    Ok(NewLine { sku: sku.to_owned(), quantity, unit_price: money::parse(price)? })
}

/// `LINE:QUANTITY`.
pub fn units(text: &str) -> Result<FulfillmentLine, String> {
    let parsed = text.split_once(':').and_then(|(line, quantity)| Some((line.parse().ok()?, quantity.parse().ok()?)));
    match parsed {
        Some((line, quantity)) => Ok(FulfillmentLine { line, quantity }),
        None => Err("write it as LINE:QUANTITY, such as 1:2 for two units of the first line".to_owned()),
    }
}

/// RFC 3339, or a date.
pub fn time(text: &str) -> Result<Time, String> {
    text.parse().or_else(|error: String| format!("{text}T00:00:00Z").parse().map_err(|_| error))
}

/// What shards move for by themselves.
pub fn rebalancing_policy() -> impl TypedValueParser<Value = RebalancingPolicy> {
    words(&["load", "count", "paused"])
}

/// A status of an order.
pub fn status() -> impl TypedValueParser<Value = Status> {
    words(&[
        "pending",
        "confirmed",
        "backordered",
        "rejected",
        "cancelled",
        "expired",
        "partially_fulfilled",
        "fulfilled",
        "completed",
        "returned",
    ])
}

/// What happened to a payment.
pub fn payment_action() -> impl TypedValueParser<Value = PaymentAction> {
    words(&["authorize", "capture", "void", "refund", "fail", "unknown"])
}

/// When an order has to be paid.
pub fn payment_terms() -> impl TypedValueParser<Value = PaymentTerms> {
    words(&["on_account", "prepaid"])
}

/// A word of the API: one of `words`, each of which a test reads as a `T`.
fn words<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(serde_json::Value::String(word)))
}

#[cfg(test)]
mod tests {
    use ordermill_api::Money;

    use super::*;

    #[test]
    fn times_and_units_are_read() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), duration("120"));
        assert!(duration("1d").is_err() && duration("s").is_err() && duration("").is_err());
        assert_eq!(units("3:14"), Ok(FulfillmentLine { line: 3, quantity: 14 }));
        assert!(units("3").is_err() && units("a:1").is_err());
        assert_eq!(time("2010-12-01"), Ok(Time(1_291_161_600_000)));
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn a_line_may_have_colons_in_its_sku() {
        let unit_price = Money { amount: 255, currency: "GBP".into() };
        assert_eq!(new_line("a:b:6:2.55GBP"), Ok(NewLine { sku: "a:b".into(), quantity: 6, unit_price }));
        assert!(new_line("a:6").is_err_and(|text| text.contains("SKU:QUANTITY:PRICE")));
        assert!(new_line("a:six:1GBP").is_err_and(|text| text.contains("whole number")));
    }

    #[test]
    fn every_word_of_the_api_is_known() {
        fn all<P: TypedValueParser>(parser: &P) -> bool {
            let command = clap::Command::new("test");
            let words: Vec<_> = parser.possible_values().expect("words").collect();
            words.iter().all(|word| parser.parse_ref(&command, None, word.get_name().as_ref()).is_ok())
        }
        assert!(all(&status()) && all(&payment_action()) && all(&payment_terms()));
    }
}

//! One row at a time: what it says, and which rule it falls under.

use std::cmp::Ordering;

use csv::ByteRecord;
use ordermill_station::limits;

use super::mapping::{Columns, Field};
use super::report::Rule;
use super::{Options, ZeroPrice};
use crate::money;

/// What a row is about, and what it comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'r> {
    /// Its line in the file, from 1, the head included.
    pub(super) number: u64,
    /// The order's or credit's own number.
    pub(super) reference: &'r str,
    /// Who ordered; none for a guest.
    pub(super) customer: Option<&'r str>,
    /// When, as it is written.
    pub(super) placed_at: &'r str,
    /// It belongs to a credit.
    pub(super) credit: bool,
    /// What it comes to.
    pub(super) outcome: Outcome<'r>,
}

/// What a row comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome<'r> {
    /// Units of an item at a price.
    Kept(Units<'r>),
    /// Left out under a rule.
    LeftOut(Rule),
    /// It cannot be understood, so its order must not be sent.
    Refused(String),
}

/// Units of an item at a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Units<'r> {
    pub(super) sku: &'r str,
    pub(super) quantity: u64,
    /// Minor units; zero in a credit, whose prices are not looked at.
    pub(super) price: u64,
}

/// Reads rows by a mapping.
#[derive(Debug)]
pub(super) struct Rows<'o> {
    options: &'o Options,
    columns: Columns,
    exponent: u32,
}

impl<'o> Rows<'o> {
    pub(super) fn new(options: &'o Options, columns: Columns) -> Self {
        let exponent = if options.decimal_prices { money::exponent(&options.currency) } else { 0 };
        Self { options, columns, exponent }
    }

    /// What `record`, line `number` of the file, says.
    pub(super) fn read<'r>(&self, number: u64, record: &'r ByteRecord) -> Row<'r> {
        let mut row = Row {
            number,
            reference: "",
            customer: None,
            placed_at: "",
            credit: false,
            outcome: Outcome::Refused(String::new()),
        };
        row.outcome = self.fill(&mut row, record).unwrap_or_else(Outcome::Refused);
        row
    }

    fn fill<'r>(&self, row: &mut Row<'r>, record: &'r ByteRecord) -> Result<Outcome<'r>, String> {
        row.reference = self.text(Field::Reference, "reference", record)?;
        if row.reference.is_empty() && self.columns.has(Field::Reference) {
            return Err("the reference is empty".to_owned());
        }
        row.credit = self.options.credit_prefix.as_deref().is_some_and(|prefix| row.reference.starts_with(prefix));
        row.customer = Some(self.text(Field::Customer, "customer", record)?).filter(|text| !text.is_empty());
        row.placed_at = self.text(Field::PlacedAt, "placed_at", record)?;
        let sku = self.text(Field::Sku, "sku", record)?;
        if sku.is_empty() {
            return Err("the sku is empty".to_owned());
        }
        if self.options.skip_skus.contains(sku) {
            return Ok(Outcome::LeftOut(Rule::SkippedSku));
        }
        let quantity = quantity(self.columns.get(Field::Quantity, record))?;
        if row.credit { Ok(credited(sku, quantity)) } else { self.ordered(sku, quantity, record) }
    }

    fn ordered<'r>(&self, sku: &'r str, quantity: i64, record: &'r ByteRecord) -> Result<Outcome<'r>, String> {
        let text = self.text(Field::UnitPrice, "unit_price", record)?;
        let price = if self.columns.has(Field::UnitPrice) { money::parse_decimal(text, self.exponent) } else { Ok(0) };
        if price == Err(money::Error::Negative) {
            return Ok(Outcome::LeftOut(Rule::NegativePrice));
        }
        let Ok(quantity) = u64::try_from(quantity) else { return Ok(Outcome::LeftOut(Rule::WrittenOff)) };
        if quantity == 0 {
            return Ok(Outcome::LeftOut(Rule::ZeroQuantity));
        }
        let price = price.map_err(|error| self.price_error(text, error))?;
        if price == 0 && self.options.zero_price == ZeroPrice::Skip {
            return Ok(Outcome::LeftOut(Rule::ZeroPrice));
        }
        Ok(Outcome::Kept(Units { sku, quantity, price }))
    }

    fn price_error(&self, text: &str, error: money::Error) -> String {
        let currency = &self.options.currency;
        if self.options.decimal_prices {
            return format!("the price {text:?} {error} ({currency} has {})", self.exponent);
        }
        let hint = if text.contains('.') { "; for decimals give --decimal-prices" } else { "" };
        format!("the price {text:?} is not a number of minor units of {currency}{hint}")
    }

    fn text<'r>(&self, field: Field, name: &str, record: &'r ByteRecord) -> Result<&'r str, String> {
        std::str::from_utf8(self.columns.get(field, record)).map_err(|_| format!("the {name} is not UTF-8"))
    }
}

/// Units of a credit: their sign says that they come back.
fn credited(sku: &str, quantity: i64) -> Outcome<'_> {
    match quantity.cmp(&0) {
        Ordering::Equal => Outcome::LeftOut(Rule::ZeroQuantity),
        Ordering::Greater => Outcome::LeftOut(Rule::PositiveCredit),
        Ordering::Less => Outcome::Kept(Units { sku, quantity: quantity.unsigned_abs(), price: 0 }),
    }
}

/// `6`, `-6` or `6.0` as a number of units.
fn quantity(text: &[u8]) -> Result<i64, String> {
    let whole = match text.iter().position(|byte| *byte == b'.') {
        Some(point) if text[point + 1..].iter().all(|byte| *byte == b'0') => &text[..point],
        _ => text,
    };
    let number = std::str::from_utf8(whole).ok().and_then(|text| text.parse::<i64>().ok());
    let Some(number) = number else {
        return Err(format!("the quantity {:?} is not a whole number", String::from_utf8_lossy(text)));
    };
    if number.unsigned_abs() > limits::QUANTITY_MAX {
        return Err(format!("the quantity {number} is above {}", limits::QUANTITY_MAX));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole() {
        assert_eq!(quantity(b"6"), Ok(6));
        assert_eq!(quantity(b"-6.0"), Ok(-6));
        for text in [&b""[..], b"6.5", b"six", b"1e3", b"\xff", b"99999999999999999999", b"1000000001"] {
            assert!(quantity(text).is_err());
        }
    }
}

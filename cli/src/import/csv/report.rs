//! What became of every row and every reference of a CSV file.

use serde::Serialize;

use crate::output::{columns, grouped};

/// Why a row is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Its SKU is not goods.
    SkippedSku,
    /// Its price is below zero.
    NegativePrice,
    /// A negative quantity outside a credit: a stock write-off.
    WrittenOff,
    /// Nothing was ordered.
    ZeroQuantity,
    /// A positive quantity in a credit.
    PositiveCredit,
    /// Its price is zero, and such rows are to be left out.
    ZeroPrice,
}

/// What became of every row and every reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows read, without the head.
    pub rows: u64,
    /// Rows that became a line of an order of their own.
    pub order_rows: u64,
    /// Rows that became a line of a credit of their own.
    pub credit_rows: u64,
    /// Rows added to a line of the same SKU and price.
    pub merged_rows: u64,
    /// Of the kept rows of orders, those with price zero.
    pub free_rows: u64,
    /// Rows left out: not goods.
    pub skipped_sku: u64,
    /// Rows left out: the price is below zero.
    pub negative_price: u64,
    /// Rows left out: a negative quantity outside a credit.
    pub written_off: u64,
    /// Rows left out: the quantity is zero.
    pub zero_quantity: u64,
    /// Rows left out: a positive quantity in a credit.
    pub positive_credit: u64,
    /// Rows left out: the price is zero.
    pub zero_price: u64,
    /// Rows that cannot be understood, or came too late, and all rows that share their reference.
    pub refused_rows: u64,
    /// Orders made.
    pub orders: u64,
    /// Credits made.
    pub credits: u64,
    /// References that were left with no rows.
    pub empty: u64,
    /// References refused here.
    pub refused: u64,
}

impl Report {
    /// Counts a row that is left out.
    pub(super) fn left_out(&mut self, rule: Rule) {
        let counter = match rule {
            Rule::SkippedSku => &mut self.skipped_sku,
            Rule::NegativePrice => &mut self.negative_price,
            Rule::WrittenOff => &mut self.written_off,
            Rule::ZeroQuantity => &mut self.zero_quantity,
            Rule::PositiveCredit => &mut self.positive_credit,
            Rule::ZeroPrice => &mut self.zero_price,
        };
        *counter += 1;
    }

    /// Rows that the counters below account for: always all of them.
    pub fn accounted(&self) -> u64 {
        self.order_rows
            + self.credit_rows
            + self.merged_rows
            + self.skipped_sku
            + self.negative_price
            + self.written_off
            + self.zero_quantity
            + self.positive_credit
            + self.zero_price
            + self.refused_rows
    }

    /// The report as a table; rules under which nothing fell are left out.
    pub fn table(&self) -> String {
        let all = [
            ("rows read", self.rows),
            ("  kept as a line of an order", self.order_rows),
            ("  kept as a line of a credit", self.credit_rows),
            ("  merged with the same SKU and price", self.merged_rows),
            ("  left out: not goods (--skip-skus)", self.skipped_sku),
            ("  left out: negative price", self.negative_price),
            ("  left out: negative quantity outside a credit", self.written_off),
            ("  left out: quantity zero", self.zero_quantity),
            ("  left out: positive quantity in a credit", self.positive_credit),
            ("  left out: price zero (--zero-price skip)", self.zero_price),
            ("  refused with their reference", self.refused_rows),
            ("free goods among the kept rows (price zero)", self.free_rows),
            ("references", self.orders + self.credits + self.empty + self.refused),
            ("  orders", self.orders),
            ("  credits", self.credits),
            ("  skipped: no rows left", self.empty),
            ("  refused", self.refused),
        ];
        let shown = all.iter().filter(|(name, count)| *count > 0 || !name.starts_with(' '));
        columns(&["what", "count"], shown.map(|(name, count)| vec![(*name).to_owned(), grouped(*count)]))
    }
}

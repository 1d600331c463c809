//! Stock to go with imported orders: how much of each item the file orders, times a factor.

use std::str::FromStr;

use csv::ByteRecord;
use ordermill_station::limits;
use rustc_hash::FxHashMap;

use super::rows::{Outcome, Rows};
use super::{Options, mapping, reader};
use crate::import::InputError;
use crate::import::input::Source;

/// A decimal number, kept exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    numerator: u64,
    denominator: u64,
}

/// How many decimals a factor may have.
const FACTOR_DECIMALS: usize = 6;

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a number such as 0.9, with at most {FACTOR_DECIMALS} decimals");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > FACTOR_DECIMALS || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(wrong());
        }
        let numerator: u64 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
        Ok(Self { numerator, denominator: 10u64.pow(fraction.len() as u32) })
    }
}

impl Factor {
    /// `count` times the factor, rounded up.
    pub fn of(self, count: u64) -> u64 {
        let product = u128::from(count) * u128::from(self.numerator);
        u64::try_from(product.div_ceil(u128::from(self.denominator))).unwrap_or(u64::MAX).min(limits::ON_HAND_MAX)
    }
}

/// Units of each SKU that the orders in `source` want, by the same rules as an import; sorted by SKU.
pub fn demand(source: Source, options: &Options) -> Result<Vec<(String, u64)>, InputError> {
    let mut reader = reader(source, options);
    let columns = mapping::Columns::find(&options.mapping, reader.byte_headers()?, mapping::FOR_STOCK)?;
    let rows = Rows::new(options, columns);
    let mut units_by_sku: FxHashMap<String, u64> = FxHashMap::default();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let row = rows.read(record.position().map_or(0, csv::Position::line), &record);
        if row.credit {
            continue;
        }
        if let Outcome::Kept(units) = row.outcome {
            match units_by_sku.get_mut(units.sku) {
                Some(sum) => *sum += units.quantity,
                None => _ = units_by_sku.insert(units.sku.to_owned(), units.quantity),
            }
        }
    }
    let mut demand: Vec<_> = units_by_sku.into_iter().collect();
    demand.sort_unstable();
    Ok(demand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_exact_and_round_up() {
        let factor: Factor = "0.9".parse().unwrap();
        assert_eq!([factor.of(0), factor.of(1), factor.of(10), factor.of(11)], [0, 1, 9, 10]);
        assert_eq!("1".parse::<Factor>().unwrap().of(7), 7);
        assert_eq!("1.1".parse::<Factor>().unwrap().of(10), 11);
        for text in ["", ".", "-1", "a", "0.1234567", "1.2.3"] {
            assert!(text.parse::<Factor>().is_err(), "{text}");
        }
    }
}

//! Amounts as people write them, to and from integer minor units. Never a float.

use ordermill_api::Money;
use ordermill_station::limits;

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not digits, with at most one point.
    #[error("is not a number")]
    NotANumber,
    /// More decimals than the currency has.
    #[error("has more decimals than the currency")]
    TooFine,
    /// More than can be counted exactly everywhere.
    #[error("is too large")]
    TooLarge,
    /// Below zero.
    #[error("is negative")]
    Negative,
}

/// Decimals of a currency (ISO 4217).
pub fn exponent(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// Whether `text` looks like an ISO 4217 code: three capital letters.
pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// `text`, such as `2.55`, in minor units of a currency with `exponent` decimals, exactly.
pub fn parse_decimal(text: &str, exponent: u32) -> Result<u64, Error> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(Error::NotANumber);
    }
    if fraction.contains('.') {
        return Err(Error::NotANumber);
    }
    if negative && digits.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Err(Error::Negative);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > exponent as usize {
        return Err(Error::TooFine);
    }
    let padding = exponent as usize - fraction.len();
    let mut amount = 0u64;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding)) {
        amount = amount
            .checked_mul(10)
            .and_then(|amount| amount.checked_add(u64::from(digit - b'0')))
            .ok_or(Error::TooLarge)?;
    }
    if amount > limits::AMOUNT_MAX { Err(Error::TooLarge) } else { Ok(amount) }
}

/// `text`, such as `255GBP` (minor units) or `2.55GBP` (the same), as an amount.
pub fn parse(text: &str) -> Result<Money, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, currency) = text.split_at(split);
    if !is_currency(currency) {
        return Err(format!("{text:?} is no amount: write minor units and a currency, such as 255GBP"));
    }
    let exponent = if number.contains('.') { exponent(currency) } else { 0 };
    let amount = parse_decimal(number, exponent).map_err(|error| format!("{number:?} {error}"))?;
    Ok(Money { amount, currency: currency.to_owned() })
}

/// `money` as people read it: `2.55 GBP`.
pub fn display(money: &Money) -> String {
    format!("{} {}", display_amount(money.amount, &money.currency), money.currency)
}

/// Minor units as people read them, without the currency.
pub fn display_amount(amount: u64, currency: &str) -> String {
    let exponent = exponent(currency);
    if exponent == 0 {
        return amount.to_string();
    }
    let unit = 10u64.pow(exponent);
    format!("{}.{:0width$}", amount / unit, amount % unit, width = exponent as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_minor_units_exactly() {
        assert_eq!(parse_decimal("2.55", 2), Ok(255));
        assert_eq!(parse_decimal("2.5", 2), Ok(250));
        assert_eq!(parse_decimal("2", 2), Ok(200));
        assert_eq!(parse_decimal(".5", 2), Ok(50));
        assert_eq!(parse_decimal("2.5500", 2), Ok(255));
        assert_eq!(parse_decimal("-0.0", 2), Ok(0));
        assert_eq!(parse_decimal("1.234", 3), Ok(1234));
        assert_eq!(parse_decimal("500", 0), Ok(500));
        assert_eq!(parse_decimal("0.001", 2), Err(Error::TooFine));
        assert_eq!(parse_decimal("-11062.06", 2), Err(Error::Negative));
        assert_eq!(parse_decimal("90071992547409.92", 2), Err(Error::TooLarge));
        assert_eq!(parse_decimal("99999999999999999999999", 2), Err(Error::TooLarge));
        for text in ["", ".", "-", "1.2.3", "1,5", "1e3", "£2", "--1"] {
            assert_eq!(parse_decimal(text, 2), Err(Error::NotANumber), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_and_shown() {
        assert_eq!(parse("255GBP"), Ok(Money { amount: 255, currency: "GBP".into() }));
        assert_eq!(parse("2.55 GBP"), parse("255GBP"));
        assert_eq!(parse("2.55GBP"), parse("255GBP"));
        assert!(parse("255").is_err_and(|text| text.contains("255GBP")));
        assert!(parse("255gbp").is_err());
        assert!(parse("2.555GBP").is_err_and(|text| text.contains("decimals")));
        assert_eq!(display(&Money { amount: 205, currency: "GBP".into() }), "2.05 GBP");
        assert_eq!(display(&Money { amount: 205, currency: "JPY".into() }), "205 JPY");
    }
}

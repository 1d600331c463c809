//! Paths and percent-encoding, read strictly.

use std::borrow::Cow;

use axum::http::Uri;
use ordermill_order::OrderId;

use crate::problem::Failure;

/// Decodes `%XX` (and `+` as a space where `plus` says so). Says what is wrong.
pub(crate) fn decode(text: &str, plus: bool) -> Result<Cow<'_, str>, &'static str> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or("has a % without two hexadecimal digits")?;
                (high * 16 + low) as u8
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| "is not UTF-8")
}

/// The third segment of a path, decoded: the `{id}` or `{sku}` of `/v1/…/{…}/…`.
fn third<'u>(uri: &'u Uri, name: &str) -> Result<Cow<'u, str>, Failure> {
    let segment = uri.path().split('/').nth(3).unwrap_or_default();
    decode(segment, false).map_err(|reason| Failure::invalid(name, reason))
}

/// The fourth segment of a path, decoded: the `{member}` or `{shard}` of `/v1/cluster/…/{…}/…`.
pub(crate) fn fourth<'u>(uri: &'u Uri, name: &str) -> Result<Cow<'u, str>, Failure> {
    let segment = uri.path().split('/').nth(4).unwrap_or_default();
    decode(segment, false).map_err(|reason| Failure::invalid(name, reason))
}

/// The order that a path names. What is no id names no order.
pub(crate) fn order_id(uri: &Uri) -> Result<OrderId, Failure> {
    let text = third(uri, "id")?;
    text.parse().map_err(|()| Failure::not_found("there is no such order"))
}

/// The SKU that a path names.
pub(crate) fn sku(uri: &Uri) -> Result<Box<str>, Failure> {
    crate::convert::sku(&third(uri, "sku")?)
}

/// Refuses a path that is not well encoded, wherever it may lead.
pub(crate) fn check(uri: &Uri) -> Result<(), Failure> {
    decode(uri.path(), false).map(drop).map_err(|reason| Failure::invalid("path", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding() {
        assert_eq!(decode("a+b", false).as_deref(), Ok("a+b"));
        assert_eq!(decode("a+b", true).as_deref(), Ok("a b"));
        assert_eq!(decode("%C3%A9%2f", false).as_deref(), Ok("é/"));
        for wrong in ["%", "%4", "%zz", "%C3", "%C3%28", "%+1"] {
            assert!(decode(wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_in_paths() {
        let sku = |path: &str| sku(&path.parse().unwrap()).ok();
        assert_eq!(sku("/v1/items/A%2FB/adjustments").as_deref(), Some("A/B"));
        assert_eq!(sku("/v1/items/%20A"), None);
        assert_eq!(sku("/v1/items/%00"), None);
        assert!(order_id(&"/v1/orders/nonsense".parse().unwrap()).is_err());
    }
}

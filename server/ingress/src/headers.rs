//! The headers that mean something: Idempotency-Key, Prefer, If-Match, If-None-Match.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};

use crate::convert::identifier_fault;
use crate::problem::Failure;

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::invalid(name.as_str(), "is given more than once"));
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Failure::invalid(name.as_str(), "is not UTF-8")),
    }
}

/// The idempotency key, as it was sent.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    const NAME: HeaderName = HeaderName::from_static("idempotency-key");
    let key = text(headers, &NAME)?;
    match key.and_then(identifier_fault) {
        Some(reason) => Err(Failure::invalid("Idempotency-Key", reason)),
        None => Ok(key),
    }
}

/// What the client prefers (RFC 7240); preferences that are not understood are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    respond_async: bool,
    wait_seconds: Option<u64>,
}

impl Prefer {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        const NAME: HeaderName = HeaderName::from_static("prefer");
        let mut prefer = Self::default();
        for value in headers.get_all(&NAME) {
            let text = value.to_str().unwrap_or_default();
            for preference in text.split(',') {
                let preference = preference.split(';').next().unwrap_or_default().trim();
                if preference.eq_ignore_ascii_case("respond-async") {
                    prefer.respond_async = true;
                } else if let Some((name, seconds)) = preference.split_once('=')
                    && name.trim().eq_ignore_ascii_case("wait")
                {
                    prefer.wait_seconds = seconds.trim().trim_matches('"').parse().ok().or(prefer.wait_seconds);
                }
            }
        }
        prefer
    }

    /// How long to wait for a decision, at most `max`.
    pub(crate) fn wait(self, max: Duration) -> Duration {
        match (self.wait_seconds, self.respond_async) {
            (Some(seconds), _) => max.min(Duration::from_secs(seconds)),
            (None, true) => Duration::ZERO,
            (None, false) => max,
        }
    }

    /// What was taken into account, as Preference-Applied.
    pub(crate) fn applied(self) -> Option<&'static str> {
        match (self.wait_seconds.is_some(), self.respond_async) {
            (true, true) => Some("respond-async, wait"),
            (true, false) => Some("wait"),
            (false, true) => Some("respond-async"),
            (false, false) => None,
        }
    }
}

/// A tag that names one version, as in `"3"`. A tag that was not made here names none that exists.
fn version(tag: &str, name: &str) -> Result<u64, Failure> {
    let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let inside = quoted.filter(|inside| !inside.is_empty() && !inside.contains(['"', ',']));
    match inside {
        Some(inside) => Ok(inside.parse().unwrap_or(u64::MAX)),
        None => Err(Failure::invalid(name, "is not one version in quotes, such as \"3\"")),
    }
}

/// The version that a step on an order insists on.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    match text(headers, &header::IF_MATCH)?.map(str::trim) {
        None | Some("*") => Ok(None),
        Some(tag) => version(tag, "If-Match").map(Some),
    }
}

/// The version that setting an item insists on; 0: that it does not exist.
pub(crate) fn item_condition(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let if_none_match = text(headers, &header::IF_NONE_MATCH)?.map(str::trim);
    let if_match = text(headers, &header::IF_MATCH)?.map(str::trim);
    match (if_match, if_none_match) {
        (None, None) => Ok(None),
        (None, Some("*")) => Ok(Some(0)),
        (None, Some(_)) => Err(Failure::invalid("If-None-Match", "can only be * here")),
        (Some("*"), None) => Err(Failure::invalid("If-Match", "must name a version here, such as \"3\"")),
        // 0 would mean that the item must not exist, and no item ever has it.
        (Some(tag), None) => {
            version(tag, "If-Match").map(|version| Some(if version == 0 { u64::MAX } else { version }))
        }
        (Some(_), Some(_)) => Err(Failure::invalid("If-None-Match", "cannot stand beside If-Match")),
    }
}

/// Whether the client has `current` already.
pub(crate) fn none_match(headers: &HeaderMap, current: u64) -> bool {
    let matches = |tag: &str| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(&*current.to_string())
    };
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| value.to_str().unwrap_or_default().split(',').any(matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn preferences() {
        let max = Duration::from_secs(30);
        let wait = |value: &str| Prefer::of(&with("prefer", value)).wait(max).as_secs();
        assert_eq!(Prefer::default().wait(max), max);
        assert_eq!(wait("respond-async"), 0);
        assert_eq!(wait("Respond-Async; x=1, wait=10"), 10);
        assert_eq!(wait("wait=\"7\""), 7);
        assert_eq!(wait("wait=100000"), 30);
        assert_eq!(wait("wait=soon, handling=lenient"), 30);
    }

    #[test]
    fn versions() {
        let condition = |value: &str| if_match(&with("if-match", value)).ok();
        assert_eq!(condition("\"3\""), Some(Some(3)));
        assert_eq!(condition("*"), Some(None));
        assert_eq!(condition("\"abc\""), Some(Some(u64::MAX)));
        for wrong in ["3", "\"1\", \"2\"", "W/\"3\"", "\"\"", "\""] {
            assert_eq!(condition(wrong), None, "{wrong}");
        }
        assert_eq!(item_condition(&with("if-none-match", "*")).unwrap(), Some(0));
        assert_eq!(item_condition(&with("if-match", "\"0\"")).unwrap(), Some(u64::MAX));
        assert!(item_condition(&with("if-match", "*")).is_err());
        assert!(none_match(&with("if-none-match", "\"2\", W/\"3\""), 3));
        assert!(!none_match(&with("if-none-match", "\"2\""), 3));
    }

    #[test]
    fn keys() {
        let headers = with("idempotency-key", "a key");
        assert_eq!(idempotency_key(&headers).unwrap(), Some("a key"));
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert!(idempotency_key(&with("idempotency-key", "")).is_err());
        assert!(idempotency_key(&with("idempotency-key", &"k".repeat(129))).is_err());
        let mut twice = with("idempotency-key", "a");
        twice.append("idempotency-key", "b".parse().unwrap());
        assert!(idempotency_key(&twice).is_err());
    }
}

//! Bodies: read within bounds of size and time, parsed, and explained when they do not fit.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use ordermill_api::ProblemKind;
use serde::Deserialize;
use tokio::time::timeout;

use crate::app::App;
use crate::problem::Failure;

/// Reads a JSON body; empty when there is none.
pub(crate) async fn read(app: &App, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Failure> {
    check_type(headers, |kind| kind == "application/json")?;
    let bytes_max = app.config.body_bytes;
    if declared_length(headers).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        let frame = match timeout(app.config.body_idle, body.frame()).await {
            Err(_) => return Err(Failure::new(ProblemKind::RequestTimeout, "the body did not arrive in time")),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(broken(&error)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The body broke off or was not well formed.
pub(crate) fn broken(error: &axum::Error) -> Failure {
    Failure::new(ProblemKind::InvalidRequest, format!("the body could not be read: {error}"))
}

fn too_large(bytes_max: usize) -> Failure {
    Failure::new(ProblemKind::TooLarge, format!("the body may have {bytes_max} bytes"))
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a body that says it is something else than JSON or what `accepts` takes.
pub(crate) fn check_type(headers: &HeaderMap, accepts: impl Fn(&str) -> bool) -> Result<(), Failure> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let detail = "a compressed body is not understood: send it as it is";
        return Err(Failure::new(ProblemKind::UnsupportedMediaType, detail));
    }
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    if given == "application/json" {
        return Ok(());
    }
    let text = String::from_utf8_lossy(given.as_bytes());
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if accepts(&kind) || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("the content type is {text:?}: send application/json (with curl: --json)");
    Err(Failure::new(ProblemKind::UnsupportedMediaType, detail))
}

/// Parses a body.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|_| explain::<T>(bytes))
}

/// Parses a body that may be left out.
pub(crate) fn parse_or_empty<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failure> {
    parse(if bytes.trim_ascii().is_empty() { b"{}" } else { bytes })
}

/// Parses once more what did not fit, slowly, to name the field.
#[cold]
fn explain<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Failure {
    if bytes.trim_ascii().is_empty() {
        return Failure::invalid("body", "is missing: a JSON object is needed");
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return Failure::invalid("body", "has something after its end");
    };
    let path = error.path().to_string();
    // A question mark stands for what is behind the last field that could be named.
    let path = path.trim_end_matches('?').trim_end_matches('.');
    let reason = error.into_inner().to_string();
    let mut field = path.to_owned();
    // A field that is missing, unknown or there twice is named by the reason, not by the path.
    let named = ["missing field `", "unknown field `", "duplicate field `"].map(|before| named(&reason, before));
    if let Some(name) = named.into_iter().flatten().next()
        && field != name
        && !field.ends_with(&format!(".{name}"))
    {
        let dot = if field.is_empty() { "" } else { "." };
        field = format!("{field}{dot}{name}");
    }
    Failure::invalid(if field.is_empty() { "body".to_owned() } else { field }, reason)
}

fn named<'r>(reason: &'r str, before: &str) -> Option<&'r str> {
    reason.strip_prefix(before)?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn why(body: &str) -> (String, String) {
        let failure = parse::<wire::Order<'_>>(body.as_bytes()).expect_err(body);
        assert_eq!(failure.kind(), ProblemKind::InvalidRequest);
        let error = &failure.problem().errors[0];
        (error.field.clone(), error.reason.clone())
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        let line = |fields: &str| format!(r#"{{"lines":[{{"sku":"A","quantity":1}},{{{fields}}}]}}"#);
        for (fields, field) in [
            (r#""sku":"A","quantity":1.0"#, "lines[1].quantity"),
            (r#""sku":"A","quantity":1e3"#, "lines[1].quantity"),
            (r#""sku":"A","quantity":-1"#, "lines[1].quantity"),
            (r#""sku":"A","quantity":"1""#, "lines[1].quantity"),
            (r#""sku":"A","quantity":null"#, "lines[1].quantity"),
            (r#""sku":"A","quantity":18446744073709551616"#, "lines[1].quantity"),
            (r#""sku":7,"quantity":1"#, "lines[1].sku"),
            (r#""sku":"A""#, "lines[1].quantity"),
            (r#""sku":"A","quantity":1,"price":2"#, "lines[1].price"),
            (r#""sku":"A","quantity":1,"quantity":2"#, "lines[1].quantity"),
            (r#""sku":"A","quantity":1,"unit_price":{"amount":1.5,"currency":"GBP"}"#, "lines[1].unit_price.amount"),
            (r#""sku":"A","quantity":1,"unit_price":[1,"GBP"]"#, "lines[1].unit_price"),
        ] {
            assert_eq!(why(&line(fields)).0, field, "{fields}: {:?}", why(&line(fields)));
        }
        assert_eq!(why(r#"{"lines":[["A",1]]}"#).0, "lines[0]");
        assert_eq!(why(r#"["c-17",null,[]]"#).0, "body");
        assert_eq!(why(r#"{"custmer":"c-17","lines":[]}"#).0, "custmer");
        assert_eq!(why("{}").0, "lines");
        assert_eq!(why("").0, "body");
        assert_eq!(why("{\"lines\":[]} x").0, "body");
        assert_eq!(why(r#"{"lines":NaN}"#).0, "lines");
    }

    #[test]
    fn what_is_too_deep_or_no_text_is_refused() {
        let deep = format!("{{\"lines\":{}", "[".repeat(100_000));
        why(&deep);
        let mut bytes = br#"{"customer":"__","lines":[]}"#.to_vec();
        bytes[13..15].copy_from_slice(&[0xC3, 0x28]);
        assert!(parse::<wire::Order<'_>>(&bytes).is_err());
        assert_eq!(why(r#"{"customer":"\ud800","lines":[]}"#).0, "customer");
    }
}

//! Lengths of time as people write them.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A length of time as people write it: `90s`, `15m`, `24h`, `7d`, or several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no length of time, such as 90s, 15m, 24h, 7d or 1h30m");
        let mut rest = text.trim();
        let mut millis = 0u64;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            rest = rest[letters..].trim_start();
            millis = number.checked_mul(unit).and_then(|part| part.checked_add(millis)).ok_or_else(wrong)?;
        }
        if text.trim().is_empty() { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs());
        assert_eq!((seconds("24h"), seconds("90s"), seconds("7d")), (Ok(86_400), Ok(90), Ok(604_800)));
        assert_eq!((seconds("1h30m"), seconds("1h 30min"), seconds("1500ms")), (Ok(5_400), Ok(5_400), Ok(1)));
        for wrong in ["", "24", "h", "1y", "-1h", "1.5h", "99999999999999999999h", "9999999999999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}

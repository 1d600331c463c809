//! Lists of texts in which `*` stands for anything, such as SKUs or event types.

use std::str::FromStr;

use serde::Serialize;

/// Texts, in which `*` stands for anything: `POST,gift_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct List(Vec<String>);

impl FromStr for List {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()))
    }
}

impl List {
    /// Whether `text` is as one of them says.
    pub fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), text.as_bytes()))
    }
}

/// Whether `text` is as `pattern` says, in which `*` stands for anything.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return pattern == text };
    let (head, tail) = (&pattern[..star], &pattern[star + 1..]);
    text.strip_prefix(head).is_some_and(|rest| (0..=rest.len()).any(|start| matches(tail, &rest[start..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let list: List = "POST, BANK CHARGES,gift_*,*X*Y".parse().unwrap();
        for sku in ["POST", "BANK CHARGES", "gift_0001_20", "gift_", "aXbY", "XY"] {
            assert!(list.contains(sku), "{sku}");
        }
        for sku in ["post", "POSTER", "BANK", "agift_", "XYz", ""] {
            assert!(!list.contains(sku), "{sku}");
        }
    }
}

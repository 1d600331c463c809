//! Many items set at once, several requests at a time.

use std::io::BufRead;

use futures::StreamExt;
use ordermill_api::PutItem;

use crate::client::{Client, Error};
use crate::output::grouped;
use crate::progress::{Meter, Rate};

/// How many requests are under way at once.
const IN_FLIGHT: usize = 16;

/// An item to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub sku: String,
    /// How.
    pub item: PutItem,
}

/// An item that was refused, and why.
#[derive(Debug)]
pub struct Refused {
    /// Which.
    pub sku: String,
    /// Why.
    pub error: Error,
}

/// Reads items from CSV: `sku,on_hand[,backorder]`, with or without a head of these names.
pub fn read(text: impl BufRead) -> Result<Vec<Wanted>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text);
    let mut wanted = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        if index == 0 && record.get(0).is_some_and(|name| name.eq_ignore_ascii_case("sku")) {
            continue;
        }
        let row = record.position().map_or(0, csv::Position::line);
        wanted.push(wanted_from(&record).map_err(|reason| format!("row {row}: {reason}"))?);
    }
    Ok(wanted)
}

fn wanted_from(record: &csv::StringRecord) -> Result<Wanted, String> {
    let sku = record.get(0).filter(|sku| !sku.is_empty()).ok_or("the sku is empty")?;
    let count = record.get(1).ok_or("there is no on_hand")?;
    let on_hand = count.parse().map_err(|_| format!("on_hand {count:?} is not a whole number"))?;
    let backorder = match record.get(2).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "false" | "no" | "0" => false,
        "true" | "yes" | "1" => true,
        other => return Err(format!("backorder {other:?} is neither true nor false")),
    };
    Ok(Wanted { sku: sku.to_owned(), item: PutItem { on_hand, backorder } })
}

/// Sets all of `wanted`. Items that the server refuses are returned; anything else that goes wrong
/// ends it.
pub async fn set(client: &Client, wanted: Vec<Wanted>, meter: &mut Meter) -> Result<Vec<Refused>, Error> {
    let requests = futures::stream::iter(wanted).map(|wanted| async move {
        let result = client.put_item(&wanted.sku, &wanted.item).await;
        (wanted.sku, result)
    });
    let mut results = requests.buffer_unordered(IN_FLIGHT);
    let (mut done, mut refused, mut rate) = (0, Vec::new(), Rate::from(0));
    while let Some((sku, result)) = results.next().await {
        match result {
            Ok(_) => {}
            Err(error) if is_about_the_item(&error) => refused.push(Refused { sku, error }),
            Err(error) => return Err(error),
        }
        done += 1;
        let per_second = rate.at(done);
        meter.set(done, || format!("{} items, {}/s", grouped(done), grouped(per_second as u64)));
    }
    meter.finish();
    Ok(refused)
}

fn is_about_the_item(error: &Error) -> bool {
    match error {
        Error::Problem { problem, .. } => matches!(problem.status, 400 | 404 | 409 | 412 | 422),
        Error::Unnameable(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sku: &str, on_hand: u64, backorder: bool) -> Wanted {
        Wanted { sku: sku.into(), item: PutItem { on_hand, backorder } }
    }

    #[test]
    fn items_are_read_with_or_without_a_head() {
        let expected = vec![put("85123A", 5, false), put("a,b", 0, true)];
        assert_eq!(read(&b"sku,on_hand,backorder\n85123A,5\n\"a,b\", 0 ,true\n"[..]), Ok(expected.clone()));
        assert_eq!(read(&b"85123A,5,no\n\"a,b\",0,1\n"[..]), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() {
        assert_eq!(read(&b"a,1\nb,many\n"[..]), Err("row 2: on_hand \"many\" is not a whole number".into()));
        assert!(read(&b"a\n"[..]).is_err());
        assert!(read(&b",1\n"[..]).is_err());
        assert!(read(&b"a,1,perhaps\n"[..]).is_err());
    }
}

//! What one connection sends next, and what it learns from the answer.
//!
//! Knows the words of the API and of Restate's ingress; knows nothing of time.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use memchr::memmem;

use crate::client::Connection;
use crate::shape::{self, Orders};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Orders only.
    Orders(Orders),
    /// 55 % new orders, 30 % reads, 10 % shipments, 5 % cancellations, each of an order of the same connection.
    Mixed,
}

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Ordermill's, which the thin server over Postgres speaks too.
    Orders,
    /// Those of Restate's ingress: a handler of the customer's virtual object.
    Restate,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A new order that holds all it wants.
    Confirmed,
    /// A new order that does not.
    Placed,
    /// A new order that names what nobody has.
    Refused,
    /// Something else, done.
    Done,
}

/// What is asked of one of the connection's own orders.
#[derive(Clone, Copy, Debug)]
enum Ask {
    New,
    Read,
    Ship,
    Cancel,
}

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Requests {
    workload: Workload,
    wire: Wire,
    /// Orders of this connection that nothing has been done to yet.
    open: Vec<String>,
    path: String,
    headers: String,
    body: String,
}

impl Requests {
    /// None yet.
    pub(crate) fn new(workload: Workload, wire: Wire) -> Self {
        Self { workload, wire, open: Vec::new(), path: String::new(), headers: String::new(), body: String::new() }
    }

    /// Sends request `number` and takes its answer in.
    pub(crate) async fn send(&mut self, connection: &mut Connection, number: u64) -> Result<Answer> {
        let ask = self.ask(number);
        let (orders, method) = match (self.workload, ask) {
            (Workload::Orders(orders), _) => (orders, "POST"),
            (Workload::Mixed, Ask::Read) => (Orders::Spread, "GET"),
            (Workload::Mixed, _) => (Orders::Spread, "POST"),
        };
        self.write(ask, number, orders)?;
        let (status, answer) = connection.call(method, &self.path, &self.headers, &self.body).await?;
        if status == 422 && orders == Orders::Varied {
            return Ok(Answer::Refused);
        }
        if !matches!(status, 200 | 201) {
            bail!("{method} {} was answered {status}: {}", self.path, String::from_utf8_lossy(answer));
        }
        if !matches!(ask, Ask::New) {
            return Ok(Answer::Done);
        }
        if self.workload == Workload::Mixed {
            self.open.push(id(answer)?.to_owned());
        }
        let confirmed = memmem::find(answer, br#""status":"confirmed""#).is_some();
        Ok(if confirmed { Answer::Confirmed } else { Answer::Placed })
    }

    fn ask(&self, number: u64) -> Ask {
        if self.workload != Workload::Mixed || self.open.is_empty() {
            return Ask::New;
        }
        match shape::scattered(number ^ (1 << 61)) % 100 {
            0..55 => Ask::New,
            55..85 => Ask::Read,
            85..95 => Ask::Ship,
            _ => Ask::Cancel,
        }
    }

    fn write(&mut self, ask: Ask, number: u64, orders: Orders) -> Result<()> {
        let Self { path, headers, body, open, wire, .. } = self;
        path.clear();
        headers.clear();
        body.clear();
        let at = shape::scattered(number ^ (1 << 60)) as usize;
        match ask {
            Ask::New => {
                match wire {
                    Wire::Orders => path.push_str("/v1/orders"),
                    Wire::Restate => write!(path, "/Customer/c-{}/place", shape::customer(number, orders))?,
                }
                shape::order(body, number, orders, false);
            }
            Ask::Read => write!(path, "/v1/orders/{}", open[at % open.len()])?,
            // Each once: what has left cannot be cancelled, and the other way about.
            Ask::Ship => write!(path, "/v1/orders/{}/fulfillments", open.swap_remove(at % open.len()))?,
            Ask::Cancel => write!(path, "/v1/orders/{}/cancel", open.swap_remove(at % open.len()))?,
        }
        if !matches!(ask, Ask::Read) {
            write!(headers, "idempotency-key: k-{number}\r\n")?;
        }
        Ok(())
    }
}

/// The id of the order in an answer.
fn id(answer: &[u8]) -> Result<&str> {
    let mark: &[u8] = br#""id":""#;
    let at = memmem::find(answer, mark).context("the answer has no id")? + mark.len();
    let length = memchr::memchr(b'"', &answer[at..]).context("the id does not end")?;
    Ok(std::str::from_utf8(&answer[at..at + length])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_begins_with_an_order_and_asks_for_each_one_at_most_one_step() {
        let mut requests = Requests::new(Workload::Mixed, Wire::Orders);
        assert!(matches!(requests.ask(1), Ask::New), "there is nothing to ask about yet");
        let (mut counts, mut stepped) = ([0_u32; 4], Vec::new());
        for number in 0..10_000 {
            let ask = requests.ask(number);
            requests.write(ask, number, Orders::Spread).expect("a text takes everything");
            match ask {
                Ask::New => requests.open.push(format!("o{number}")),
                Ask::Read => {}
                Ask::Ship | Ask::Cancel => stepped.push(requests.path.split('/').nth(3).map(str::to_owned)),
            }
            counts[ask as usize] += 1;
        }
        assert!((5_300..5_700).contains(&counts[0]) && (2_800..3_200).contains(&counts[1]), "{counts:?}");
        assert!((850..1_150).contains(&counts[2]) && (400..600).contains(&counts[3]), "{counts:?}");
        let all = stepped.len();
        stepped.sort();
        stepped.dedup();
        assert_eq!(stepped.len(), all);
    }

    #[test]
    fn the_id_of_an_answer() {
        assert_eq!(id(br#"{"id":"01ABC","status":"confirmed"}"#).expect("an id"), "01ABC");
        assert!(id(b"{}").is_err());
    }
}

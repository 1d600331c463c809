//! No customer may have two orders with the same reference.
//!
//! Millions of references are kept as 64-bit hashes. What looks like a repetition is looked up
//! before it is called one, so two hashes that happen to be equal accuse nobody.

use ordermill_api::Order;
use rustc_hash::FxHashSet;
use twox_hash::XxHash3_64;

use super::{Findings, Subject};
use crate::client::{Client, Error, OrderFilter};

/// How many repetitions are looked up; more are taken as they look.
const LOOKED_UP: usize = 100;

/// The references seen on a walk.
#[derive(Debug, Default)]
pub(super) struct References {
    customers: FxHashSet<u64>,
    guests: FxHashSet<u64>,
    repeated: Vec<Repeated>,
    guests_repeated: u64,
}

#[derive(Debug)]
struct Repeated {
    id: String,
    customer: String,
    reference: String,
}

impl References {
    /// Enters an order.
    pub(super) fn order(&mut self, order: &Order) {
        let Some(reference) = &order.reference else { return };
        let Some(customer) = &order.customer else {
            self.guests_repeated += u64::from(!self.guests.insert(XxHash3_64::oneshot(reference.as_bytes())));
            return;
        };
        let seed = XxHash3_64::oneshot(customer.as_bytes());
        if !self.customers.insert(XxHash3_64::oneshot_with_seed(seed, reference.as_bytes())) {
            self.repeated.push(Repeated {
                id: order.id.clone().unwrap_or_default(),
                customer: customer.clone(),
                reference: reference.clone(),
            });
        }
    }

    /// How many references of customers there are.
    pub(super) fn customers(&self) -> u64 {
        self.customers.len() as u64
    }

    /// How many orders of guests carry a reference that another has too.
    pub(super) fn guests_repeated(&self) -> u64 {
        self.guests_repeated
    }

    /// Looks up what seems to be repeated, and reports what is.
    pub(super) async fn confirm(&self, client: &Client, findings: &mut Findings) -> Result<(), Error> {
        for (index, repeated) in self.repeated.iter().enumerate() {
            if index >= LOOKED_UP || count(client, repeated).await? > 1 {
                let found = format!("customer {} has {} more than once", repeated.customer, repeated.reference);
                findings.add(|| Subject::Order(repeated.id.clone()), "a reference stands for one order", found);
            }
        }
        Ok(())
    }
}

async fn count(client: &Client, repeated: &Repeated) -> Result<usize, Error> {
    let filter =
        OrderFilter { customer: Some(repeated.customer.clone()), page_size: Some(1000), ..OrderFilter::default() };
    let (mut count, mut token) = (0, None::<String>);
    loop {
        let page = client.orders(&filter, token.as_deref()).await?;
        let same = |order: &&Order| order.reference.as_deref() == Some(repeated.reference.as_str());
        count += page.orders.iter().filter(same).count();
        token = page.next_page_token;
        if token.is_none() {
            return Ok(count);
        }
    }
}

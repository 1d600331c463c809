//! The one internal connection between two members of a cluster, and the wire form of what goes
//! over it.
//!
//! Carries requests, answers and mail; never decides where they go. Knows no rule about who owns
//! what, and nothing of orders but their wire form.

mod answer;
mod hello;
mod request;
mod wire;

pub use answer::{Answer, Failure};
pub use hello::Hello;
pub use request::Request;

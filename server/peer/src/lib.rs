//! The one internal connection between two members of a cluster, and the wire form of what goes
//! over it.
//!
//! Carries requests, answers and mail; never decides where they go. Knows no rule about who owns
//! what, and nothing of orders but their wire form. [`Peers`] is the side that asks, [`serve`] the
//! side that answers; below both is a [`Network`], above the latter a [`Service`].

mod answer;
mod config;
mod error;
mod frames;
mod greeting;
mod hello;
mod link;
mod measure;
mod network;
mod outbox;
mod peers;
mod request;
mod serve;
mod session;
mod tcp;
mod tls;
mod wire;

pub use answer::{Answer, Failure};
pub use config::Config;
pub use error::Error;
pub use hello::Hello;
pub use network::{Arriving, Listener, Network, Stream};
pub use peers::Peers;
pub use request::Request;
pub use serve::serve;
pub use session::Service;
pub use tcp::Tcp;
pub use tls::{SERVER_NAME, Tls};

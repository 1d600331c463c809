//! The nodes' network: the first node's bridge joins all of them, one link leads there from the machine.
//!
//! The addresses are those set apart for measuring networks (RFC 2544), which nothing else uses. No rule of the
//! machine's own firewall is touched, nor does anything forward packets for it.

use anyhow::{Result, bail};

use crate::command::words;
use crate::place::Place;

/// Addresses of pods; the third number is the node's.
pub(crate) const PODS: &str = "198.18.0.0/16";
/// Addresses of Services.
pub(crate) const SERVICES: &str = "198.19.0.0/17";
/// The first of them: the API server, for pods.
pub(crate) const API_SERVICE: &str = "198.19.0.1";
/// CoreDNS.
pub(crate) const DNS: &str = "198.19.0.10";
const NODES: &str = "198.19.128.0/24";
/// The link's two ends, and its name on the machine.
const LINK: [&str; 2] = ["198.19.255.1", "198.19.255.2"];
const LINK_NAME: &str = "ordermill0";

/// A node's address.
pub(crate) fn address(number: u8) -> String {
    format!("198.19.128.{number}")
}

/// The addresses of a node's pods.
pub(crate) fn pods(number: u8) -> String {
    format!("198.18.{number}.0/24")
}

/// The first node's network, and the way to it from the machine.
pub(crate) fn first(place: &Place) -> Result<()> {
    end();
    for range in [PODS, SERVICES, NODES] {
        let taken = words(&format!("ip route show to root {range}"))?;
        if !taken.trim().is_empty() {
            bail!("the cluster's addresses are in use on this machine: {}", taken.trim());
        }
    }
    let [here, there] = LINK;
    words(&format!("ip link add {LINK_NAME} type veth peer name machine netns {}", place.keeper()?))?;
    words(&format!("ip address add {here}/30 dev {LINK_NAME}"))?;
    words(&format!("ip link set {LINK_NAME} up"))?;
    basics(place)?;
    for command in [
        format!("ip address add {there}/30 dev machine"),
        "ip link set machine up".to_owned(),
        "ip link add nodes type bridge".to_owned(),
        format!("ip address add {}/24 dev nodes", address(1)),
        "ip link set nodes up".to_owned(),
    ] {
        place.run(&command)?;
    }
    for range in [PODS, SERVICES, NODES] {
        words(&format!("ip route add {range} via {there} dev {LINK_NAME}"))?;
    }
    Ok(())
}

/// Ends the way from the machine. The kernel does it, too, once nobody is left in the network, but in its own time.
pub(crate) fn end() {
    let _ = words(&format!("ip link delete {LINK_NAME}"));
}

/// A further node's network, and the ways between it and the first.
pub(crate) fn further(first: &Place, place: &Place, number: u8) -> Result<()> {
    let (link, own, gateway) = (format!("node-{number}"), address(number), address(1));
    // That of the node that was killed.
    let _ = first.run(&format!("ip link delete {link}"));
    words(&format!(
        "nsenter --net=/proc/{}/ns/net ip link add {link} type veth peer name eth0 netns {}",
        first.keeper()?,
        place.keeper()?
    ))?;
    first.run(&format!("ip link set {link} master nodes up"))?;
    basics(place)?;
    for command in [
        format!("ip address add {own}/24 dev eth0"),
        "ip link set eth0 up".to_owned(),
        // By way of the first node to the pods of all others.
        format!("ip route add default via {gateway}"),
    ] {
        place.run(&command)?;
    }
    first.run(&format!("ip route replace {} via {own}", pods(number))).map(drop)
}

fn basics(place: &Place) -> Result<()> {
    place.run("ip link set lo up")?;
    place.write("/proc/sys/net/ipv4/ip_forward", "1")
}

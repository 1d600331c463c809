//! Machines that are network namespaces: each with an address of its own on a private bridge, and links between
//! them that a test cuts and mends.
//!
//! Needs root. Everything is removed at the end, and what a run before has left because it was killed, at the
//! beginning. Knows nothing of what runs in them.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

/// What the names of all namespaces and links of these tests begin with; then come the process and a number.
const PREFIX: &str = "omt";
/// The number of the hub, and of the test itself, which has a link too: it talks to everybody.
const HUB: u8 = 250;
const TEST: u8 = 253;
/// A link-layer address that nobody has: what is sent there is lost, and nobody hears of it.
const NOWHERE: &str = "02:00:00:00:00:fe";

/// Machines on one private network.
#[derive(Debug)]
pub struct Network {
    machines: u8,
    /// Names the network: the third part of its addresses.
    subnet: u8,
}

impl Network {
    /// A network of so many machines, numbered from 0.
    ///
    /// # Panics
    ///
    /// When the system does not allow it: it takes root, and the kernel's bridges and pairs of links.
    pub fn new(machines: u8) -> Self {
        sweep();
        let network = Self { machines, subnet: rand::random_range(1..=250) };
        network.add_machine(HUB);
        let hub = network.name(HUB);
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &hub, "link", "set", "bridge", "up"]);
        for machine in 0..machines {
            network.add_machine(machine);
            let name = network.name(machine);
            network.connect(machine, &["name", "eth0", "netns", &name]);
            let address = format!("{}/24", network.address(machine));
            ip(&["-n", &name, "address", "add", &address, "dev", "eth0"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
        }
        let mine = format!("{PREFIX}{}", std::process::id());
        network.connect(TEST, &["name", &mine, "netns", &std::process::id().to_string()]);
        ip(&["address", "add", &format!("{}/24", network.address(TEST)), "dev", &mine]);
        ip(&["link", "set", &mine, "up"]);
        network
    }

    /// The namespace of a machine: what `ip netns exec` calls it.
    pub fn name(&self, machine: u8) -> String {
        format!("{PREFIX}{}-{machine}", std::process::id())
    }

    /// The address of a machine.
    pub fn address(&self, machine: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 77, self.subnet, machine.wrapping_add(1)))
    }

    /// The address of the test itself, which every machine reaches.
    pub fn own_address(&self) -> IpAddr {
        self.address(TEST)
    }

    fn add_machine(&self, machine: u8) {
        let name = self.name(machine);
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
    }

    /// A pair of links: one end at the hub, the other wherever `end` says.
    fn connect(&self, machine: u8, end: &[&str]) {
        let (hub, link) = (self.name(HUB), format!("to{machine}"));
        let mut pair = vec!["-n", &hub, "link", "add", &link, "type", "veth", "peer"];
        pair.extend(end);
        ip(&pair);
        ip(&["-n", &hub, "link", "set", &link, "master", "bridge", "up"]);
    }

    /// From now on nothing that `from` sends reaches `to`. The other way is as it was.
    pub fn cut_one_way(&self, from: u8, to: u8) {
        let (name, to) = (self.name(from), self.address(to).to_string());
        ip(&["-n", &name, "neighbour", "replace", &to, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"]);
    }

    /// From now on neither reaches the other.
    pub fn cut(&self, one: u8, other: u8) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// What `from` sends reaches `to` again.
    pub fn mend_one_way(&self, from: u8, to: u8) {
        let (name, to) = (self.name(from), self.address(to).to_string());
        ip(&["-n", &name, "neighbour", "delete", &to, "dev", "eth0"]);
    }

    /// Both reach each other again.
    pub fn mend(&self, one: u8, other: u8) {
        self.mend_one_way(one, other);
        self.mend_one_way(other, one);
    }

    /// Takes a machine off the network, as if its cable were pulled.
    pub fn unplug(&self, machine: u8) {
        ip(&["-n", &self.name(HUB), "link", "set", &format!("to{machine}"), "down"]);
    }

    /// Puts it back.
    pub fn plug(&self, machine: u8) {
        ip(&["-n", &self.name(HUB), "link", "set", &format!("to{machine}"), "up"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in (0..self.machines).chain([HUB]) {
            // The links go with their namespaces, the test's own with its other end.
            remove(&self.name(machine));
        }
    }
}

/// Removes what runs have left that were killed.
fn sweep() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.split_whitespace().next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !std::path::Path::new("/proc").join(pid).exists()) {
            remove(name);
        }
    }
}

/// Removes a namespace, and ends first what a test that was killed has left running in it.
fn remove(name: &str) {
    let running = Command::new("ip").args(["netns", "pids", name]).output().map(|output| output.stdout);
    for pid in String::from_utf8_lossy(&running.unwrap_or_default()).lines().filter_map(|line| line.parse().ok()) {
        // Gone by itself meanwhile, or not: the namespace is removed all the same.
        let _ = rustix::process::Pid::from_raw(pid)
            .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

fn ip(arguments: &[&str]) {
    let what = || format!("`ip {}`", arguments.join(" "));
    let help =
        "the tests of a cut network make namespaces: they need root, iproute2, and a kernel with bridges and veth";
    let output = Command::new("ip").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{} cannot be run: {error}; {help}", what()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed: {}; {help}", what(), said.trim());
}

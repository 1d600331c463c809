//! What the API server was asked, by whom: its own audit log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// One kind of request: a verb on a resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, with its subresource.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

/// Requests of the operator, in their order.
#[derive(Clone, Debug)]
pub struct Audit {
    requests: Vec<(Use, u64)>,
    /// Who made each of them.
    agents: Vec<String>,
}

impl Audit {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        // The last line may be half written yet.
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let operators = entries.filter(|entry| entry["user"]["username"] == "ordermill-operator");
        let agent = |entry: &Value| entry["userAgent"].as_str().unwrap_or_default().to_owned();
        let (requests, agents) = operators.filter_map(|entry| Some((request(&entry)?, agent(&entry)))).unzip();
        Self { requests, agents }
    }

    /// Every kind of request that was made.
    pub fn used(&self) -> BTreeSet<Use> {
        self.requests.iter().map(|(request, _)| request.clone()).collect()
    }

    /// Those that were forbidden.
    pub fn forbidden(&self) -> Vec<&Use> {
        self.requests.iter().filter(|(_, code)| *code == 403).map(|(request, _)| request).collect()
    }

    /// Writes but for the Lease's.
    pub fn writes(&self) -> Vec<&Use> {
        let reads = ["get", "list", "watch"];
        let write = |request: &&Use| !reads.contains(&request.verb.as_str()) && request.resource != "leases";
        self.requests.iter().map(|(request, _)| request).filter(write).collect()
    }

    /// How many changes the operator of that identity has asked for, but for the Lease's.
    pub fn writes_by(&self, identity: &str) -> usize {
        let own = self.requests.iter().zip(&self.agents).filter(|(_, agent)| agent.ends_with(&format!(" {identity}")));
        let reads = ["get", "list", "watch"];
        own.filter(|((used, _), _)| !reads.contains(&used.verb.as_str()) && used.resource != "leases").count()
    }

    /// Reads of StatefulSets: each reconciliation makes one.
    pub fn reconciliations(&self) -> usize {
        self.requests.iter().filter(|(request, _)| request.resource == "statefulsets" && request.verb == "list").count()
    }
}

fn request(entry: &Value) -> Option<(Use, u64)> {
    let object = entry.get("objectRef")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut resource = text(&object["resource"]);
    if let Some(part) = object["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    let request = Use { group: text(&object["apiGroup"]), resource, verb: text(&entry["verb"]) };
    Some((request, entry["responseStatus"]["code"].as_u64().unwrap_or_default()))
}

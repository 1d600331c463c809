//! What the operator shows members, and what it believes of them: from the Secrets that a cluster names.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::{Client, ResourceExt as _};

use crate::ask::Asker;
use crate::crd::{OrderCluster, OrderClusterSpec};

/// The tenant that may ask for the cluster itself.
const TENANT: &str = "default";
/// Who has signed the members' certificate; the certificate itself where nobody else has.
const AUTHORITY: [&str; 2] = ["ca.crt", "tls.crt"];

/// The Secret with API keys.
pub fn keys_secret(spec: &OrderClusterSpec) -> Option<&String> {
    spec.api.as_ref()?.keys_secret_name.as_ref()
}

/// The Secret with the certificate that members show their clients.
pub fn tls_secret(spec: &OrderClusterSpec) -> Option<&String> {
    spec.api.as_ref()?.tls_secret_name.as_ref()
}

/// Who asks the members of a cluster. What cannot be read is left out: then they refuse, or are not believed, and the
/// status says so.
pub async fn asker(cluster: &OrderCluster, client: &Client, namespace: &str, asker: &Asker) -> Asker {
    let name = cluster.name_any();
    let read = async |secret: Option<&String>| {
        let secret = secret?;
        match Api::<Secret>::namespaced(client.clone(), namespace).get(secret).await {
            Ok(read) => Some(read.data.unwrap_or_default().into_iter().map(|(entry, text)| (entry, text.0)).collect()),
            Err(error) => {
                tracing::warn!(name, secret, %error, "a Secret cannot be read: members cannot be asked");
                None
            }
        }
    };
    let key = read(keys_secret(&cluster.spec)).await.and_then(|entries| {
        let key = key(&entries);
        if key.is_none() {
            tracing::warn!(name, "there is no entry {TENANT:?} with an API key: members cannot be asked");
        }
        key
    });
    let entries = read(tls_secret(&cluster.spec)).await;
    let authority = entries.as_ref().and_then(|entries| AUTHORITY.iter().find_map(|entry| entries.get(*entry)));
    asker.with(key, authority.map(Vec::as_slice)).unwrap_or_else(|error| {
        tracing::warn!(name, %error, "the members' certificate cannot be read: they cannot be asked");
        asker.clone()
    })
}

/// The first API key of the tenant.
fn key(entries: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let keys = std::str::from_utf8(entries.get(TENANT)?).ok()?;
    keys.lines().map(str::trim).find(|key| !key.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_of_the_default_tenant_is_shown() {
        let entries = |tenant: &str, keys: &str| BTreeMap::from([(tenant.to_owned(), keys.as_bytes().to_vec())]);
        assert_eq!(
            key(&entries("default", "\n  first-key-of-all \nsecond-key\n")).as_deref(),
            Some("first-key-of-all")
        );
        assert_eq!(key(&entries("default", " \n")), None);
        assert_eq!(key(&entries("acme", "first-key-of-all")), None);
    }
}

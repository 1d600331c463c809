//! API keys and the tenants that they stand for.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use parking_lot::RwLock;

use crate::problem::Failure;

/// Who may ask, and for which tenant; clones are told of new keys together.
#[derive(Clone)]
pub struct Tenants {
    default: Arc<str>,
    /// None: nobody is asked for a key.
    keys: Option<Arc<RwLock<Keys>>>,
}

/// Keys and their tenants.
type Keys = Box<[(Box<str>, Arc<str>)]>;

impl Tenants {
    /// Everybody may ask; everything belongs to the default tenant.
    pub fn open() -> Self {
        Self { default: "".into(), keys: None }
    }

    /// Only who knows one of `keys` (key, tenant) may ask. The tenant `default` is the one that
    /// everything belongs to when no keys are configured. Without any key nobody may. Says what is wrong with a key or
    /// a tenant's name.
    pub fn with_keys(keys: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        Ok(Self { default: "".into(), keys: Some(Arc::new(RwLock::new(checked(keys)?))) })
    }

    /// Takes other keys instead, from the next request on. Those there were stay when one of the new ones is wrong, or
    /// when nobody is asked for a key at all.
    pub fn replace(&self, keys: impl IntoIterator<Item = (String, String)>) -> Result<(), String> {
        let keys = checked(keys)?;
        if let Some(known) = &self.keys {
            *known.write() = keys;
        }
        Ok(())
    }

    /// The tenant that a request is for.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Result<Arc<str>, Failure> {
        let Some(keys) = &self.keys else { return Ok(Arc::clone(&self.default)) };
        let given = headers.get(header::AUTHORIZATION).ok_or_else(Failure::unauthorized)?.as_bytes();
        let (scheme, key) = given.split_at_checked(7).ok_or_else(Failure::unauthorized)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Failure::unauthorized());
        }
        // Every key is compared, and each in full, so that the time taken tells nothing.
        let mut found = None;
        for (known, tenant) in keys.read().iter() {
            if same(known.as_bytes(), key) {
                found = Some(Arc::clone(tenant));
            }
        }
        found.ok_or_else(Failure::unauthorized)
    }
}

fn checked(keys: impl IntoIterator<Item = (String, String)>) -> Result<Keys, String> {
    let check = |(key, tenant): (String, String)| {
        if key.len() < KEY_BYTES_MIN {
            return Err(format!("the API key of tenant {tenant:?} is shorter than {KEY_BYTES_MIN} bytes"));
        }
        if let Some(reason) = crate::convert::identifier_fault(&tenant) {
            return Err(format!("the tenant {tenant:?} {reason}"));
        }
        let tenant = if tenant == "default" { "" } else { &tenant };
        Ok((key.into(), tenant.into()))
    };
    keys.into_iter().map(check).collect()
}

/// Whether a tenant may see and change the cluster, which all tenants share: only the default one.
pub(crate) fn may_administrate(tenant: &str) -> bool {
    tenant.is_empty()
}

/// A key that is shorter can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// Compares in a time that depends only on the lengths.
fn same(known: &[u8], given: &[u8]) -> bool {
    let mut differences = known.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        differences |= usize::from(byte ^ known[index % known.len()]);
    }
    std::hint::black_box(differences) == 0
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.as_ref().map(|keys| keys.read().len());
        f.debug_struct("Tenants").field("keys", &keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tenants: &Tenants, authorization: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        tenants.of(&headers).ok().map(|tenant| tenant.to_string())
    }

    #[test]
    fn keys_stand_for_tenants() {
        let key = |key: &str, tenant: &str| (key.to_owned(), tenant.to_owned());
        let tenants =
            Tenants::with_keys([key("0123456789abcdef", "acme"), key("fedcba9876543210", "default")]).unwrap();
        assert_eq!(asked(&tenants, "Bearer 0123456789abcdef").as_deref(), Some("acme"));
        assert_eq!(asked(&tenants, "bearer fedcba9876543210").as_deref(), Some(""));
        for wrong in ["Bearer 0123456789abcdeX", "Bearer 0123456789abcdef0", "Bearer ", "Basic 0123456789abcdef", "x"] {
            assert_eq!(asked(&tenants, wrong), None, "{wrong}");
        }
        assert!(tenants.of(&HeaderMap::new()).is_err());
        assert_eq!(&*Tenants::open().of(&HeaderMap::new()).unwrap(), "");
        assert!(Tenants::with_keys([key("short", "acme")]).is_err());
        assert!(Tenants::with_keys([key("0123456789abcdef", " acme")]).is_err());
        assert_eq!(asked(&Tenants::with_keys([]).unwrap(), "Bearer 0123456789abcdef"), None);
        // Others instead, for all who have it; wrong ones change nothing.
        let clone = tenants.clone();
        assert!(tenants.replace([key("short", "acme")]).is_err());
        assert_eq!(asked(&clone, "Bearer 0123456789abcdef").as_deref(), Some("acme"));
        tenants.replace([key("00112233445566778899", "acme")]).unwrap();
        assert_eq!(asked(&clone, "Bearer 0123456789abcdef"), None);
        assert_eq!(asked(&clone, "Bearer 00112233445566778899").as_deref(), Some("acme"));
    }
}

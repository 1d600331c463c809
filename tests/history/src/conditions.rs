//! Changes that want a version: each is made in that version or not at all, and no version is changed twice.

use std::collections::BTreeMap;

use crate::{Call, Deed, History, Outcome};

/// The version that the answer to a conditional change tells, and whether it was made.
fn told(outcome: &Outcome) -> Option<(u64, bool)> {
    match outcome {
        Outcome::Order { order, changed } => Some((order.version, *changed)),
        Outcome::Item { item, changed } => Some((item.version, *changed)),
        Outcome::Mismatch(version) => Some((*version, false)),
        Outcome::Absent | Outcome::Refused | Outcome::Unknown => None,
    }
}

/// Nothing was changed in another version than was wanted, nothing was refused for the version that it has,
/// and of two that want the same version one at most is made.
pub(crate) fn met(history: &History, wrong: &mut Vec<String>) {
    let mut made: BTreeMap<(&str, u64), &Call> = BTreeMap::new();
    for call in &history.calls {
        let Deed::If(wanted, deed) = &call.deed else { continue };
        let (name, Some((version, changed))) = (deed.about(), told(&call.outcome)) else { continue };
        if call.outcome == Outcome::Mismatch(*wanted) {
            wrong.push(format!("{name}: {:?} was refused for the version that it wants", call.deed));
        }
        if changed && version <= *wanted {
            wrong.push(format!("{name}: {:?} was made, and left version {version}", call.deed));
        }
        if changed && let Some(other) = made.insert((name, *wanted), call) {
            wrong.push(format!("{name}: {:?} and {:?} were both made in version {wanted}", other.deed, call.deed));
        }
        if let (Deed::Put(_, units), Outcome::Item { item, changed: true }) = (&**deed, &call.outcome)
            && item.on_hand != *units
        {
            wrong.push(format!("{name}: {:?} was made, and left {} units", call.deed, item.on_hand));
        }
    }
}

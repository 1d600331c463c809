//! All checks together, and what they share: in which order versions may be told.

use std::collections::BTreeMap;

use crate::{Beside, Call, History, check_with};

/// What is wrong with a history; nothing, if it is one of a cluster that keeps its promises.
pub fn check(history: &History) -> Vec<String> {
    check_with(history, &Beside::default())
}

/// A version of something that an answer told.
pub(crate) struct Told<'a> {
    pub(crate) call: &'a Call,
    pub(crate) version: u64,
    /// The answer is about this very change.
    pub(crate) changed: bool,
}

/// One thing has one version at a time, which rises with each change: so its history is linearizable if no
/// answer is older than what was told before its request was sent, a change is newer than that, and no
/// two changes have one version. `Absent` is version 0.
pub(crate) fn in_order(name: &str, told: &[Told<'_>], wrong: &mut Vec<String>) {
    let mut ends: Vec<&Told<'_>> = told.iter().collect();
    ends.sort_by_key(|told| told.call.end);
    let mut begins: Vec<&Told<'_>> = told.iter().collect();
    begins.sort_by_key(|told| told.call.begin);
    let mut ended = ends.into_iter().peekable();
    let mut newest: Option<&Told<'_>> = None;
    let mut changes: BTreeMap<u64, &Call> = BTreeMap::new();
    for one in begins {
        while let Some(before) = ended.next_if(|before| before.call.end < one.call.begin) {
            if newest.is_none_or(|newest| newest.version < before.version) {
                newest = Some(before);
            }
        }
        if let Some(newest) = newest {
            let too_old = if one.changed { one.version <= newest.version } else { one.version < newest.version };
            if too_old {
                wrong.push(format!(
                    "{name}: {:?} sent at {} tells version {}, after {:?} had told version {} at {}",
                    one.call.deed, one.call.begin, one.version, newest.call.deed, newest.version, newest.call.end
                ));
            }
        }
        if one.changed
            && let Some(other) = changes.insert(one.version, one.call)
        {
            wrong.push(format!(
                "{name}: {:?} sent at {} and {:?} sent at {} both made version {}",
                other.deed, other.begin, one.call.deed, one.call.begin, one.version
            ));
        }
    }
}

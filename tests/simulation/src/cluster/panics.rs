//! Panics of tasks, which would go unnoticed otherwise: the server asserts what must never be.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on panics on this thread are kept, until [`seen`].
pub(super) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let kept = SEEN.with_borrow_mut(|seen| match seen {
                Some(seen) => {
                    seen.push(panic.to_string());
                    true
                }
                None => false,
            });
            if !kept {
                before(panic);
            }
        }));
    });
    SEEN.set(Some(Vec::new()));
}

/// Whether there was one since [`watch`]: nothing more needs to be tried then.
pub(super) fn any() -> bool {
    SEEN.with_borrow(|seen| seen.as_ref().is_some_and(|seen| !seen.is_empty()))
}

/// The panics since [`watch`].
pub(super) fn seen() -> Vec<String> {
    SEEN.take().unwrap_or_default()
}

//! Parameters of a query: each known, given once, and well formed.

use std::borrow::Cow;

use axum::http::Uri;
use ordermill_station::limits;

use crate::convert::Faults;
use crate::path::decode;
use crate::problem::Failure;

/// What a read has to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// Everything that was answered before it began.
    #[default]
    Linearizable,
    /// What was flushed last, with its age.
    Stale,
}

/// The parameters of a query that nobody has asked for yet, and the faults found so far.
#[derive(Debug)]
pub(crate) struct Query<'u> {
    rest: Vec<(Cow<'u, str>, Cow<'u, str>)>,
    faults: Faults,
}

impl<'u> Query<'u> {
    pub(crate) fn of(uri: &'u Uri) -> Self {
        let mut query = Self { rest: Vec::new(), faults: Faults::default() };
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name, true), decode(value, true)) {
                (Ok(name), Ok(_)) if query.rest.iter().any(|(known, _)| *known == name) => {
                    query.faults.note(name, "is given more than once");
                }
                (Ok(name), Ok(value)) => query.rest.push((name, value)),
                (Err(reason), _) => query.faults.note("query", reason),
                (Ok(name), Err(reason)) => query.faults.note(name, reason),
            }
        }
        query
    }

    /// The text of a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Option<Cow<'u, str>> {
        let index = self.rest.iter().position(|(known, _)| known == name)?;
        Some(self.rest.swap_remove(index).1)
    }

    /// A parameter as `parse` understands it; its error is why it does not fit.
    pub(crate) fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|reason| self.faults.note(name, reason)).ok()
    }

    /// A number of rows from `name`: the default without one or with 0, never above the largest.
    pub(crate) fn rows(&mut self, name: &str) -> usize {
        let whole = |text: &str| text.parse::<u64>().map_err(|_| "is not a whole number".to_owned());
        match self.parsed(name, whole) {
            None | Some(0) => limits::PAGE_DEFAULT,
            Some(size) => usize::try_from(size).unwrap_or(limits::PAGE_MAX).min(limits::PAGE_MAX),
        }
    }

    /// What the read has to see, from `consistency`.
    pub(crate) fn consistency(&mut self) -> Consistency {
        let named = self.parsed("consistency", |text| match text {
            "linearizable" => Ok(Consistency::Linearizable),
            "stale" => Ok(Consistency::Stale),
            _ => Err("is neither linearizable nor stale".to_owned()),
        });
        named.unwrap_or_default()
    }

    /// An opaque token; an empty one counts as none.
    pub(crate) fn token(&mut self, name: &str) -> Option<Cow<'u, str>> {
        self.text(name).filter(|token| !token.is_empty())
    }

    /// Refuses the request if a parameter was unknown or did not fit.
    pub(crate) fn check(mut self) -> Result<(), Failure> {
        for (name, _) in std::mem::take(&mut self.rest) {
            self.faults.note(name, "is not a parameter of this request");
        }
        self.faults.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> Vec<String> {
        let uri: Uri = format!("/v1/orders?{query}").parse().unwrap();
        let mut query = Query::of(&uri);
        let (_, _) = (query.rows("page_size"), query.token("page_token"));
        match query.check() {
            Ok(()) => Vec::new(),
            Err(failure) => failure.problem().errors.iter().map(|error| error.field.clone()).collect(),
        }
    }

    #[test]
    fn every_parameter_is_known_once_and_well_formed() {
        assert!(refused("page_size=5&page_token=").is_empty());
        assert!(refused("").is_empty());
        assert_eq!(refused("page_size=-1&colour=red"), ["page_size", "colour"]);
        assert_eq!(refused("page_size=1&page_size=2"), ["page_size"]);
        assert_eq!(refused("page_size=%zz"), ["page_size"]);
        assert_eq!(refused("%ff=1"), ["query"]);
    }

    #[test]
    fn page_sizes_are_clamped() {
        let rows = |query: &str| Query::of(&format!("/?{query}").parse().unwrap()).rows("page_size");
        assert_eq!((rows(""), rows("page_size=0"), rows("page_size=7")), (100, 100, 7));
        assert_eq!((rows("page_size=5000"), rows("page_size=18446744073709551615")), (1_000, 1_000));
    }
}

//! Writes the results of a chunk, one JSON object per line.

use std::io::Write;

use bytes::Bytes;
use ordermill_api::ProblemKind;
use ordermill_order::command::Credited;
use ordermill_order::{OrderId, Outcome, Refusal};
use ordermill_routing::Error;

use super::parse::Parsed;
use crate::problem::Failure;
use crate::view::line_units;

/// Bytes that a result takes, more or less.
const RESULT_BYTES: usize = 128;

/// Writes one result per line, in the order of the lines. `outcomes` are those of the lines that
/// were submitted.
pub(super) fn write(parsed: &Parsed, outcomes: Vec<Result<Outcome, Error>>) -> Bytes {
    let mut out = Vec::with_capacity(parsed.lines.len() * RESULT_BYTES);
    let mut outcomes = outcomes.into_iter();
    for line in &parsed.lines {
        let mut result = Line { out: &mut out, number: line.number, reference: parsed.reference(&line.reference) };
        match &line.refused {
            Some(failure) => result.refused(failure),
            None => match outcomes.next() {
                Some(outcome) => result.outcome(outcome),
                None => result.refused(&Failure::new(ProblemKind::Internal, "the line has no outcome")),
            },
        }
    }
    out.into()
}

/// One line of results.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    number: u64,
    reference: Option<&'a str>,
}

impl Line<'_> {
    fn outcome(&mut self, outcome: Result<Outcome, Error>) {
        match outcome {
            Ok(Outcome::Order { order, .. }) => self.order("created", Some((order.id, order.status().as_str()))),
            Ok(Outcome::Credited { from, unmatched }) => self.credited(&from, unmatched),
            Err(Error::Refused(Refusal::ReferenceTaken { order })) => {
                self.order("duplicate", order.map(|(id, status)| (id, status.as_str())));
            }
            Err(error) => self.refused(&error.into()),
            Ok(other) => {
                tracing::error!(outcome = ?other, "a line of an import has a strange outcome: this is a bug");
                self.refused(&Failure::new(ProblemKind::Internal, "the line has a strange outcome"));
            }
        }
    }

    fn begin(&mut self, result: &str) {
        self.raw("{\"line\":");
        self.number(self.number);
        self.raw(",\"result\":\"");
        self.raw(result);
        self.raw("\"");
        if let Some(reference) = self.reference {
            self.raw(",\"reference\":");
            self.json(reference);
        }
    }

    fn end(&mut self) {
        self.raw("}\n");
    }

    fn order(&mut self, result: &str, order: Option<(OrderId, &'static str)>) {
        self.begin(result);
        if let Some((id, status)) = order {
            self.raw(",\"id\":\"");
            self.shown(id);
            self.raw("\",\"status\":\"");
            self.raw(status);
            self.raw("\"");
        }
        self.end();
    }

    fn credited(&mut self, from: &[Credited], unmatched: u64) {
        self.begin("created");
        for (index, credited) in from.iter().enumerate() {
            self.raw(if index == 0 { ",\"credited\":[{\"id\":\"" } else { ",{\"id\":\"" });
            self.shown(credited.order);
            self.raw("\"");
            for (name, units) in [("cancelled", &credited.cancelled), ("returned", &credited.returned)] {
                if !units.is_empty() {
                    self.raw(",\"");
                    self.raw(name);
                    self.raw("\":");
                    self.json(&line_units(units).collect::<Vec<_>>());
                }
            }
            self.raw("}");
        }
        if !from.is_empty() {
            self.raw("]");
        }
        self.raw(",\"unmatched\":");
        self.number(unmatched);
        self.end();
    }

    fn refused(&mut self, failure: &Failure) {
        self.begin("refused");
        let problem = failure.problem();
        self.raw(",\"problem\":");
        self.json(&problem.r#type);
        self.raw(",\"detail\":");
        self.json(&problem.detail);
        if !problem.errors.is_empty() {
            self.raw(",\"errors\":");
            self.json(&problem.errors);
        }
        self.end();
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.raw(itoa::Buffer::new().format(number));
    }

    fn shown(&mut self, value: impl std::fmt::Display) {
        write!(self.out, "{value}").expect("a vector takes everything");
    }

    fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        serde_json::to_writer(&mut *self.out, value).expect("texts and numbers become JSON, and a vector takes them");
    }
}

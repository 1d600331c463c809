//! Imports: many commands at once, each to its shard, in their order.

use std::collections::BTreeMap;

use futures::future::join_all;
use ordermill_order::{Action, Command, Outcome};
use ordermill_peer::{Answer, Failure, Request};
use ordermill_station::limits;

use crate::shards::is_known;
use crate::{Error, Router};

/// Commands of one shard, with their places in the import.
type Group = (Vec<usize>, Vec<Command>);

/// Where a command of an import goes.
fn slot_of(action: &Action) -> u16 {
    match action {
        Action::Create(new) => new.partition.slot,
        Action::Credit(credit) => credit.partition.slot,
        other => unreachable!("an import cannot contain {other:?}"),
    }
}

impl Router {
    /// Applies many `Create` and `Credit` commands in their order, waits until every order is
    /// decided, and answers in the same order. Waits for room instead of answering `Busy`.
    pub async fn import(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Error>> {
        let began = self.inner.clock.elapsed();
        let mut results: Vec<Option<Result<Outcome, Error>>> = (0..commands.len()).map(|_| None).collect();
        let view = self.inner.shards.view();
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        for (index, command) in commands.into_iter().enumerate() {
            if let Action::Create(new) = &command.action
                && let Err(error) = self.check_items(&command.tenant, new).await
            {
                results[index] = Some(Err(error));
                continue;
            }
            let (indexes, commands) = groups.entry(view.index_of(slot_of(&command.action))).or_default();
            indexes.push(index);
            commands.push(command);
        }
        let asked = groups.into_values().map(async |(indexes, commands)| (indexes, self.import_group(commands).await));
        for (indexes, outcomes) in join_all(asked).await {
            for (index, outcome) in indexes.into_iter().zip(outcomes) {
                results[index] = Some(outcome);
            }
        }
        self.measure(began, None);
        let results = results.into_iter().map(|result| result.expect("every command was refused or in a group"));
        results.collect()
    }

    /// Commands of one shard.
    async fn import_group(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Error>> {
        let shards = &self.inner.shards;
        let slot = slot_of(&commands[0].action);
        let deadline = self.inner.clock.elapsed() + limits::SETTLE_WAIT;
        // Only where a shard may move can there be a second time.
        let again = shards.cluster().is_some().then(|| commands.clone());
        let count = commands.len();
        let request = Request::ApplyMany { slot, hops: 0, wait: limits::SETTLE_WAIT, commands };
        let outcomes = match shards.ask(slot, request).await {
            Ok(Answer::AppliedMany(Ok(outcomes))) => outcomes,
            Ok(Answer::AppliedMany(Err(failure))) => return vec![Err(failure.into()); count],
            Ok(other) => unreachable!("commands were sent: {other:?}"),
            Err(error) => return vec![Err(error); count],
        };
        let Some(again) = again else {
            return outcomes.into_iter().map(|outcome| outcome.map_err(Error::from)).collect();
        };
        let mut results = Vec::with_capacity(count);
        for (outcome, command) in outcomes.into_iter().zip(again) {
            results.push(match outcome {
                Err(Failure::NotOwner { .. }) => self.apply_decided(command).await,
                Err(Failure::Unknown(_)) if is_known(&command) => self.apply_decided(command).await,
                Ok(Outcome::Order { order, replayed }) => {
                    self.decision(&command.tenant, order, replayed, deadline).await
                }
                other => other.map_err(Error::from),
            });
        }
        results
    }

    async fn apply_decided(&self, command: Command) -> Result<Outcome, Error> {
        self.decided(slot_of(&command.action), command, limits::SETTLE_WAIT).await
    }
}

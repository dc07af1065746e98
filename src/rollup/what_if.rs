//! What other rules, or another catalogue, would move: asked before anything is saved, written nowhere.

mod closed_months;
mod deployment_moves;
mod looked;
mod segments;
mod shared;

use super::mapped_keys::{self, Which};
use super::mapper::Mapper;
use super::{mapping_details, rekey};
use crate::allocate::{self, Assignment, Catalogue, Rule, Target};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::Scope;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use futures_util::TryStreamExt;
use segments::{Segment, segments};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

pub use deployment_moves::DeploymentMove;
pub use shared::{AfterSplits, Shared, SplitMove};

/// The id that a rule has before it is saved.
pub const UNSAVED_RULE: i64 = 0;

/// A service or an environment on one side of a move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// None: not allocated.
    Nobody,
    /// An entry of the catalogue.
    Known(i64),
    /// One that would be added, by its slug; [`WhatIf::added`] has its name.
    Added(String),
}

/// Whose something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The service.
    pub service: Side,
    /// The environment.
    pub environment: Side,
    /// Values of dimensions, by their names.
    pub dimensions: BTreeMap<String, String>,
}

/// `EffectiveCost` in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// `BillingCurrency`.
    pub currency: String,
    /// Of the shorter range.
    pub recent: BigDecimal,
    /// Of the longer range, which ends with the same day.
    pub long: BigDecimal,
}

/// What would go from one owner to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Whose it is.
    pub from: Owner,
    /// Whose it would be.
    pub to: Owner,
    /// Kinds of charge: rollup keys.
    pub key_count: i64,
    /// Their cost.
    pub costs: Vec<Cost>,
}

/// What the rule in question would take, moved or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Kinds of charge.
    pub key_count: i64,
    /// Deployments.
    pub deployment_count: i64,
    /// Deployments that it would take as well if nobody had pinned them.
    pub pinned_count: i64,
    /// Runs of pipelines that would be deployments, were these not told by their sender already.
    pub told_already_count: i64,
    /// Cost of the charges.
    pub costs: Vec<Cost>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// What the rule in question would take.
    pub taken: Taken,
    /// What would change hands, the dearest first.
    pub moves: Vec<Move>,
    /// Deployments that would change hands, the most first.
    pub deployment_moves: Vec<DeploymentMove>,
    /// What splits would move along; empty for those who do not see all money.
    pub shared: Shared,
    /// The names that would be added to the catalogue, by slug.
    pub added: BTreeMap<String, String>,
    /// Charge groups that would be keyed again, because the rules look at something new: saving takes longer.
    pub groups_to_key: u64,
    /// Closed months in which cost would change hands, however long ago, the oldest first: their statements stay.
    pub closed_months: Vec<BillingPeriod>,
    /// The shorter and the longer range that costs are of, where cost changes hands on other days than those asked for.
    pub other_days: Option<(DateRange, DateRange)>,
}

/// The question.
pub struct Question<'a> {
    /// The rules as they would be.
    pub rules: &'a [Rule],
    /// The catalogue as it would be.
    pub catalogue: Catalogue,
    /// The rule whose share is asked for.
    pub rule_id: Option<i64>,
    /// The service that the catalogue would lack: no split gives it a share then.
    pub removed_service: Option<i64>,
    /// The shorter range.
    pub recent: DateRange,
    /// The longer range; ends with the same day. Both are others where cost changes hands on other days only.
    pub long: DateRange,
}

// A key on some days, or the groups of a key that would leave it.
struct Asked {
    rollup_key_id: Uuid,
    days: DateRange,
    // Service and environment: as they are, and as they would be.
    from: (i64, i64),
    to: (Side, Side),
    group_ids: Vec<Uuid>,
    move_index: Option<usize>,
    is_taken: bool,
}

/// Answers from the keys, and one query for their money.
pub async fn ask(conn: &mut PgConnection, scope: &Scope, question: Question<'_>) -> anyhow::Result<WhatIf> {
    let mapper = Mapper::compile(question.rules, question.catalogue)?;
    let mut answer = Answer { rule_id: question.rule_id, ..Answer::default() };
    let new_tag_keys = rekey::new_tag_keys(&mut *conn, &mapper.charges).await?;
    let mut leaving: HashMap<Uuid, BTreeMap<Uuid, Leaving>> = HashMap::new();
    let mut groups_to_key = 0;
    let new_details = mapping_details::new_ones(&mut *conn, &mapper.charges).await?;
    if !new_tag_keys.is_empty() || !new_details.is_empty() {
        for change in rekey::group_changes(&mut *conn, &new_tag_keys, &new_details).await? {
            groups_to_key += 1;
            let of_key = leaving.entry(change.old_key_id).or_default();
            let new = of_key.entry(change.new_key_id).or_insert_with(|| (change.mapping_tags, Vec::new()));
            new.1.push(change.group_id);
        }
    }
    {
        let mut mappings = mapped_keys::mappings(&mut *conn).await?;
        let mut keys = std::pin::pin!(mapped_keys::keys(&mut *conn, Which::All));
        while let Some(mut key) = keys.try_next().await? {
            let stored = mappings.remove(&key.rollup_key_id).unwrap_or_default();
            let mut parts = vec![Vec::new()];
            let mut answers = vec![allocate::assign_by_day(&mapper.charges, |name| key.attribute(name))];
            for (mapping_tags, group_ids) in leaving.remove(&key.rollup_key_id).unwrap_or_default().into_values() {
                key.mapping_tags = mapping_tags;
                parts.push(group_ids);
                answers.push(allocate::assign_by_day(&mapper.charges, |name| key.attribute(name)));
            }
            // One cut of the days for all of a key, so that what leaves it is taken from the right place.
            let segments = segments(&stored, &answers);
            for (group_ids, segments) in parts.into_iter().zip(segments) {
                answer.take(key.rollup_key_id, &group_ids, &segments);
            }
        }
    }
    let mut moves = answer.moves();
    let mut taken = Taken { key_count: answer.taken_count, ..Taken::default() };
    let other_days = looked::days(&answer.asked, (question.recent, question.long));
    let ranges = other_days.unwrap_or((question.recent, question.long));
    let mut costs = key_costs(&mut *conn, scope, &answer.asked, ranges).await?;
    if groups_to_key > 0 {
        costs.extend(group_costs(&mut *conn, scope, &answer.asked, ranges).await?);
    }
    for (asked, cost) in costs {
        if asked.is_taken {
            add_cost(&mut taken.costs, &cost);
        }
        if let Some(index) = asked.move_index {
            add_cost(&mut moves[index].costs, &cost);
        }
    }
    let closed_months = closed_months::ask(&mut *conn, &answer.asked, question.removed_service).await?;
    moves.sort_by_key(|one| std::cmp::Reverse(one.costs.iter().map(|cost| cost.recent.abs()).max()));
    // Every service may get a share, so that only who sees all money is told.
    let shared = if scope.is_everything() {
        shared::ask(&mut *conn, &answer.asked, &answer.added, question.removed_service, ranges).await?
    } else {
        Shared::default()
    };
    let mut added = answer.added;
    let asked = deployment_moves::ask(&mut *conn, &mapper, question.rule_id, &mut added).await?;
    taken.deployment_count = asked.taken_count;
    taken.told_already_count = asked.told_already_count;
    taken.pinned_count = deployment_moves::pinned_count(conn, &mapper, question.rule_id).await?;
    let deployment_moves = asked.moves;
    Ok(WhatIf { taken, moves, deployment_moves, shared, added, groups_to_key, closed_months, other_days })
}

// The tags that the key would have, and the groups that would go to it.
type Leaving = (serde_json::Value, Vec<Uuid>);

#[derive(Default)]
struct Answer {
    rule_id: Option<i64>,
    places: HashMap<(Owner, Owner), usize>,
    key_counts: Vec<i64>,
    taken_count: i64,
    asked: Vec<Asked>,
    added: BTreeMap<String, String>,
}

impl Answer {
    // A key, or groups that leave one, with whose it is and would be on each of its days.
    fn take(&mut self, rollup_key_id: Uuid, group_ids: &[Uuid], segments: &[Segment<'_>]) {
        let mut counted = BTreeSet::new();
        let mut is_any_taken = false;
        for segment in segments {
            let is_taken = self.rule_id.is_some_and(|id| is_by(segment.then, id));
            is_any_taken |= is_taken;
            let from = owner_now(segment);
            let to = self.owner_then(segment.then);
            let to_sides = (to.service.clone(), to.environment.clone());
            let move_index = (from != to).then(|| self.index_of(from, to));
            if let Some(index) = move_index.filter(|index| counted.insert(*index)) {
                self.key_counts[index] += 1;
            }
            // Groups that leave a key are listed even where they stay with the owner: their cost leaves the key's.
            if is_taken || move_index.is_some() || !group_ids.is_empty() {
                self.asked.push(Asked {
                    rollup_key_id,
                    days: segment.days,
                    from: segment.now.map_or((0, 0), |now| (now.service_id, now.environment_id)),
                    to: to_sides,
                    group_ids: group_ids.to_vec(),
                    move_index,
                    is_taken,
                });
            }
        }
        self.taken_count += i64::from(is_any_taken);
    }

    fn owner_then(&mut self, then: &Assignment) -> Owner {
        Owner {
            service: side_of(then.service.as_ref(), &mut self.added),
            environment: side_of(then.environment.as_ref(), &mut self.added),
            dimensions: then.dimensions.iter().map(|(key, named)| (key.clone(), named.value.clone())).collect(),
        }
    }

    fn index_of(&mut self, from: Owner, to: Owner) -> usize {
        let next = self.key_counts.len();
        let index = *self.places.entry((from, to)).or_insert(next);
        if index == next {
            self.key_counts.push(0);
        }
        index
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves: Vec<Option<Move>> = vec![None; self.key_counts.len()];
        for ((from, to), index) in &self.places {
            let (from, to) = (from.clone(), to.clone());
            moves[*index] = Some(Move { from, to, key_count: self.key_counts[*index], costs: Vec::new() });
        }
        moves.into_iter().flatten().collect()
    }
}

fn owner_now(segment: &Segment<'_>) -> Owner {
    let Some(now) = segment.now else {
        return Owner { service: Side::Nobody, environment: Side::Nobody, dimensions: BTreeMap::new() };
    };
    Owner {
        service: side_of_id(now.service_id),
        environment: side_of_id(now.environment_id),
        dimensions: now.dimensions.iter().map(|(key, named)| (key.clone(), named.value.clone())).collect(),
    }
}

/// Where a row of money goes.
#[derive(Clone, Copy)]
struct Place {
    move_index: Option<usize>,
    is_taken: bool,
}

async fn key_costs(
    conn: &mut PgConnection,
    scope: &Scope,
    asked: &[Asked],
    (recent, long): (DateRange, DateRange),
) -> sqlx::Result<Vec<(Place, Cost)>> {
    let whole: Vec<&Asked> = asked.iter().filter(|asked| asked.group_ids.is_empty()).collect();
    let ids: Vec<Uuid> = whole.iter().map(|asked| asked.rollup_key_id).collect();
    let (indexes, taken) = places(whole.iter().copied());
    let (first_days, end_days) = days_of(&whole);
    let services: Vec<i64> = whole.iter().map(|asked| asked.from.0).collect();
    let rows = sqlx::query!(
        r#"SELECT n.move_index AS "move_index!", n.is_taken AS "is_taken!", d.billing_currency,
                  coalesce(sum(d.effective_cost) FILTER (WHERE d.charge_date >= $4), 0) AS "recent!",
                  sum(d.effective_cost) AS "long!"
           FROM unnest($1::uuid[], $2::integer[], $3::boolean[], $8::date[], $9::date[], $10::bigint[])
               AS n (rollup_key_id, move_index, is_taken, first_day, end_day, service_id)
           JOIN rollup_key k USING (rollup_key_id)
           JOIN daily_cost_by_key d USING (sub_account_key, rollup_key_id)
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           LEFT JOIN service ON service.service_id = n.service_id
           WHERE d.charge_date >= $5 AND d.charge_date < $6
             AND d.charge_date >= n.first_day AND d.charge_date < n.end_day
             AND ($7::bigint[] IS NULL OR service.team_id = ANY($7))
           GROUP BY 1, 2, 3 ORDER BY 3"#,
        &ids,
        &indexes,
        &taken,
        recent.start(),
        long.start(),
        long.end(),
        scope.team_ids(),
        &first_days,
        &end_days,
        &services,
    )
    .fetch_all(conn)
    .await?;
    let cost = |currency, recent, long| Cost { currency, recent, long };
    Ok(rows
        .into_iter()
        .map(|r| (place(r.move_index, r.is_taken), cost(r.billing_currency, r.recent, r.long)))
        .collect())
}

/// The lines of groups that would leave their key: added where they go, taken from where the key goes.
async fn group_costs(
    conn: &mut PgConnection,
    scope: &Scope,
    asked: &[Asked],
    (recent, long): (DateRange, DateRange),
) -> sqlx::Result<Vec<(Place, Cost)>> {
    let stays: HashMap<(Uuid, DateRange), Place> = asked
        .iter()
        .filter(|asked| asked.group_ids.is_empty())
        .map(|asked| {
            let place = Place { move_index: asked.move_index, is_taken: asked.is_taken };
            ((asked.rollup_key_id, asked.days), place)
        })
        .collect();
    let parts: Vec<&Asked> = asked.iter().filter(|asked| !asked.group_ids.is_empty()).collect();
    let (numbers, ids): (Vec<i32>, Vec<Uuid>) = parts
        .iter()
        .zip(0..)
        .flat_map(|(asked, number)| asked.group_ids.iter().map(move |group_id| (number, *group_id)))
        .unzip();
    let (first_days, end_days) = days_of(&parts);
    let services: Vec<i64> = parts.iter().map(|asked| asked.from.0).collect();
    // Lines are many more than keys; a page may wait for this once, and says so.
    sqlx::query!("SELECT set_config('statement_timeout', '20000', true)").fetch_one(&mut *conn).await?;
    let rows = sqlx::query!(
        r#"SELECT n.number AS "number!", c.billing_currency,
                  coalesce(sum(c.effective_cost) FILTER (WHERE charge_date >= $3), 0) AS "recent!",
                  sum(c.effective_cost) AS "long!"
           FROM unnest($1::integer[], $2::uuid[]) AS n (number, group_id)
           JOIN unnest($7::date[], $8::date[], $9::bigint[]) WITH ORDINALITY
               AS p (first_day, end_day, service_id, place) ON p.place = n.number + 1
           JOIN charge_group q USING (group_id)
           JOIN charge c ON c.sub_account_key = q.sub_account_key AND c.group_id = q.group_id
           JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
           LEFT JOIN service ON service.service_id = p.service_id
           CROSS JOIN LATERAL (SELECT (c.charge_period_start AT TIME ZONE 'UTC')::date AS charge_date) day
           WHERE charge_date >= $4 AND charge_date < $5 AND charge_date >= p.first_day AND charge_date < p.end_day
             AND ($6::bigint[] IS NULL OR service.team_id = ANY($6))
           GROUP BY 1, 2 ORDER BY 2"#,
        &numbers,
        &ids,
        recent.start(),
        long.start(),
        long.end(),
        scope.team_ids(),
        &first_days,
        &end_days,
        &services,
    )
    .fetch_all(conn)
    .await?;
    let mut costs = Vec::new();
    for row in rows {
        let Some(part) = usize::try_from(row.number).ok().and_then(|number| parts.get(number)) else { continue };
        let cost = Cost { currency: row.billing_currency, recent: row.recent, long: row.long };
        if let Some(place) = stays.get(&(part.rollup_key_id, part.days)) {
            let leaves = Cost { currency: cost.currency.clone(), recent: -&cost.recent, long: -&cost.long };
            costs.push((*place, leaves));
        }
        costs.push((Place { move_index: part.move_index, is_taken: part.is_taken }, cost));
    }
    Ok(costs)
}

fn days_of(asked: &[&Asked]) -> (Vec<NaiveDate>, Vec<NaiveDate>) {
    asked.iter().map(|one| (one.days.start(), one.days.end())).unzip()
}

fn places<'a>(asked: impl Iterator<Item = &'a Asked>) -> (Vec<i32>, Vec<bool>) {
    asked.map(|one| (one.move_index.map_or(-1, |index| index as i32), one.is_taken)).unzip()
}

fn place(move_index: i32, is_taken: bool) -> Place {
    Place { move_index: usize::try_from(move_index).ok(), is_taken }
}

fn add_cost(costs: &mut Vec<Cost>, cost: &Cost) {
    match costs.iter_mut().find(|one| one.currency == cost.currency) {
        Some(one) => {
            one.recent += &cost.recent;
            one.long += &cost.long;
        }
        None => costs.push(cost.clone()),
    }
}

fn is_by(assignment: &Assignment, rule_id: i64) -> bool {
    assignment.service_rule_id == Some(rule_id)
        || assignment.environment_rule_id == Some(rule_id)
        || assignment.dimensions.values().any(|named| named.rule_id == rule_id)
}

fn side_of_id(id: i64) -> Side {
    if id == 0 { Side::Nobody } else { Side::Known(id) }
}

fn side_of(target: Option<&Target>, added: &mut BTreeMap<String, String>) -> Side {
    match target {
        None | Some(Target::NotFound(_)) => Side::Nobody,
        Some(Target::Known(id)) => Side::Known(*id),
        Some(Target::Add(name)) => {
            let slug = allocate::slug(name);
            added.entry(slug.clone()).or_insert_with(|| name.clone());
            Side::Added(slug)
        }
    }
}

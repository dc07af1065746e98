//! Which two bills count both although they hold the same cost, because a person said so. A decision is about two
//! bills, not about one: a third one that holds the same cost is asked about anew.

use sqlx::PgExecutor;

/// A generation, and the one that it counts beside.
pub type Pair = (i64, i64);

/// Someone accepted that the bills of each pair count both. It holds for what replaces them, too.
pub async fn accept(db: impl PgExecutor<'_>, pairs: &[Pair]) -> sqlx::Result<()> {
    let (generation_ids, others): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
    sqlx::query!(
        "INSERT INTO accepted_beside
            (billing_period_start, source_id, billing_account_id, append_object,
             beside_source_id, beside_billing_account_id, beside_append_object)
         SELECT DISTINCT one.billing_period_start, one.source_id, one.billing_account_id,
             decided_object(one.source_id, one.append_object), other.source_id, other.billing_account_id,
             decided_object(other.source_id, other.append_object)
         FROM unnest($1::bigint[], $2::bigint[]) AS pair (left_id, right_id)
         CROSS JOIN LATERAL (VALUES (left_id, right_id), (right_id, left_id)) AS way (one_id, other_id)
         JOIN generation one ON one.generation_id = way.one_id
         JOIN generation other ON other.generation_id = way.other_id
         WHERE NOT is_accepted_beside(way.one_id, way.other_id)",
        &generation_ids,
        &others,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets decisions about bills of which one counts no more: who brings it again is asked again.
pub async fn forget_ended(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM accepted_beside a
         WHERE NOT EXISTS (SELECT FROM generation g
                           WHERE g.source_id = a.source_id AND g.billing_account_id = a.billing_account_id
                             AND g.billing_period_start = a.billing_period_start AND g.state = 'current' AND g.charge_count > 0
                             AND decided_object(g.source_id, g.append_object) = a.append_object)
            OR NOT EXISTS (SELECT FROM generation g
                           WHERE g.source_id = a.beside_source_id
                             AND g.billing_account_id = a.beside_billing_account_id
                             AND g.billing_period_start = a.billing_period_start AND g.state = 'current' AND g.charge_count > 0
                             AND decided_object(g.source_id, g.append_object) = a.beside_append_object)"
    )
    .execute(db)
    .await?;
    Ok(())
}

//! What rules look at of single lines, beyond the columns that every rollup key carries.

use crate::allocate::{Condition, Operator, Rules};
use sqlx::PgConnection;

/// Every condition that a rule has, or had, on an attribute of single lines.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Condition>> {
    let rows = sqlx::query!("SELECT attribute, operator, value FROM mapping_detail ORDER BY mapping_detail_id")
        .fetch_all(conn)
        .await?;
    let condition = |(attribute, operator, value): (String, String, String)| {
        Operator::from_key(&operator).map(|operator| Condition { attribute, operator, value })
    };
    Ok(rows.into_iter().filter_map(|row| condition((row.attribute, row.operator, row.value))).collect())
}

/// The conditions of these rules that no rule had before.
pub async fn new_ones(conn: &mut PgConnection, rules: &Rules) -> sqlx::Result<Vec<Condition>> {
    let wanted = rules.details();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let known = list(conn).await?;
    Ok(wanted.into_iter().filter(|condition| !known.contains(condition)).collect())
}

/// Adds conditions. The caller holds the lock of the keys, and knows that they are new.
pub async fn insert(conn: &mut PgConnection, new: &[Condition]) -> sqlx::Result<()> {
    let attributes: Vec<String> = new.iter().map(|one| one.attribute.clone()).collect();
    let operators: Vec<String> = new.iter().map(|one| one.operator.key().to_owned()).collect();
    let values: Vec<String> = new.iter().map(|one| one.value.clone()).collect();
    sqlx::query!(
        "INSERT INTO mapping_detail (attribute, operator, value) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
        &attributes,
        &operators,
        &values,
    )
    .execute(conn)
    .await
    .map(drop)
}

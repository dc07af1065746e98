//! The conditions of a [`ChargeFilter`](super::charge_filter::ChargeFilter) as SQL, once for lines and for their sums.
//!
//! The macros of sqlx check a query that is one literal, or several joined by `+`: these macros put what is selected,
//! the conditions and what follows them together. Arguments of what is selected and of what follows are numbered on
//! from those of the conditions.

/// A query of lines or of their sums by rollup key and day, called `d`, with their key (`k`), whose they are (`m`,
/// `service`, `team`, `environment`) and the conditions on both. Further arguments begin with `$27`.
macro_rules! select_by_key {
    (
        $row:ident, $scope:ident, $filter:ident, $generations:expr,
        [$($select:tt)*], [$($rest:tt)*] $(, $argument:expr)* $(,)?
    ) => {
        sqlx::query_as!(
            $row,
            $($select)*
                + r#"
           JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           LEFT JOIN environment ON environment.environment_id = m.environment_id
           WHERE d.generation_id = ANY($2::bigint[])
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($3::bigint IS NULL OR m.service_id = $3)
             AND ($4::bigint IS NULL OR m.environment_id = $4)
             AND ($5::bigint IS NULL OR coalesce(service.team_id, 0) = $5)
             AND ($6::text IS NULL OR coalesce(k.provider_name, '') = $6)
             AND ($7::text IS NULL OR coalesce(k.charge_category, '') = $7)
             AND ($8::text IS NULL OR d.billing_currency = $8)
             AND ($9::text IS NULL OR coalesce(k.sub_account_id, '') = $9)
             AND ($10::text IS NULL OR coalesce(k.service_name, '') = $10)
             AND ($11::text IS NULL OR k.region_id = $11)
             AND ($12::text IS NULL OR k.sku_id = $12)
             AND ($13::bool IS NULL OR (coalesce(k.charge_class, '') = 'Correction') = $13)
             AND ($14::text IS NULL OR lower(btrim(coalesce(k.invoice_issuer_name, ''))) = lower(btrim($14)))
             AND ($15::jsonb IS NULL OR k.mapping_tags = $15)
             AND ($16::text IS NULL OR coalesce(dimension_value(m.dimensions, $16, team.cost_center), '') = $17::text)
             AND ($18::text IS NULL OR coalesce(k.mapping_tags ->> '@column:CommitmentDiscountId', '') = $18)
             AND ($19::text IS NULL OR k.commitment_discount_status = $19)
             AND ($20::text IS NULL
                  OR $20 = 'committed' AND (coalesce(k.provider_name, ''), coalesce(k.service_name, ''))
                          IN (SELECT provider_name, service_name FROM committed_service)
                      AND is_charge_part('usage', k.charge_category, k.charge_class, k.commitment_discount_status,
                          k.pricing_category)
                  OR is_charge_part($20, k.charge_category, k.charge_class, k.commitment_discount_status,
                      k.pricing_category))
             AND ($21::text IS NULL OR coalesce(team.cost_center, '') = $21)
             AND ($22::bool IS NULL OR (m.service_id <> 0) = $22)
             AND ($23::text IS NULL OR coalesce(k.service_category, '') = $23)
             AND ($24::text IS NULL
                  OR CASE k.commitment_discount_status WHEN 'Unused' THEN 'Unused' WHEN 'Used' THEN 'Committed'
                     ELSE coalesce(k.pricing_category, '') END = $24)
             AND ($25::uuid[] IS NULL OR d.rollup_key_id = ANY($25))
             AND ($26::text[] IS NULL OR environment.kind = ANY($26))
           "#
                + $($rest)*,
            $scope.team_ids() as Option<&[i64]>,
            $generations,
            $filter.service_id,
            $filter.environment_id,
            $filter.team_id,
            $filter.provider_name,
            $filter.charge_category,
            $filter.billing_currency,
            $filter.sub_account_id,
            $filter.service_name,
            $filter.region_id,
            $filter.sku_id,
            $filter.is_correction,
            $filter.invoice_issuer_name,
            $filter.mapping_tags,
            $filter.dimension.as_ref().map(|(name, _)| name),
            $filter.dimension.as_ref().map(|(_, value)| value),
            $filter.commitment_id,
            $filter.commitment_status,
            $filter.part.map(crate::store::charges::ChargePart::key),
            $filter.cost_center,
            $filter.is_allocated,
            $filter.service_category,
            $filter.pricing,
            $filter.rollup_key_ids.as_deref() as Option<&[uuid::Uuid]>,
            $filter.environment_kinds.as_deref() as Option<&[String]>
            $(, $argument)*
        )
    };
}

/// The same of lines (`charge_line`), with the conditions on what no rollup is kept by. Further arguments begin with
/// `$34`.
macro_rules! select_lines {
    (
        $row:ident, $scope:ident, $filter:ident, $generations:expr,
        [$($select:tt)*], [$($rest:tt)*] $(, $argument:expr)* $(,)?
    ) => {
        crate::store::charge_conditions::select_by_key!(
            $row, $scope, $filter, $generations,
            [$($select)*],
            [r#"  AND ($27::timestamptz IS NULL OR d.charge_period_start >= $27)
             AND ($28::timestamptz IS NULL OR d.charge_period_start < $28)
             AND ($29::uuid IS NULL OR d.group_id = $29)
             AND ($30::text IS NULL OR coalesce(d.resource_id, '') = $30)
             AND ($31::text IS NULL OR coalesce(d.attributes->>'InvoiceId', '') = $31)
             AND ($32::text IS NULL OR coalesce(d.tags ->> $32, '') = $33::text)
           "# + $($rest)*],
            $filter.start(),
            $filter.end(),
            $filter.group_id,
            $filter.resource_id,
            $filter.invoice_id,
            $filter.tag.as_ref().map(|(key, _)| key),
            $filter.tag.as_ref().map(|(_, value)| value)
            $(, $argument)*
        )
    };
}

pub(super) use {select_by_key, select_lines};

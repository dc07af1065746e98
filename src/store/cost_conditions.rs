//! The conditions of a [`CostFilter`](super::costs::CostFilter) as SQL, once for level 1 of the rollups and once for
//! level 2, as `charge_conditions` has those of lines.
//!
//! What is selected ends with a `WHERE` and at least one condition of its own, such as the days. The conditions are `$1`
//! to `$7`, `$8` is the cost column of the filter, and further arguments begin with `$9`.

/// A query of daily cost, called `d`, and of whose `service` it is.
macro_rules! select_daily {
    ($row:ident, $scope:ident, $filter:ident, $select:tt, $rest:tt $(, $argument:expr)* $(,)?) => {
        crate::store::cost_conditions::select_filtered!(
            $row, $scope, $filter, $select,
            ["d.service_id", "d.environment_id", "d.provider_name", "d.charge_category"],
            $rest $(, $argument)*
        )
    };
}

/// A query of daily cost by rollup key, called `d`, with its key (`k`) and whose it is (`m`, `service`).
macro_rules! select_daily_by_key {
    ($row:ident, $scope:ident, $filter:ident, $select:tt, $rest:tt $(, $argument:expr)* $(,)?) => {
        crate::store::cost_conditions::select_filtered!(
            $row, $scope, $filter, $select,
            ["m.service_id", "m.environment_id", "coalesce(k.provider_name, '')", "coalesce(k.charge_category, '')"],
            $rest $(, $argument)*
        )
    };
}

/// Both, with the columns that they find service, environment, provider and category in.
macro_rules! select_filtered {
    (
        $row:ident, $scope:ident, $filter:ident, [$($select:tt)*],
        [$service:tt, $environment:tt, $provider:tt, $category:tt], [$($rest:tt)*] $(, $argument:expr)*
    ) => {
        sqlx::query_as!(
            $row,
            $($select)*
                + r#"
              AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
              AND ($2::bigint IS NULL OR "# + $service + r#" = $2)
              AND ($3::bigint IS NULL OR "# + $environment + r#" = $3)
              AND ($4::bigint IS NULL OR coalesce(service.team_id, 0) = $4)
              AND ($5::text IS NULL OR "# + $provider + r#" = $5)
              AND ($6::text IS NULL OR "# + $category + r#" = $6)
              AND ($7::text IS NULL OR d.billing_currency = $7)
            "#
                + $($rest)*,
            $scope.team_ids() as Option<&[i64]>,
            $filter.service_id,
            $filter.environment_id,
            $filter.team_id,
            $filter.provider_name,
            $filter.charge_category,
            $filter.currency,
            $filter.basis.key()
            $(, $argument)*
        )
    };
}

pub(super) use {select_daily, select_daily_by_key, select_filtered};

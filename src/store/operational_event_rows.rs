//! Operational events with what placed them, as SQL and of its rows: once for lists and for one alone.
//!
//! The macros of sqlx check a query that is one literal, or several joined by `+`, and give each query a row of its own:
//! these macros put what more is selected and the conditions to what all of them select, and make the same of their rows.

/// A query of operational events, called `o`, with their source (`s`), environment (`e`), rules, pin, and when an alert
/// whose end was never told was mentioned last: only incidents have that, and of nothing else it is looked up. The first
/// argument is since when such an alert is silent; further ones begin with `$2`.
macro_rules! select_matched {
    ([$more:tt], [$conditions:tt], $silent_since:expr $(, $argument:expr)* $(,)?) => {
        sqlx::query!(
            r#"SELECT o.operational_event_id AS "operational_event_id!", o.kind AS "kind!", o.status AS "status!",
                  o.severity, o.title AS "title!", o.started_at AS "started_at!", o.ended_at,
                  CASE WHEN o.ended_at IS NULL AND o.kind = 'incident'
                       THEN (SELECT lost.at FROM lost_ends(o.operational_event_id, $1) lost) END AS "last_mention_at?",
                  o.time_is_received AS "time_is_received!", o.url,
                  s.name AS "source_name!", e.name AS "environment_name?", o.service_rule_id,
                  sr.note AS "service_rule_note?", o.environment_rule_id, er.note AS "environment_rule_note?",
                  p.pinned_by AS "pinned_by?", p.pinned_at AS "pinned_at?", "#
                + $more
                + r#"
           FROM operational_event o JOIN event_source s USING (event_source_id)
           LEFT JOIN environment e USING (environment_id)
           LEFT JOIN mapping_rule sr ON sr.mapping_rule_id = o.service_rule_id
           LEFT JOIN mapping_rule er ON er.mapping_rule_id = o.environment_rule_id
           LEFT JOIN operational_event_pin p
               ON p.event_source_id = o.event_source_id AND p.external_id = o.external_id
           WHERE "#
                + $conditions,
            $silent_since
            $(, $argument)*
        )
    };
}

/// The event and how it came to its services and environment, of a row of `select_matched`.
macro_rules! event_and_matching {
    ($row:ident) => {
        (
            crate::store::operational_events::Listed {
                operational_event_id: $row.operational_event_id,
                kind: $row.kind,
                status: $row.status,
                severity: $row.severity,
                title: $row.title,
                started_at: $row.started_at,
                ended_at: $row.ended_at,
                last_mention_at: $row.last_mention_at,
                time_is_received: $row.time_is_received,
                url: $row.url,
                source_name: $row.source_name,
                environment_name: $row.environment_name,
            },
            crate::store::pins::Matching {
                service_rule_id: $row.service_rule_id,
                service_rule_note: $row.service_rule_note,
                environment_rule_id: $row.environment_rule_id,
                environment_rule_note: $row.environment_rule_note,
                pinned_by: $row.pinned_by,
                pinned_at: $row.pinned_at,
            },
        )
    };
}

pub(super) use {event_and_matching, select_matched};

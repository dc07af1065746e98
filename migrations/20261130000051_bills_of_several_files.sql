-- The current generations, each with the first and the last charge day of the bill that it is a part of: where files
-- add up, all of an account and period are one bill, else each generation is one by itself. A bill of one charge day is
-- of its whole period; one file of many may hold one day each and is not.
CREATE VIEW current_generation AS
SELECT g.generation_id, g.delivery_id, g.source_id, g.billing_account_id, g.billing_period_start, g.billing_period_end,
    g.first_charge_date, g.last_charge_date, g.published_at,
    min(g.first_charge_date) OVER bill AS bill_first_date, max(g.last_charge_date) OVER bill AS bill_last_date
FROM generation g LEFT JOIN source_setting t ON t.source_id = g.source_id AND t.restatement = 'append-by-object'
WHERE g.state = 'current'
WINDOW bill AS (PARTITION BY g.source_id, g.billing_account_id, g.billing_period_start,
    CASE WHEN t.source_id IS NULL THEN g.append_object ELSE '' END);

-- The current generations, each with the first charge day of the bill that it is a part of, and whether such bills are
-- daily ones: where files add up, all of an account and period are one bill, else each generation is one by itself. A bill
-- is daily where one of its files has charges on several days, or all of them on three: two days may be those of a monthly
-- bill and of one correction. Where files add up one daily bill makes all of the account daily: each month begins with a
-- file of one day. Any other bill is of its whole period.
CREATE VIEW current_generation AS
SELECT b.generation_id, b.delivery_id, b.source_id, b.billing_account_id, b.billing_period_start, b.billing_period_end,
    b.first_charge_date, b.last_charge_date, b.published_at, b.bill_first_date,
    coalesce(bool_or(b.first_charge_date < b.last_charge_date
        OR b.first_charge_date > b.bill_first_date AND b.first_charge_date < b.bill_last_date) OVER bills, false)
        AS is_daily
FROM (
    SELECT g.*, joint.bill_object, t.source_id IS NOT NULL AS adds_up,
        min(g.first_charge_date) OVER files AS bill_first_date, max(g.last_charge_date) OVER files AS bill_last_date
    FROM generation g LEFT JOIN source_setting t ON t.source_id = g.source_id AND t.restatement = 'append-by-object'
    CROSS JOIN LATERAL (SELECT CASE WHEN t.source_id IS NULL THEN g.append_object ELSE '' END AS bill_object) joint
    WHERE g.state = 'current'
    WINDOW files AS (PARTITION BY g.source_id, g.billing_account_id, g.billing_period_start, joint.bill_object)
) b
WINDOW bills AS (PARTITION BY b.source_id, b.billing_account_id, b.bill_object,
    CASE WHEN NOT b.adds_up THEN b.billing_period_start END);

-- Whose cost an adjustment is, by service and environment as the rules had it when it was booked, with the names and
-- owners of that moment: what arrives late for a closed month can be charged back, and no later rule, owner or name alters
-- it. What a split moved within the bill is in it. Ids are 0 where no rule names one. What was bought for commitments is told
-- as in the adjustment.
CREATE TABLE month_adjustment_cost (
    adjustment_id bigint NOT NULL REFERENCES month_adjustment,
    service_id bigint NOT NULL,
    service_name text,
    team_id bigint,
    team_name text,
    cost_center text,
    environment_id bigint NOT NULL,
    environment_name text,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric NOT NULL,
    contracted_cost numeric NOT NULL,
    commitment_list_cost numeric NOT NULL,
    commitment_contracted_cost numeric NOT NULL,
    PRIMARY KEY (adjustment_id, service_id, environment_id)
);

-- The parts of each adjustment. They add up to it: what is not kept by service, because it was booked before that was
-- kept, is a part whose service is not known (NULL).
CREATE VIEW adjustment_part AS
SELECT p.adjustment_id, p.service_id, p.service_name, p.team_name, p.cost_center, p.environment_name, p.charge_count,
       p.billed_cost, p.effective_cost, p.list_cost, p.contracted_cost, p.commitment_list_cost,
       p.commitment_contracted_cost
FROM month_adjustment_cost p
UNION ALL
SELECT rest.adjustment_id, NULL, NULL, NULL, NULL, NULL, rest.charge_count, rest.billed_cost, rest.effective_cost,
       rest.list_cost, rest.contracted_cost, rest.commitment_list_cost, rest.commitment_contracted_cost
FROM (SELECT a.adjustment_id,
             (a.charge_count - coalesce(sum(p.charge_count), 0))::bigint AS charge_count,
             a.billed_cost - coalesce(sum(p.billed_cost), 0) AS billed_cost,
             a.effective_cost - coalesce(sum(p.effective_cost), 0) AS effective_cost,
             a.list_cost - coalesce(sum(p.list_cost), 0) AS list_cost,
             a.contracted_cost - coalesce(sum(p.contracted_cost), 0) AS contracted_cost,
             a.commitment_list_cost - coalesce(sum(p.commitment_list_cost), 0) AS commitment_list_cost,
             a.commitment_contracted_cost - coalesce(sum(p.commitment_contracted_cost), 0)
                 AS commitment_contracted_cost
      FROM month_adjustment a
      LEFT JOIN month_adjustment_cost p ON p.adjustment_id = a.adjustment_id
      GROUP BY a.adjustment_id) rest
WHERE (rest.charge_count, rest.billed_cost, rest.effective_cost, rest.list_cost, rest.contracted_cost,
       rest.commitment_list_cost, rest.commitment_contracted_cost) <> (0, 0, 0, 0, 0, 0, 0);

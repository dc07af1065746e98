-- Evidence of a failed change that somebody disputes ("It did not fail"): an incident beside a deployment need not be its
-- doing. It is about what was known by then: what happens later counts again. That a deployment went back is no matter of
-- opinion, and a mark is taken away by whoever looks at it.
CREATE TABLE deployment_failure_dispute (
    deployment_id bigint PRIMARY KEY REFERENCES deployment ON DELETE CASCADE,
    note text NOT NULL CHECK (note <> ''),
    disputed_by text NOT NULL,
    disputed_at timestamptz NOT NULL
);

-- As change_failures_of was, with what is disputed; pages of a deployment show it.
-- Which deployments failed though they went live, why, and by which evidence. One row a reason and service:
--   rollback  the deployment that took its place went back to an earlier version, or was told to
--   hotfix    in production, what took its place brought a merge request that was labelled as a hotfix and merged since
--   revert    a change that it brought, of whichever repository, was reverted afterwards
--   incident  one of the service began within a day after it went live, before another took its place; one that names
--             no environment is one of production
--   marked    somebody said so
-- What a deployment brought is the commit that was deployed, and, as its list of changes has it, what was merged in its
-- repositories since what was live before was built; going back brings nothing, and a first one not all of history.
-- Incidents are looked up by the hours in which they fall, not joined to all deployments of their service.
-- What brought nothing new takes nobody's place. Of some services, and of what went live since a time: what tells of a
-- failure comes later, so that what went live before is not looked at.
CREATE FUNCTION change_failures_found(services bigint[], since timestamptz) RETURNS TABLE (
    deployment_id bigint, service_id bigint, reason text, failed_at timestamptz, evidence_deployment_id bigint,
    operational_event_id bigint, change_id bigint, replaced_at timestamptz
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH live AS (
    SELECT d.deployment_id, ds.service_id, d.environment_id, e.kind = 'production' AS is_production, d.finished_at,
           ds.is_rollback OR d.kind_told IS NOT DISTINCT FROM 'rollback' AS is_rollback,
           lead(d.deployment_id) OVER place AS replaced_by, lead(d.finished_at) OVER place AS replaced_at,
           coalesce(lead(ds.is_rollback OR d.kind_told IS NOT DISTINCT FROM 'rollback') OVER place, false)
               AS is_rolled_back
    FROM deployment d JOIN deployment_service ds USING (deployment_id)
    JOIN environment e ON e.environment_id = d.environment_id
    WHERE d.status IN ('succeeded', 'superseded') AND d.finished_at IS NOT NULL
      AND d.kind NOT IN ('config_sync', 'restart', 'scale') AND NOT ds.is_noop
      AND ($1 IS NULL OR ds.service_id = ANY ($1))
      -- When it went live, as deployment_by_time has it.
      AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2
    WINDOW place AS (PARTITION BY ds.service_id, d.environment_id
                     ORDER BY d.finished_at, d.event_source_id, d.external_id)
), reverting AS (
    -- `Revert "Faster checkout (#12)" (#13)`, or by the commit that the text names, or by its request: `#12`, `!12`.
    SELECT r.change_id, r.repo, r.happened_at,
           r.reverts || ARRAY(
               SELECT c.sha FROM unnest(r.reverts) AS t (named)
               JOIN change c ON c.repo = r.repo AND c.external_id = ANY (ARRAY[r.repo || t.named, ltrim(t.named, '!')])
               WHERE t.named ~ '^[#!]' AND c.state = 'merged' AND c.sha IS NOT NULL) AS reverts,
           substring(title_without_number(r.title) FROM '^Revert "(.*)"$') AS reverted_title
    FROM change r
    WHERE (r.title LIKE 'Revert "%' OR r.reverts <> '{}') AND r.state <> 'abandoned'
      -- The commit of a request that says so too is that request.
      AND NOT (r.state = 'pushed' AND EXISTS (
          SELECT FROM change m WHERE m.repo = r.repo AND m.state = 'merged' AND is_same_commit(m.sha, r.sha)
            AND (m.title LIKE 'Revert "%' OR m.reverts <> '{}')))
      AND r.happened_at >= $2
), reverted AS (
    -- The changes that these reverted, as far as repositories told of them: of several with one title, the last before.
    SELECT r.change_id, r.repo, r.happened_at, c.happened_at AS reverted_at
    FROM reverting r CROSS JOIN LATERAL (
        SELECT c.happened_at FROM change c
        WHERE c.repo = r.repo AND title_without_number(c.title) = title_without_number(r.reverted_title)
          AND is_same_number(r.reverted_title, c.title, c.external_id)
          AND c.state <> 'abandoned' AND c.happened_at <= r.happened_at
        ORDER BY c.happened_at DESC LIMIT 1) c
    UNION
    SELECT r.change_id, r.repo, r.happened_at, c.happened_at
    FROM reverting r CROSS JOIN unnest(r.reverts) AS t (sha)
    JOIN change c ON c.repo = r.repo AND is_same_commit(c.sha, t.sha) AND c.state <> 'abandoned'
), made_of AS (
    SELECT x.deployment_id, m.repo FROM (SELECT DISTINCT deployment_id FROM live) x
    CROSS JOIN LATERAL (
        SELECT d.repo FROM deployment d WHERE d.deployment_id = x.deployment_id AND d.repo <> ''
        UNION SELECT k.repo FROM deployment_commit k WHERE k.deployment_id = x.deployment_id AND k.repo <> '') m
)
SELECT x.deployment_id, x.service_id, 'rollback' AS reason, x.replaced_at AS failed_at,
       x.replaced_by AS evidence_deployment_id, NULL::bigint AS operational_event_id, NULL::bigint AS change_id,
       x.replaced_at
FROM live x WHERE x.is_rolled_back
UNION ALL
(SELECT x.deployment_id, x.service_id, 'hotfix', h.happened_at, x.replaced_by, NULL::bigint, h.change_id, x.replaced_at
 FROM live x
 JOIN deployment_commit k ON k.deployment_id = x.replaced_by
 JOIN change h ON h.is_hotfix AND is_same_commit(h.sha, k.sha) AND (k.repo = '' OR h.repo = k.repo)
     AND h.state <> 'abandoned' AND h.happened_at >= x.finished_at
 WHERE x.is_production AND NOT x.is_rollback
 UNION
 SELECT x.deployment_id, x.service_id, 'hotfix', h.happened_at, x.replaced_by, NULL, h.change_id, x.replaced_at
 FROM live x
 JOIN made_of m ON m.deployment_id = x.replaced_by
 JOIN change h ON h.is_hotfix AND h.repo = m.repo AND h.state <> 'abandoned'
     AND h.happened_at >= x.finished_at AND h.happened_at <= x.replaced_at
 WHERE x.is_production AND NOT x.is_rollback AND NOT x.is_rolled_back
   AND h.happened_at <= built_at(x.replaced_by, h.repo))
UNION ALL
SELECT x.deployment_id, x.service_id, 'incident', o.started_at, NULL, o.operational_event_id, NULL, x.replaced_at
FROM live x
CROSS JOIN LATERAL (
    SELECT o.operational_event_id, o.started_at
    FROM operational_event_service os JOIN operational_event o ON o.operational_event_id = os.operational_event_id
    WHERE os.service_id = x.service_id AND os.started_at >= x.finished_at
      -- Of these the earlier; where nothing took its place, the first.
      AND os.started_at < least(x.finished_at + interval '24 hours', x.replaced_at)
      AND o.kind = 'incident'
      AND (o.environment_id = x.environment_id OR (o.environment_id IS NULL AND x.is_production))
    -- Not to be joined otherwise: each looks up its own hours. All deployments of a service beside all of its incidents
    -- are very many pairs, and few of them belong together.
    OFFSET 0) o
UNION ALL
(SELECT x.deployment_id, x.service_id, 'revert', r.happened_at, NULL::bigint, NULL::bigint, r.change_id, x.replaced_at
 FROM live x
 JOIN deployment_commit k USING (deployment_id)
 JOIN change c ON is_same_commit(c.sha, k.sha) AND (k.repo = '' OR c.repo = k.repo) AND c.state <> 'abandoned'
 JOIN reverting r ON r.repo = c.repo AND title_without_number(r.reverted_title) = title_without_number(c.title)
     AND is_same_number(r.reverted_title, c.title, c.external_id)
     AND r.happened_at >= x.finished_at AND r.happened_at < x.finished_at + interval '90 days'
 UNION
 SELECT x.deployment_id, x.service_id, 'revert', r.happened_at, NULL, NULL, r.change_id, x.replaced_at
 FROM live x
 JOIN deployment_commit k USING (deployment_id)
 JOIN (SELECT r.*, t.sha AS reverted_sha FROM reverting r CROSS JOIN unnest(r.reverts) AS t (sha)) r
     ON is_same_commit(r.reverted_sha, k.sha) AND (k.repo = '' OR r.repo = k.repo)
     AND r.happened_at >= x.finished_at AND r.happened_at < x.finished_at + interval '90 days'
 UNION
 SELECT x.deployment_id, x.service_id, 'revert', v.happened_at, NULL, NULL, v.change_id, x.replaced_at
 FROM live x
 JOIN made_of m USING (deployment_id)
 JOIN reverted v ON v.repo = m.repo AND v.reverted_at <= x.finished_at
     AND v.happened_at >= x.finished_at AND v.happened_at < x.finished_at + interval '90 days'
 WHERE NOT x.is_rollback
   AND v.reverted_at <= built_at(x.deployment_id, v.repo)
   -- The one that was live before may have been so long ago that it is not among these.
   AND v.reverted_at > (
       SELECT built_at(w.deployment_id, v.repo) FROM deployment w JOIN deployment_service ws USING (deployment_id)
       WHERE ws.service_id = x.service_id AND w.environment_id = x.environment_id AND w.finished_at < x.finished_at
         AND w.status IN ('succeeded', 'superseded') AND w.kind NOT IN ('config_sync', 'restart', 'scale')
         AND NOT ws.is_noop
       ORDER BY w.finished_at DESC, w.event_source_id DESC, w.external_id DESC LIMIT 1))
UNION ALL
SELECT x.deployment_id, x.service_id, 'marked', m.marked_at, NULL, NULL, NULL, x.replaced_at
FROM live x JOIN deployment_failure_mark m USING (deployment_id)
$$;

-- What counts: the same without what is disputed.
CREATE OR REPLACE FUNCTION change_failures_of(services bigint[], since timestamptz) RETURNS TABLE (
    deployment_id bigint, service_id bigint, reason text, failed_at timestamptz, evidence_deployment_id bigint,
    operational_event_id bigint, change_id bigint, replaced_at timestamptz
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT f.deployment_id, f.service_id, f.reason, f.failed_at, f.evidence_deployment_id, f.operational_event_id,
       f.change_id, f.replaced_at
FROM change_failures_found($1, $2) f
LEFT JOIN deployment_failure_dispute p ON p.deployment_id = f.deployment_id
WHERE p.deployment_id IS NULL OR f.reason IN ('marked', 'rollback') OR f.failed_at > p.disputed_at
$$;

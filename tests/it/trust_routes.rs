//! Who may use each route: method, path, what a person must be, and for the API the scope of a token. Files of pages
//! (`.csv`, `.csv.gz`) take a token of read scope of whom the page takes; pages take none.

/// Reviewed by people. `money`: viewer, member, finance. `organisation`: viewer, finance. `bills`: finance, admin. `review`: member, finance.
pub const TABLE: &str = "
GET / signed-in
GET /api/v1/anomalies money read
GET /api/v1/anomalies/{id} money read
POST /api/v1/anomalies/{id}/state review admin
GET /api/v1/catalogue-refreshes bills read
PUT /api/v1/catalogue-refreshes/{name} admin admin
DELETE /api/v1/catalogue-refreshes/{name} admin admin
POST /api/v1/catalogue-refreshes/{name}/now bills admin
GET /api/v1/clusters organisation read
PUT /api/v1/cluster-reports/{name} bills ingest
GET /api/v1/commitments money read
GET /api/v1/costs money read
GET /api/v1/costs.csv money read
GET /api/v1/deliveries bills read
GET /api/v1/deliveries/{id} finance read
POST /api/v1/deliveries/{id}/accept finance admin
POST /api/v1/deliveries/{id}/revert finance admin
POST /api/v1/deliveries/{id}/withdraw finance admin
GET /api/v1/delivery money read
GET /api/v1/deployment-pins signed-in read
GET /api/v1/deployments signed-in read
POST /api/v1/deployments signed-in ingest
GET /api/v1/deployments/{id} signed-in read
PATCH /api/v1/deployments/{id} signed-in ingest
PUT /api/v1/deployments/{id}/pin bills admin
DELETE /api/v1/deployments/{id}/pin bills admin
GET /api/v1/deployments/{id}/unit-costs money read
GET /api/v1/dimensions signed-in read
GET /api/v1/dimensions/{name} money read
GET /api/v1/deployments/{id}/impact money read
GET /api/v1/event-pins signed-in read
POST /api/v1/event-pins/remove bills admin
PUT /api/v1/events/{id}/pin bills admin
DELETE /api/v1/events/{id}/pin bills admin
GET /api/v1/event-sources admin read
PUT /api/v1/event-sources/{name}/reading admin admin
DELETE /api/v1/event-sources/{name}/reading admin admin
POST /api/v1/event-sources/{name}/reading/now admin admin
GET /api/v1/forecast money read
GET /api/v1/environments signed-in read
POST /api/v1/environments bills admin
PATCH /api/v1/environments/{slug} bills admin
DELETE /api/v1/environments/{slug} bills admin
GET /api/v1/goals signed-in read
GET /api/v1/invoices organisation read
POST /api/v1/invoices finance admin
POST /api/v1/invoices/{id}/delete finance admin
GET /api/v1/invoices/{id}/items organisation read
POST /api/v1/invoices/{id}/items finance admin
POST /api/v1/invoices/{id}/items/{item_id}/delete finance admin
GET /api/v1/job-kinds bills read
POST /api/v1/job-kinds bills admin
POST /api/v1/job-kinds/{id}/delete bills admin
POST /api/v1/job-kinds/{id}/restore bills admin
POST /api/v1/job-runs signed-in ingest
GET /api/v1/metrics signed-in read
PUT /api/v1/metrics/{name} bills admin
GET /api/v1/metrics/{name}/points signed-in read
POST /api/v1/metrics/{name}/points signed-in ingest
GET /api/v1/months money read
GET /api/v1/months/{month} money read
POST /api/v1/months/{month}/close finance admin
POST /api/v1/months/{month}/reopen finance admin
GET /api/v1/months/{month}/why money read
GET /api/v1/openapi.json signed-in read
GET /api/v1/plans signed-in read
GET /api/v1/rates signed-in read
POST /api/v1/rates bills admin
POST /api/v1/rates/remove bills admin
POST /api/v1/rates/reporting-currency bills admin
GET /api/v1/rules signed-in read
POST /api/v1/rules bills admin
PATCH /api/v1/rules/{id} bills admin
POST /api/v1/rules/{id}/delete bills admin
GET /api/v1/splits signed-in read
POST /api/v1/splits bills admin
PATCH /api/v1/splits/{id} bills admin
POST /api/v1/splits/{id}/delete bills admin
POST /api/v1/splits/{id}/restore bills admin
GET /api/v1/tag-coverage money read
GET /api/v1/why money read
GET /api/v1/savings money read
POST /api/v1/savings/dismiss review admin
POST /api/v1/savings/undo review admin
GET /api/v1/services signed-in read
POST /api/v1/services bills admin
PATCH /api/v1/services/{slug} bills admin
DELETE /api/v1/services/{slug} bills admin
PUT /api/v1/services/{slug}/goals/{metric} review admin
POST /api/v1/services/{slug}/plans review admin
POST /api/v1/services/{slug}/plans/{id}/delete review admin
POST /api/v1/services/{slug}/goals/{metric}/delete review admin
GET /api/v1/sources bills read
DELETE /api/v1/sources/{name} admin admin
GET /api/v1/sources/{name}/deliveries/{delivery} bills ingest
DELETE /api/v1/sources/{name}/deliveries/{delivery} bills ingest
POST /api/v1/sources/{name}/deliveries/{delivery}/commit bills ingest
PUT /api/v1/sources/{name}/deliveries/{delivery}/parts/{number} bills ingest
GET /api/v1/teams signed-in read
POST /api/v1/teams bills admin
PATCH /api/v1/teams/{slug} bills admin
DELETE /api/v1/teams/{slug} bills admin
GET /api/v1/unit-costs money read
GET /anomalies money
GET /anomalies.csv money
POST /anomalies/thresholds/reset review
GET /anomalies/{id} money
POST /anomalies/{id}/state review
GET /catalogue signed-in
GET /catalogue.csv signed-in
GET /catalogue/add-environment bills
POST /catalogue/add-environment bills
GET /catalogue/add-service bills
POST /catalogue/add-service bills
GET /catalogue/add-team bills
POST /catalogue/add-team bills
GET /catalogue/environments/{slug} bills
POST /catalogue/environments/{slug} bills
GET /catalogue/environments/{slug}/delete bills
POST /catalogue/environments/{slug}/delete bills
POST /catalogue/environments/{slug}/ended bills
POST /catalogue/environments/{slug}/still-runs bills
POST /catalogue/move bills
GET /catalogue/import bills
POST /catalogue/import bills
POST /catalogue/import/take-in bills
POST /catalogue/refreshes admin
POST /catalogue/refreshes/{id}/now bills
POST /catalogue/refreshes/{id}/remove admin
POST /catalogue/refreshes/{id}/remove-rules bills
GET /catalogue/services/{slug} bills
POST /catalogue/services/{slug} bills
GET /catalogue/services/{slug}/delete bills
POST /catalogue/services/{slug}/delete bills
GET /catalogue/teams/{slug} bills
POST /catalogue/teams/{slug} bills
GET /catalogue/teams/{slug}/delete bills
POST /catalogue/teams/{slug}/delete bills
GET /charges money
GET /charges.csv money
GET /charges.focus.csv.gz money
GET /charges/{generation_id}/{line} money
GET /clusters organisation
GET /clusters.csv organisation
POST /clusters/import bills
GET /commitments money
GET /commitments.csv money
GET /deliveries/{id} bills
GET /deliveries/{id}/accept finance
POST /deliveries/{id}/accept finance
POST /deliveries/{id}/retry bills
GET /deliveries/{id}/revert finance
POST /deliveries/{id}/revert finance
GET /deliveries/{id}/withdraw finance
POST /deliveries/{id}/withdraw finance
GET /deployments signed-in
GET /deployments.csv signed-in
GET /deployments/{id} signed-in
POST /deployments/{id}/failure signed-in
POST /deployments/{id}/failure/dispute signed-in
POST /deployments/{id}/failure/dispute/remove signed-in
POST /deployments/{id}/failure/remove signed-in
POST /deployments/{id}/notes review
GET /deployments/{id}/unit-costs.csv money
POST /deployments/{id}/pin bills
POST /deployments/{id}/unpin bills
GET /dimensions signed-in
GET /dimensions.csv signed-in
GET /dimensions/{name} money
GET /docs signed-in
GET /docs/api signed-in
GET /docs/connect/argocd.md signed-in
GET /docs/connect/bitbucket.md signed-in
GET /docs/connect/curl.md signed-in
GET /docs/connect/flux.md signed-in
GET /docs/connect/jenkins.md signed-in
GET /docs/connect/octopus.md signed-in
GET /docs/connect/spinnaker.md signed-in
GET /docs/formats.md signed-in
GET /docs/method signed-in
GET /docs/api/{subject} signed-in
GET /environments money
GET /environments.csv money
GET /environments/{slug} money
GET /events signed-in
GET /events.csv signed-in
GET /events/{id} signed-in
POST /event-pins/remove bills
POST /events/{id}/pin bills
POST /events/{id}/unpin bills
GET /finance/history organisation
GET /finance/history.csv organisation
GET /finance/history/difference.csv organisation
GET /finance/forecast money
GET /finance/forecast.csv money
GET /finance/invoices organisation
POST /finance/invoices finance
GET /finance/invoices.csv organisation
POST /finance/invoices/import finance
POST /finance/invoices/remove finance
GET /finance/invoices/{id} organisation
POST /finance/invoices/{id}/items finance
POST /finance/invoices/{id}/items/remove finance
GET /finance/rates signed-in
POST /finance/rates bills
GET /finance/rates.csv signed-in
POST /finance/rates/import bills
POST /finance/rates/remove bills
POST /finance/rates/reporting bills
GET /finance/statements money
GET /finance/statements.csv money
GET /finance/statements/{month} money
GET /finance/statements/{month}/adjustments.csv organisation
GET /finance/statements/{month}/causes.csv money
GET /finance/statements/{month}/close finance
POST /finance/statements/{month}/close finance
GET /finance/statements/{month}/reopen finance
POST /finance/statements/{month}/reopen finance
GET /healthz public
GET /metrics signed-in
GET /metrics.csv signed-in
POST /metrics bills
POST /metrics/forget-unmapped bills
GET /metrics/new bills
POST /metrics/new bills
GET /metrics/{name} signed-in
POST /metrics/{name} bills
POST /metrics/{name}/delete-values bills
GET /metrics/{name}/unit-costs.csv money
POST /preferences public
GET /readyz public
GET /rules signed-in
GET /rules.csv signed-in
POST /rules bills
GET /rules/new bills
GET /rules/preview bills
POST /rules/restore bills
GET /rules/{id} bills
GET /rules/{id}/change bills
POST /rules/{id}/delete bills
GET /rules/{id}/history signed-in
POST /rules/{id}/history/restore bills
POST /rules/{id}/move bills
GET /savings money
GET /savings.csv money
POST /savings/dismiss review
POST /savings/undo review
GET /search signed-in
GET /services money
GET /services.csv money
GET /services/{slug} money
GET /services/{slug}/delivery.csv money
POST /services/{slug}/goals review
POST /services/{slug}/goals/remove review
POST /services/{slug}/plans review
POST /services/{slug}/plans/remove review
POST /services/{slug}/unit-metric bills
GET /settings/audit admin
GET /settings/audit.csv admin
GET /settings/event-sources admin
POST /settings/event-sources admin
POST /settings/event-sources/deliveries/{id}/read-again admin
GET /settings/event-sources/{id} admin
POST /settings/event-sources/{id}/disable admin
POST /settings/event-sources/{id}/end-old-secret admin
POST /settings/event-sources/{id}/enable admin
POST /settings/event-sources/{id}/plain-token/allow admin
POST /settings/event-sources/{id}/plain-token/refuse admin
POST /settings/event-sources/{id}/read-again admin
POST /settings/event-sources/{id}/reading admin
POST /settings/event-sources/{id}/reading/now admin
POST /settings/event-sources/{id}/reading/pause admin
POST /settings/event-sources/{id}/reading/resume admin
POST /settings/event-sources/{id}/reading/stop admin
POST /settings/event-sources/{id}/rotate admin
GET /settings/job-kinds bills
POST /settings/job-kinds bills
POST /settings/job-kinds/{id}/delete bills
POST /settings/job-kinds/{id}/restore bills
GET /settings/metric-queries admin
POST /settings/metric-queries admin
GET /settings/metric-queries/{id} admin
POST /settings/metric-queries/{id} admin
POST /settings/metric-queries/{id}/pause admin
POST /settings/metric-queries/{id}/resume admin
POST /settings/metric-queries/{id}/ask admin
POST /settings/metric-queries/{id}/delete admin
GET /settings/profile signed-in
POST /settings/profile/end-sessions signed-in
POST /settings/profile/password signed-in
GET /settings/tokens signed-in
POST /settings/tokens signed-in
POST /settings/tokens/{token_id}/revoke signed-in
GET /settings/users admin
GET /settings/users.csv admin
POST /settings/users admin
GET /settings/users/{user_id} admin
POST /settings/users/{user_id} admin
POST /settings/users/{user_id}/disable admin
POST /settings/users/{user_id}/enable admin
POST /settings/users/{user_id}/link admin
GET /sign-in public
POST /sign-in public
POST /sign-out signed-in
GET /sources bills
GET /sources.csv bills
GET /sources/add admin
POST /sources/add admin
GET /sources/{id} bills
POST /sources/{id}/pause admin
POST /sources/{id}/read bills
GET /sources/{id}/remove admin
POST /sources/{id}/remove admin
POST /sources/{id}/resume admin
GET /sources/{id}/setup admin
POST /sources/{id}/setup admin
POST /sources/{id}/test admin
GET /splits signed-in
GET /splits.csv signed-in
POST /splits bills
GET /splits/new bills
GET /splits/preview bills
GET /splits/{id} signed-in
POST /splits/{id}/delete bills
POST /splits/{id}/restore bills
GET /splits/{id}/edit bills
GET /tags money
POST /tags bills
GET /tags.csv money
GET /tags/months.csv money
GET /tags/new bills
GET /tags/required.csv money
GET /tags/teams.csv money
POST /tags/{id}/delete bills
GET /tags/{id}/edit bills
GET /static/{hash}/{*path} public
GET /teams money
GET /teams.csv money
GET /teams/{slug} money
GET /teams/{slug}/delivery.csv money
GET /unit-costs money
GET /unit-costs.csv money
GET /unmapped signed-in
GET /unmapped.csv organisation
GET /unmapped/deployments.csv signed-in
GET /unmapped/events.csv signed-in
GET /unmapped/pipelines.csv signed-in
GET /upload bills
POST /upload bills
POST /v1/metrics signed-in ingest
GET /verify signed-in
POST /verify bills
POST /webhooks/{sender}/{source} public
GET /welcome/{link} public
POST /welcome/{link} public
GET /why money
GET /why.csv money
";

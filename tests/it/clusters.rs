//! Reports of how clusters were used: the cost of their machines by namespace, and no total that changes.

use crate::cluster_reports::pack;
use crate::support::{self, costwake, said};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use bigdecimal::BigDecimal;
use costwake::normalize::cluster_usage::{UsageKind, read_cluster_report};
use costwake::rollup::{ImportRequest, import_file};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: &str = "BilledCost,EffectiveCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,\
    ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,ServiceName,ProviderName,ResourceId";

const PODS: &str = "report_period_start,report_period_end,interval_start,interval_end,pod,namespace,node,resource_id,\
    pod_usage_cpu_core_seconds,pod_request_cpu_core_seconds,node_capacity_cpu_core_seconds,pod_labels";

fn pod(hour: u32, namespace: &str, node: &str, resource_id: &str, used: &str) -> String {
    format!(
        "x,y,2026-10-03 {hour:02}:00:00 +0000 UTC,2026-10-03 {hour:02}:59:59 +0000 UTC,p,{namespace},{node},\
         {resource_id},{used},0,7200,label_a:b\n"
    )
}

fn bill(folder: &Path) -> PathBuf {
    let row = |cost: &str, day: u32, resource: &str| {
        let next = day + 1;
        format!(
            "{cost},{cost},1,USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-{day:02}T00:00:00Z,\
             2026-10-{next:02}T00:00:00Z,Usage,Compute,Machines,Acme,{resource}\n"
        )
    };
    let text = row("10.01", 3, "arn:aws:ec2:eu-west-1:1:instance/i-0ABC")
        + &row("0.99", 3, "arn:aws:ec2:eu-west-1:1:instance/i-0ABC")
        + &row("5", 4, "arn:aws:ec2:eu-west-1:1:instance/i-0ABC")
        + &row("7", 3, "arn:aws:ec2:eu-west-1:1:instance/i-0other");
    let path = folder.join("bill.csv");
    fs::write(&path, format!("{HEADER}\n{text}")).unwrap();
    path
}

/// What OpenShift's operator uploads: the manifest behind the tables.
fn archive(folder: &Path, pods: &str) -> PathBuf {
    let path = folder.join("payload.tar.gz");
    let manifest =
        r#"{"files": ["u_pods.csv", "u_labels.csv"], "date": "2026-10-03", "uuid": "u", "cluster_id": "blue"}"#;
    let labels = "report_period_start,report_period_end,interval_start,interval_end,node,node_labels\nx,y,a,b,n1,l:m\n";
    pack(&path, &[("u_pods.csv", pods), ("u_labels.csv", labels), ("manifest.json", manifest)]);
    path
}

fn run(data: &Path, arguments: &[&str]) -> String {
    let output = costwake(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn show(data: &Path) -> Vec<Value> {
    let output = costwake(data, &["clusters", "show", "--month", "2026-10", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn cost(value: &Value) -> BigDecimal {
    value["EffectiveCost"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_machine_is_split_by_namespace_and_no_total_changes() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let none = costwake(&data, &["clusters", "show", "--month", "2026-10"]);
    assert!(
        !none.status.success() && said(&none).contains("no cluster was reported on: take a report in"),
        "{}",
        said(&none)
    );
    run(&data, &["import", "--source", "own", bill(place.path()).to_str().unwrap()]);
    let exported = |name: &str| {
        let path = place.path().join(name);
        run(&data, &["export", "focus", path.to_str().unwrap()]);
        fs::read_to_string(path).unwrap()
    };
    let before = exported("before.csv");

    // Two hours of a machine with two cores, of which a third is used, and one of a machine that no bill has.
    let rows = pod(0, "shop", "n1", "i-0abc", "3600")
        + &pod(1, "shop", "n1", "i-0abc", "0")
        + &pod(1, "search", "n1", "i-0abc", "1200")
        + &pod(1, "search", "n2", "i-0none", "10");
    let payload = archive(place.path(), &format!("{PODS}\n{rows}"));
    let told = run(&data, &["clusters", "import", payload.to_str().unwrap()]);
    assert!(
        told.contains("5 rows of blue; no total of a bill changes") && told.contains("4810 CPU core-seconds"),
        "{told}"
    );
    assert!(told.contains("1 rows split no cost"), "{told}");

    let [cluster] = &show(&data)[..] else { panic!("one cluster and one kind of usage") };
    let namespaces = &cluster["namespaces"]["USD"];
    // 11 USD by 3600, 1200 and 9600 of 14400 core-seconds.
    assert_eq!(cost(&namespaces["shop"]), "2.75".parse::<BigDecimal>().unwrap());
    assert_eq!(
        cost(&cluster["totals"]["USD"]),
        BigDecimal::from(11),
        "the fourth has no report, the other machine is no part"
    );
    let parts: BigDecimal = namespaces.as_object().unwrap().values().map(cost).sum();
    assert_eq!(parts, BigDecimal::from(11));
    assert_eq!(namespaces["(not used)"]["charges"], 2, "{namespaces}");
    assert_eq!(cluster["without_charge"][0]["node"], "n2");

    // The same again, and a corrected hour: replaced, not added.
    run(&data, &["clusters", "import", payload.to_str().unwrap()]);
    assert_eq!(cost(&show(&data)[0]["namespaces"]["USD"]["shop"]), "2.75".parse::<BigDecimal>().unwrap());
    let table = place.path().join("pods.csv");
    fs::write(&table, format!("{PODS}\n{}", pod(0, "shop", "n1", "i-0abc", "7200"))).unwrap();
    let unnamed = costwake(&data, &["clusters", "import", table.to_str().unwrap()]);
    assert!(said(&unnamed).contains("--cluster NAME"), "{}", said(&unnamed));
    run(&data, &["clusters", "import", "--cluster", "blue", table.to_str().unwrap()]);
    assert_eq!(cost(&show(&data)[0]["namespaces"]["USD"]["shop"]), "5.5".parse::<BigDecimal>().unwrap());

    let text = run(&data, &["clusters", "show", "--month", "2026-10"]);
    assert!(text.contains("split and not added") && text.contains("so it counts nothing"), "{text}");
    let elsewhere = said(&costwake(&data, &["clusters", "show", "--month", "2026-09"]));
    assert!(elsewhere.contains("there is blue from 2026-10-03"), "{elsewhere}");
    assert_eq!(exported("after.csv"), before);
    run(&data, &["verify"]);
    // Handed in as a bill, it is refused with where it belongs.
    let refused = said(&costwake(&data, &["import", table.to_str().unwrap()]));
    assert!(refused.contains("costwake clusters import"), "{refused}");
}

// Sums that Python's Decimal gives.
const PODS_KOKU: &str = "8750200";
const PODS_NISE: &str = "107515597.972229999900944";
const VOLUMES_KOKU: &str = "295027396853760.000000";
const VOLUMES_NISE: &str = "920444382392352767.557";

/// A payload of the operator, as koku has it.
const KOKU: &str = "e6b3701e-1e91-433b-b238-a31e49937558";

/// Where published reports are, and what is known of each.
fn published() -> Option<(PathBuf, Value)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    let Ok(text) = fs::read_to_string(folder.join("data.json")) else {
        support::skipped(&format!("no conformance files in {}", folder.display()));
        return None;
    };
    Some((folder, serde_json::from_str(&text).unwrap()))
}

/// The manifest and the tables of a published payload, packed as one and each by itself.
#[test]
fn a_published_payload_is_read_as_one_archive_and_as_several() {
    let Some((folder, data)) = published() else { return };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("payload.tar.gz");
    let names = [format!("{KOKU}_February-2019-my-ocp-cluster-1.csv"), format!("{KOKU}_storage.csv")];
    let text = |name: &str| fs::read_to_string(folder.join("ocp_koku_2019-02").join(name)).unwrap();
    let rows = |name: &str| data[format!("ocp_koku_2019-02/{name}")]["rows"].as_u64().unwrap();
    let (manifest, tables) = (text("manifest.json"), [text(&names[0]), text(&names[1])]);
    let sum = |text: &str| text.parse::<BigDecimal>().unwrap();
    let expected = BTreeMap::from([(UsageKind::Pods, sum(PODS_KOKU)), (UsageKind::Volumes, sum(VOLUMES_KOKU))]);

    let both = [(names[0].as_str(), tables[0].as_str()), (names[1].as_str(), tables[1].as_str())];
    pack(&path, &[both[0], ("manifest.json", manifest.as_str()), both[1]]);
    let report = read_cluster_report(&path).unwrap();
    assert_eq!(report.row_count, rows(&names[0]) + rows(&names[1]));
    assert_eq!((report.unused_row_count, report.sums()), (0, expected.clone()));
    assert!(report.entries.keys().all(|key| key.cluster_id.as_deref() == Some("my-ocp-cluster-1")));
    let payload = report.payload.unwrap();
    assert_eq!((payload.uuid.as_str(), payload.file_count, payload.files), (KOKU, 2, vec![0, 1]));

    for (number, (kind, sum)) in expected.iter().enumerate() {
        pack(&path, &[both[number], ("manifest.json", manifest.as_str())]);
        let report = read_cluster_report(&path).unwrap();
        assert_eq!((report.row_count, &report.sums()[kind]), (rows(&names[number]), sum));
        let file = number as i16;
        assert!(report.entries.keys().all(|key| key.kind == *kind && key.payload_file == file));
        assert_eq!(report.payload.unwrap().files, [file]);
    }
}

/// Rows as `data.json` has them, and sums that were added up by another program from the same files.
#[test]
fn published_reports_are_read_to_the_last_row() {
    let Some((folder, data)) = published() else { return };
    let koku = format!("ocp_koku_2019-02/{KOKU}");
    let cases = [
        (format!("{koku}_February-2019-my-ocp-cluster-1.csv"), Some((UsageKind::Pods, PODS_KOKU))),
        (format!("{koku}_storage.csv"), Some((UsageKind::Volumes, VOLUMES_KOKU))),
        ("generated/nise_May-2026-c1-ocp_pod_usage.csv".to_owned(), Some((UsageKind::Pods, PODS_NISE))),
        ("generated/nise_May-2026-c1-ocp_storage_usage.csv".to_owned(), Some((UsageKind::Volumes, VOLUMES_NISE))),
        ("generated/nise_May-2026-c1-ocp_gpu_usage.csv".to_owned(), None),
        ("generated/nise_May-2026-c1-ocp_namespace_label.csv".to_owned(), None),
        ("generated/nise_May-2026-c1-ocp_node_label.csv".to_owned(), None),
        ("generated/nise_May-2026-c1-ocp_vm_usage.csv".to_owned(), None),
    ];
    for (name, sum) in cases {
        let plain = folder.join(&name);
        let path = if plain.exists() { plain } else { folder.join(format!("{name}.gz")) };
        let report = read_cluster_report(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.row_count, data[&name]["rows"].as_u64().unwrap(), "{name}");
        match sum {
            Some((kind, sum)) => {
                assert_eq!(report.sums()[&kind], sum.parse::<BigDecimal>().unwrap(), "{name}");
                assert_eq!(report.unused_row_count, 0, "{name}");
            }
            None => assert_eq!((report.unused_row_count, report.entries.len()), (report.row_count, 0), "{name}"),
        }
    }
}

/// OpenCost's idle is what nobody used: of its machine where it names one, else of all machines of the day. The machines
/// of the page lead to the lines that were split.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn idle_of_open_cost_is_not_used_and_machines_lead_to_their_lines(db: sqlx::PgPool) {
    let place = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", place.path().join("data").to_str().unwrap()]);
    let app = support::app_with(db, config).await;
    let request = ImportRequest {
        path: bill(place.path()),
        file_name: "bill.csv".into(),
        source: Some("own".into()),
        as_of: None,
        received_by: "test".into(),
        now: chrono::Utc::now(),
    };
    import_file(&app.state.pools, request, |_, _, _| {}).await.unwrap();
    let allocation = |day: u32, name: &str, properties: &str, cost: u32| {
        let (start, end) = (format!("2026-10-{day:02}T00:00:00Z"), format!("2026-10-{:02}T00:00:00Z", day + 1));
        format!(
            "\"{name}\": {{\"properties\": {{\"cluster\": \"c5\"{properties}}}, \"start\": \"{start}\", \
             \"end\": \"{end}\", \"totalCost\": {cost}}}"
        )
    };
    let on = |node: &str, id: &str, namespace: &str| {
        format!(r#", "node": "{node}", "providerID": "{id}", "namespace": "{namespace}""#)
    };
    let third = [
        allocation(3, "c5/n1/shop", &on("n1", "aws:///a/i-0abc", "shop"), 2),
        allocation(3, "c5/n2/search", &on("n2", "aws:///a/i-0other", "search"), 1),
        allocation(3, "c5/__idle__", "", 3),
    ];
    let fourth = [
        allocation(4, "c5/n1/shop", &on("n1", "aws:///a/i-0abc", "shop"), 2),
        allocation(4, "c5/n1/__idle__", r#", "node": "n1""#, 1),
        allocation(4, "c5/n1/i-0abc/__idle__", r#", "node": "n1", "providerID": "aws:///a/i-0abc""#, 1),
    ];
    let report = format!(r#"{{"code": 200, "data": [{{{}}}, {{{}}}]}}"#, third.join(","), fourth.join(","));
    let ingest = app.token(TokenScope::Ingest, Role::Finance).await;
    let put = app.request(Method::PUT, "/api/v1/cluster-reports/opencost.json");
    let put = put.header(header::AUTHORIZATION, format!("Bearer {ingest}"));
    let taken = app.send(put.body(Body::from(report)).unwrap()).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);

    let finance = app.browser(Role::Finance, false, &[]).await;
    let csv = finance.get("/clusters.csv?month=2026-10").await.body;
    let mut rows: Vec<&str> = csv.trim_start_matches('\u{feff}').lines().skip(1).collect();
    rows.sort_unstable();
    let expected = [
        "c5,allocations,(not used),USD,11.5,11.5,4,",
        "c5,allocations,search,USD,3.5,3.5,1,",
        "c5,allocations,shop,USD,8,8,3,",
    ];
    assert_eq!(rows, expected, "{csv}");
    let page = finance.get("/clusters?month=2026-10").await.body;
    assert!(page.contains("$23.00 of machines were split, $11.50 (50.0%) of it used by nobody"), "{page}");
    assert!(!page.contains("count nothing"), "idle of the cluster is borne: {page}");
    for (id, cost) in
        [("arn:aws:ec2:eu-west-1:1:instance/i-0ABC", "16"), ("arn:aws:ec2:eu-west-1:1:instance/i-0other", "7")]
    {
        let html = scraper::Html::parse_document(&page);
        let row = scraper::Selector::parse("th a.row").unwrap();
        let link = html.select(&row).find(|link| link.text().collect::<String>() == id).expect(id);
        let lines = link.attr("href").unwrap().replacen("/charges", "/charges.csv", 1);
        let lines = finance.get(&lines).await.body;
        let sum: BigDecimal = super::finance::sum(&lines, "EffectiveCost");
        assert_eq!(sum, cost.parse::<BigDecimal>().unwrap(), "{lines}");
    }
}

/// The same split on the page, in its file and by the API, and reports handed in by both.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn clusters_have_a_page_and_an_api(db: sqlx::PgPool) {
    let place = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", place.path().join("data").to_str().unwrap()]);
    let app = support::app_with(db, config).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let empty = finance.get("/clusters").await;
    assert!(empty.body.contains("No cluster was reported on yet"), "{}", empty.body);
    let request = ImportRequest {
        path: bill(place.path()),
        file_name: "bill.csv".into(),
        source: Some("own".into()),
        as_of: None,
        received_by: "test".into(),
        now: chrono::Utc::now(),
    };
    import_file(&app.state.pools, request, |_, _, _| {}).await.unwrap();
    let rows = pod(0, "shop", "n1", "i-0abc", "3600")
        + &pod(1, "shop", "n1", "i-0abc", "0")
        + &pod(1, "search", "n1", "i-0abc", "1200")
        + &pod(1, "search", "n2", "i-0none", "10");
    let text = format!("{PODS}\n{rows}");

    let ingest = app.token(TokenScope::Ingest, Role::Finance).await;
    let put = async |path: &str, body: &str| {
        let request = app.request(Method::PUT, path).header(header::AUTHORIZATION, format!("Bearer {ingest}"));
        app.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let unnamed = put("/api/v1/cluster-reports/pods.csv", &text).await;
    assert_eq!(unnamed.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unnamed.body);
    let no_report = put("/api/v1/cluster-reports/x.csv?cluster=blue", "a,b\n1,2\n").await;
    assert_eq!(no_report.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", no_report.body);
    for _ in 0..2 {
        let taken = put("/api/v1/cluster-reports/pods.csv?cluster=blue", &text).await;
        assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
        assert_eq!((&taken.json()["clusters"][0], &taken.json()["row_count"]), (&"blue".into(), &4.into()));
    }

    let read = app.token(TokenScope::Read, Role::Viewer).await;
    let list = app.api("GET", "/api/v1/clusters?month=2026-10", &read, Value::Null).await.json();
    let cluster = &list["clusters"][0];
    assert_eq!((&cluster["totals"][0]["effective_cost"], &cluster["kind"]), (&"11".into(), &"pods".into()), "{list}");
    let parts: BTreeMap<&str, &str> = cluster["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["namespace"].as_str().unwrap(), one["effective_cost"].as_str().unwrap()))
        .collect();
    assert_eq!(parts["shop"], "2.75");
    let sum: BigDecimal = parts.values().map(|cost| cost.parse::<BigDecimal>().unwrap()).sum();
    assert_eq!(sum, BigDecimal::from(11));
    let machine = serde_json::json!({
        "resource_id": "arn:aws:ec2:eu-west-1:1:instance/i-0ABC",
        "billing_currency": "USD",
        "first_day": "2026-10-03",
        "last_day": "2026-10-03",
        "billed_cost": "11",
        "effective_cost": "11",
        "charge_count": 2,
    });
    assert_eq!(cluster["machines"], serde_json::json!([machine]));
    assert_eq!(cluster["without_charge"][0]["node"], "n2");
    let wrong = app.api("GET", "/api/v1/clusters?month=Oct", &read, Value::Null).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let page = finance.get("/clusters").await;
    for words in ["$11.00 of machines were split", "used by nobody", "Not used", "n2", "i-0none", "replaced by later"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let csv = finance.get("/clusters.csv?month=2026-10").await;
    assert!(csv.body.contains("blue,pods,shop,USD,2.75,2.75,2"), "{}", csv.body);
    let other = finance.get("/clusters?month=2026-09").await;
    assert!(other.body.contains("There is blue from 3 Oct 2026"), "{}", other.body);

    // By the form: a corrected hour replaces.
    let table = format!("{PODS}\n{}", pod(0, "shop", "n1", "i-0abc", "7200"));
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"pods.csv\"\r\n\r\n{table}\r\n--x\r\n\
         Content-Disposition: form-data; name=\"cluster\"\r\n\r\nblue\r\n--x--\r\n"
    );
    let request = finance
        .request(Method::POST, "/clusters/import")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
    let taken = finance.send(request.body(Body::from(body)).unwrap()).await;
    assert!(taken.location().starts_with("/clusters?done=1+rows+of+blue"), "{} {}", taken.status, taken.body);
    let csv = finance.get("/clusters.csv?month=2026-10").await;
    assert!(csv.body.contains("blue,pods,shop,USD,5.5,5.5,2"), "{}", csv.body);
}

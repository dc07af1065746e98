//! Values by the API and by files, and the unit cost that follows.

use super::{days, ingest, now, point, send, shop};
use crate::support::{TestApp, count, pools};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use costwake::focus::DateRange;
use costwake::rollup::metrics_import;
use costwake::store::Role;
use costwake::store::metric_points::{self, MetricPoint, Reading, Slot};
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn with_key(app: &TestApp, token: &str, metric: &str, key: &str, body: &Value) -> crate::support::Page {
    let request = app
        .request(Method::POST, &format!("/api/v1/metrics/{metric}/points"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", key);
    app.send(request.body(Body::from(body.to_string())).unwrap()).await
}

/// The same values again change nothing; other values of the place take its place; hours make their day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn values_replace_and_hours_make_days(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let body = json!({ "points": [
        point("shop", "2026-10-29", json!(1000.50)),
        point("Shop", "2026-10-30", json!("12345678901234567890.123456789")),
        point("shop", "2026-10-31T00:00:00Z", json!(3)), point("shop", "2026-10-31T23:00:00Z", json!(4)),
    ]});
    for _ in 0..2 {
        assert_eq!(send(&app, &token, "requests", body.clone()).await["points"], 4);
        let expected = [
            "shop 2026-10-29 1000.5",
            "shop 2026-10-30 12345678901234567890.123456789",
            "shop 2026-10-31 7 of 2 hours",
        ];
        assert_eq!(days(&pool, "requests").await, expected);
    }
    // A day that is given as one value has no hours any more, and the other way round.
    send(&app, &token, "requests", json!({ "points": [point("shop", "2026-10-31", json!(50))] })).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_hour").await, 0);
    send(&app, &token, "requests", json!({ "points": [point("shop", "2026-10-29T05:00:00Z", json!(2))] })).await;
    assert_eq!(days(&pool, "requests").await[0], "shop 2026-10-29 2 of 1 hours");
    // A mean is one over its hours.
    let hours = json!({ "points": [point("shop", "2026-10-31T01:00:00Z", json!(100)),
        point("shop", "2026-10-31T02:00:00Z", json!(300))] });
    send(&app, &token, "latency", hours).await;
    assert_eq!(days(&pool, "latency").await, ["shop 2026-10-31 200 of 2 hours"]);
}

/// A reading belongs to its day whichever clock is behind: that of who took it in, or that of who made the day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_reading_is_late_whatever_the_clocks_say(pool: PgPool) {
    shop(&pool).await;
    let shop: i64 =
        sqlx::query_scalar("SELECT service_id FROM service WHERE slug = 'shop'").fetch_one(&pool).await.unwrap();
    let reading = |value: i64| Reading {
        point: MetricPoint {
            metric: "requests".into(),
            service_id: shop,
            environment_id: 0,
            slot: Slot::Hour("2026-10-31T04:00:00Z".parse().unwrap()),
            value: value.into(),
        },
        count: 1,
    };
    let mut conn = pool.acquire().await.unwrap();
    metric_points::add_readings(&mut conn, &[reading(3)], false, "otlp", now()).await.unwrap();
    assert_eq!(days(&pool, "requests").await, Vec::<String>::new(), "a job makes it");
    let made = metric_points::make_late_days(&mut conn, "costwake", now()).await.unwrap();
    assert_eq!(made.map(|(count, _)| count), Some(1));
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 3 of 1 hours"]);
    // Its time was taken before it waited for the job that made the day.
    let before = now() - chrono::TimeDelta::minutes(1);
    metric_points::add_readings(&mut conn, &[reading(4)], false, "otlp", before).await.unwrap();
    assert!(metric_points::make_late_days(&mut conn, "costwake", now()).await.unwrap().is_some());
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 7 of 1 hours"]);
    assert!(metric_points::make_late_days(&mut conn, "costwake", now()).await.unwrap().is_none(), "all are made");
}

/// Added values add up once, however often the request comes; what cannot be added is refused with a sentence.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn additions_come_once(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let add = |value: u32| json!({ "mode": "add", "points": [point("shop", "2026-10-31T04:00:00Z", json!(value))] });
    for (key, value, is_repeated) in [("a", 5, false), ("a", 5, true), ("b", 7, false), ("b", 7, true)] {
        let answer = with_key(&app, &token, "orders", key, &add(value)).await;
        assert_eq!((answer.status, answer.json()["is_repeated"] == json!(is_repeated)), (StatusCode::OK, true));
    }
    assert_eq!(days(&pool, "orders").await, ["shop 2026-10-31 12 of 1 hours"]);
    let twice = json!({ "mode": "add", "points": [point("shop", "2026-10-31T04:00:00Z", json!(1)),
        point("shop", "2026-10-31T04:00:00Z", json!(2))] });
    assert_eq!(with_key(&app, &token, "orders", "c", &twice).await.status, StatusCode::OK);
    assert_eq!(days(&pool, "orders").await, ["shop 2026-10-31 15 of 1 hours"]);
    let day = json!({ "mode": "add", "points": [point("shop", "2026-10-31", json!(1))] });
    for (metric, key, body, sentence) in [
        ("orders", "a", add(6), "sent before with other values"),
        ("orders", "", add(6), "send a header Idempotency-Key"),
        ("orders", "d", day, "kept the other way"),
        ("latency", "e", add(6), "do not add up"),
    ] {
        let answer = with_key(&app, &token, metric, key, &body).await;
        assert!(answer.status.is_client_error() && answer.body.contains(sentence), "{sentence}: {}", answer.body);
    }
    assert_eq!(days(&pool, "orders").await, ["shop 2026-10-31 15 of 1 hours"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_addition").await, 3, "a refused key can be used again");
}

/// All points of a request are taken or none, and each fault names its point.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn wrong_values_are_told_one_by_one(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let body = json!({ "points": [
        point("shop", "2026-10-31", json!(1)), point("nobody", "2026-10-31", json!(1)),
        point("shop", "2026-10-31T04:30:00Z", json!(1)), point("shop", "2026-10-30", json!(-1)),
        point("shop", "2026-10-31", json!(2)), point("shop", "2026-10-29", json!("NaN")),
    ]});
    let answer = app.api("POST", "/api/v1/metrics/requests/points", &token, body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    for part in [
        "points[1]: there is no service “nobody”",
        "points[2]: “2026-10-31T04:30:00Z” is not the beginning of an hour",
        "points[3]: “-1” is not a value",
        "points[4]: the same service, environment and time came before",
        "points[5]: “NaN” is not a value",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_point").await, 0);
    let reader = app.token(TokenScope::Read, Role::Finance).await;
    let refused = app.api("POST", "/api/v1/metrics/requests/points", &reader, json!({ "points": [] })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

/// A day counts for an environment of its own, for all together, and not before it is whole.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_are_read_by_environment_and_whole_or_not(pool: PgPool) {
    let app = shop(&pool).await;
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ('prod', 'prod', 'production'), ('stage', 'stage', 'staging')")
        .execute(&pool)
        .await
        .unwrap();
    let token = ingest(&app).await;
    let of = |environment: &str, time: &str, value: u32| json!({ "service": "shop", "environment": environment, "time": time, "value": value });
    let body = json!({ "points": [of("prod", "2026-10-29", 10), of("stage", "2026-10-29", 1),
        point("shop", "2026-10-30", json!(7))] });
    send(&app, &token, "requests", body).await;
    let hours: Vec<Value> =
        (0..24).map(|hour| point("shop", &format!("2026-10-31T{hour:02}:00:00Z"), json!(1))).collect();
    send(&app, &token, "requests", json!({ "points": hours[..23] })).await;
    let mut conn = pool.acquire().await.unwrap();
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT environment_id FROM environment WHERE slug IN ('prod', 'stage') ORDER BY slug")
            .fetch_all(&mut *conn)
            .await
            .unwrap();
    let shop: i64 =
        sqlx::query_scalar("SELECT service_id FROM service WHERE slug = 'shop'").fetch_one(&mut *conn).await.unwrap();
    let october = DateRange::new("2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap()).unwrap();
    let mut read = async |environment: Option<i64>| {
        let days = metric_points::daily(&mut conn, "requests", shop, environment, october).await.unwrap();
        let text = |day: &metric_points::MetricDay| {
            format!("{} {} {}", day.charge_date.format("%d"), day.value.normalized(), day.is_whole)
        };
        days.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(read(None).await, ["29 11 true", "30 7 true", "31 23 false"]);
    assert_eq!(read(Some(ids[0])).await, ["29 10 true", "30 7 true", "31 23 false"]);
    assert_eq!(read(Some(ids[1])).await, ["29 1 true", "30 7 true", "31 23 false"]);
    // The last hour is there, but its sender says that it is not over.
    let last = json!({ "complete_through": "2026-10-31T23:30:00Z", "points": hours[23..] });
    send(&app, &token, "requests", last).await;
    assert_eq!(read(None).await[2], "31 24 false");
    send(&app, &token, "requests", json!({ "points": hours[23..] })).await;
    assert_eq!(read(None).await[2], "31 24 true");
}

/// Numbers with an exponent are read to the last digit; what is no value is told in words, beside its point.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn values_are_read_as_programs_write_them(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let path = "/api/v1/metrics/requests/points";
    let body = r#"{"points": [{"service": "shop", "time": "2026-10-30", "value": 1e25},
        {"service": "shop", "time": "2026-10-31", "value": 1.2345678901234567e+16}]}"#;
    let request = app
        .request(Method::POST, path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    let answer = app.send(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let expected = ["shop 2026-10-30 10000000000000000000000000", "shop 2026-10-31 12345678901234567"];
    assert_eq!(days(&pool, "requests").await, expected);
    let wrong =
        json!({ "points": [point("shop", "2026-10-29", Value::Null), point("shop", "2026-10-30", json!([1]))] });
    let answer = app.api("POST", path, &token, wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    for part in ["points[0]: its value is null. Leave a point out", "points[1]: its value is no number"] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
}

/// What is still to come is refused, and a wrong value that is taken away takes with it how far it made values known.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn nothing_is_known_ahead_and_a_wrong_end_can_be_taken_back(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let one = |time: &str| json!([point("shop", time, json!(1))]);
    for (body, sentence) in [
        (json!({ "points": one("2031-11-21") }), "points[0]: “2031-11-21” is still to come"),
        (json!({ "points": one("2026-11-03T09:00:00Z") }), "is still to come"),
        (json!({ "complete_through": "2045-01-01T00:00:00Z", "points": one("2026-10-31") }), "more than a day ahead"),
    ] {
        let answer = app.api("POST", "/api/v1/metrics/requests/points", &token, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        assert!(answer.body.contains(sentence), "{sentence}: {}", answer.body);
    }
    let file = b"metric,service,day,value\nrequests,shop,2031-11-21,1\n";
    let refused = metrics_import::import(&pools(&pool), file, "test", "", now()).await.unwrap_err().to_string();
    assert!(refused.contains("Line 2: “2031-11-21” is still to come"), "{refused}");
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_reach").await, 0);

    let reach = async || {
        let text = "SELECT to_char(complete_through AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM metric_reach";
        sqlx::query_scalar::<_, String>(text).fetch_all(&pool).await.unwrap()
    };
    send(&app, &token, "requests", json!({ "points": one("2026-10-29T05:00:00Z") })).await;
    let far = json!({ "complete_through": "2026-11-03T00:00:00Z", "points": one("2026-10-31") });
    send(&app, &token, "requests", far).await;
    assert_eq!(reach().await, ["11-03 00:00"]);
    for (day, left) in [("2026-10-31", vec!["10-29 06:00"]), ("2026-10-29", vec![])] {
        let form = [("service", "shop"), ("first_day", day), ("last_day", day)];
        let gone = app.post_form("/metrics/requests/delete-values", &form).await;
        assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.body);
        assert_eq!(reach().await, left, "after {day}");
    }
}

/// The page of a service shows what a unit cost: of days that are known only, whatever lacks named.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn unit_cost_leaves_out_what_is_not_known(pool: PgPool) {
    let app = shop(&pool).await;
    let url = "/services/shop?period=2026-10-29..2026-10-31";
    assert!(app.get(url).await.body.contains("No usage is known of these days"));
    let text = b"metric,service,day,value\nrequests,shop,2026-10-29,10000\nrequests,shop,2026-10-31,20000\n\
                 latency,shop,2026-10-29,100\nlatency,shop,2026-10-31,200\n";
    metrics_import::import(&pools(&pool), text, "test", "", now()).await.unwrap();
    let page = app.get(url).await;
    // (30 + 90) / 30,000 × 1,000: the 60 of the day between are not in it.
    for part in ["$4.00", "per 1,000 requests", "30,000", "2 of 3 days are known; 30 Oct are left out", "150"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let metric = app.get("/metrics/requests").await;
    for part in ["2026-10-30", "1 day", "20,000", "1 Nov 2026 00:00 UTC", "from test"] {
        assert!(metric.body.contains(part), "{part}: {}", metric.body);
    }
    let csv = app.get("/metrics/requests.csv").await;
    assert!(csv.body.contains("requests,shop,,2026-10-29,10000\r\n"), "{}", csv.body);
    let list = app.get("/metrics").await;
    assert!(list.body.contains("Usage is known of 2 metrics") && list.body.contains("2026-10-29 to 2026-10-31"));
    // Chosen for the service, a metric without values says so instead of another.
    let chosen = app.post_form("/services/shop/unit-metric", &[("metric", "latency")]).await;
    assert_eq!(chosen.status, StatusCode::BAD_REQUEST, "latencies do not add up");
    let chosen = app.post_form("/services/shop/unit-metric", &[("metric", "requests")]).await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER, "{}", chosen.body);
    let gone = [("service", "shop"), ("first_day", "2026-10-31"), ("last_day", "2026-10-31")];
    let gone = app.post_form("/metrics/requests/delete-values", &gone).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.body);
    assert!(app.get(url).await.body.contains("$3.00"), "30 / 10,000 × 1,000");
}

/// What a metric means is said on its page: days follow from it, and wrong words are refused.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_metric_gets_its_meaning(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let hours = json!({ "points": [point("shop", "2026-10-31T01:00:00Z", json!(4)),
        point("shop", "2026-10-31T02:00:00Z", json!(8))] });
    send(&app, &token, "queue%20depth", hours).await;
    assert_eq!(days(&pool, "queue depth").await, ["shop 2026-10-31 12 of 2 hours"]);
    assert!(app.get("/metrics/queue%20depth").await.body.contains("nobody has said yet what it means"));
    let form = |over_hours: &'static str| {
        [("meaning", "other"), ("unit", "messages"), ("over_hours", over_hours), ("over_services", "sum")]
    };
    let wrong = app.post_form("/metrics/queue%20depth", &form("median")).await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.body.contains("sum, mean or max"), "{}", wrong.body);
    let saved = app.post_form("/metrics/queue%20depth", &form("max")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(days(&pool, "queue depth").await, ["shop 2026-10-31 8 of 2 hours"]);
    let admin = app.token(TokenScope::Admin, Role::Finance).await;
    let body = json!({ "meaning": "other", "over_hours": "mean", "over_services": "mean", "unit": "messages" });
    let put = app.api("PUT", "/api/v1/metrics/queue%20depth", &admin, body).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.body);
    assert_eq!(days(&pool, "queue depth").await, ["shop 2026-10-31 6 of 2 hours"]);
    let taken = json!({ "meaning": "other", "over_hours": "sum", "over_services": "sum",
        "otlp_names": ["http.server.request.count"] });
    let conflict = app.api("PUT", "/api/v1/metrics/hits", &admin, taken).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT, "{}", conflict.body);
}

/// A name that no metric has makes one: the answer and the pages say so, and no cost is divided by it until somebody says
/// what it is.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_mistyped_name_is_told_and_has_no_unit_cost(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let values =
        json!({ "points": [point("shop", "2026-10-29", json!(10000)), point("shop", "2026-10-31", json!(20000))] });
    let made = send(&app, &token, "requets", values.clone()).await;
    assert_eq!((&made["metric"]["created"], &made["metric"]["is_assumed"]), (&json!(true), &json!(true)), "{made}");
    assert!(made["metric"]["note"].as_str().unwrap().contains("There was no metric “requets”"), "{made}");
    let again = send(&app, &token, "requets", values).await;
    assert_eq!((&again["metric"]["created"], &again["metric"]["is_assumed"]), (&json!(false), &json!(true)), "{again}");
    assert!(app.get("/metrics").await.body.contains("New, without unit and meaning"));
    assert!(app.get("/metrics/requets").await.body.contains("no unit cost is made of them"));

    let reader = app.token(TokenScope::Read, Role::Finance).await;
    let asked = "/api/v1/unit-costs?period=2026-10-29..2026-10-31&metric=requets";
    let refused = app.api("GET", asked, &reader, Value::Null).await;
    assert!(refused.status != StatusCode::OK && refused.body.contains("has no unit cost"), "{}", refused.body);
    let url = "/services/shop?period=2026-10-29..2026-10-31";
    assert!(!app.get(url).await.body.contains("Unit cost, per"));

    let form = [("meaning", "requests"), ("unit", "requests"), ("over_hours", "sum"), ("over_services", "sum")];
    let saved = app.post_form("/metrics/requets", &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(app.api("GET", asked, &reader, Value::Null).await.status, StatusCode::OK);
    assert!(app.get(url).await.body.contains("Unit cost, per unit of requests"));
    let known = send(&app, &token, "requests", json!({ "points": [point("shop", "2026-10-29", json!(1))] })).await;
    let expected = json!({ "name": "requests", "created": false, "is_assumed": false, "note": null });
    assert_eq!(known["metric"], expected, "{known}");
}

/// A file by the page: every wrong line is told beside the form, and nothing is taken.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_is_taken_by_the_page(pool: PgPool) {
    let app = shop(&pool).await;
    let upload = async |text: &str| {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{text}\r\n--x--\r\n"
        );
        let request = app
            .request(Method::POST, "/metrics")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
        app.send(request.body(Body::from(body)).unwrap()).await
    };
    let wrong = upload("metric,service,day,value\nrequests,nobody,2026-10-31,1\nrequests,shop,2026-10-31,x\n").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("Line 2: there is no service") && wrong.body.contains("Line 3: “x”"), "{}", wrong.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_point").await, 0);
    let taken = upload("metric,service,hour,value\nrequests,shop,2026-10-31T05:00:00Z,9\n").await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.body);
    assert!(app.get(taken.location()).await.body.contains("1 values of requests were stored"));
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 9 of 1 hours"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_log WHERE action = 'metrics.imported'").await, 1);
}

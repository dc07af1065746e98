use crate::import::Imported;
use crate::pages::Pages;
use std::time::Duration;

/// Everything that was measured.
pub struct Figures {
    pub rows: u64,
    pub copy: Duration,
    pub imported: Imported,
    pub pages: Pages,
}

/// Prints a table, or one JSON object.
pub fn print(figures: &Figures, as_json: bool) {
    let Figures { rows, copy, imported, pages } = figures;
    let seconds = imported.duration.as_secs_f64();
    let import_vs_copy = copy.as_secs_f64() / seconds;
    let rows_per_second = *rows as f64 / seconds;
    if as_json {
        let rounded = |value: f64, digits: i32| (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
        let object = serde_json::json!({
            "rows": rows,
            "import_vs_copy": rounded(import_vs_copy, 2),
            "import_rows_per_s": rows_per_second.round() as u64,
            "import_peak_mib": imported.peak_mib,
            "rollup_share": rounded(imported.rollup_share, 3),
            "page_p50_ms": rounded(pages.p50_ms, 2),
            "page_read_anew_p50_ms": rounded(pages.read_anew_p50_ms, 2),
            "page_p99_200_viewers_ms": rounded(pages.p99_with_viewers_ms, 2),
            "page_vs_render_only": rounded(pages.rate_vs_render_only, 3),
            "events_on_chart_ms": rounded(pages.chart_events.added_ms(), 2),
            "events_page_without_ms": rounded(pages.chart_events.without_ms, 2),
            "events_page_with_ms": rounded(pages.chart_events.with_ms, 2),
            "events_queries_ms": rounded(pages.chart_events.queries_ms, 2),
            "events_html_bytes_without": pages.chart_events.bytes_without,
            "events_html_bytes_with": pages.chart_events.bytes_with,
        });
        println!("{object}");
        return;
    }
    println!("rows                              {rows}");
    println!("psql \\copy, 55 text columns       {:.1} s", copy.as_secs_f64());
    println!("import end to end                 {seconds:.1} s, {rows_per_second:.0} rows/s");
    println!("import against the copy           {import_vs_copy:.2}× (bar 2.5×)");
    println!("peak memory of the import         {} MiB (bar 256)", imported.peak_mib);
    println!("rollup share of the import        {:.1} %", imported.rollup_share * 100.0);
    println!("service page p50, p99 alone       {:.2} ms, {:.2} ms (bar p50 3 ms)", pages.p50_ms, pages.p99_ms);
    println!("the same, days not seen before    {:.2} ms", pages.read_anew_p50_ms);
    println!("service page p99, 200 viewers     {:.2} ms (bar 50 ms)", pages.p99_with_viewers_ms);
    println!("page rate against render only     {:.2}× (bar 0.2×)", pages.rate_vs_render_only);
    let events = &pages.chart_events;
    println!("a year of 6,000 events on it      {:.2} ms (bar 50 ms)", events.added_ms());
    println!("  the page without, with them     {:.2} ms, {:.2} ms", events.without_ms, events.with_ms);
    println!("  of that in the database         {:.2} ms", events.queries_ms);
    println!("  bytes of HTML without, with     {}, {}", events.bytes_without, events.bytes_with);
}

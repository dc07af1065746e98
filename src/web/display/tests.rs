use super::*;
use proptest::prelude::*;

fn decimal(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

#[test]
fn money_follows_its_currency() {
    assert_eq!(money(&decimal("-1234.5"), "USD", 0), "\u{2212}$1,235");
    assert_eq!(money(&decimal("1234.5"), "KWD", minor_units("KWD")), "1,234.500 KWD");
    assert_eq!(money(&decimal("1234.5"), "JPY", minor_units("JPY")), "¥1,235");
    assert_eq!(money_exact(&decimal("0.0123"), "USD"), "$0.0123");
    assert_eq!(signed(&decimal("0.2"), "EUR", 0), "±€0");
}

#[test]
fn rows_add_up_to_their_subtotal_as_it_is_shown() {
    let values = ["100.4", "100.4"].map(decimal);
    let parts = ["200.8", "99.7", "0.4"].map(decimal);
    let rows = under_subtotal(&values, &parts, 1, "USD");
    assert_eq!(rows, [("$101".into(), "33.4%".into()), ("$100".into(), "33.3%".into())]);
    // Of all that there is, the subtotal itself takes what rounding leaves: 299.8 is $300, of which 99.4 is $99.
    let rows = under_subtotal(&["100.2", "100.2"].map(decimal), &["200.4", "0", "99.4"].map(decimal), 0, "USD");
    assert_eq!((rows[0].0.as_str(), rows[1].0.as_str()), ("$101", "$100"));
}

#[test]
fn a_change_against_little_or_nothing_has_no_percentage() {
    let delta = |now: &str, before: &str| Delta::between(&decimal(now), &decimal(before), "USD", 0);
    assert_eq!(delta("44190", "42413").relative, "(+4.2%)");
    assert_eq!(delta("100", "0").relative, "new");
    assert_eq!(delta("100", "20").relative, "small base");
    assert_eq!(delta("90", "100").relative, "(\u{2212}10.0%)");
}

/// Three words beside "more" and "less": within 2 % it is the same, whichever way; what is not told from noise is neither.
#[test]
fn a_small_change_is_the_same_and_an_uncertain_one_is_not_clear() {
    let delta = |now: &str, before: &str| Delta::between(&decimal(now), &decimal(before), "USD", 0);
    for (now, word, class) in [
        ("1021", "more", "up"),
        ("1020", "the same", "flat"),
        ("980", "the same", "flat"),
        ("979", "less", "down"),
        ("1000", "the same", "flat"),
    ] {
        let told = delta(now, "1000");
        assert_eq!((told.word(), told.class()), (word, class), "{now}");
    }
    assert_eq!(delta("1020", "1000").same().as_deref(), Some("the same (+$20)"));
    assert_eq!(delta("1000", "1000").same().as_deref(), Some("the same"));
    assert_eq!((delta("1021", "1000").same(), delta("1", "0").word()), (None, "more"), "new");
    let noise = Delta { reading: Reading::NotClear, ..delta("2000", "1000") };
    assert_eq!((noise.word(), noise.class()), ("not clear", "flat"));
}

#[test]
fn a_table_in_two_currencies_adds_up_in_each() {
    let mut first = Compared::default();
    first.add(true, "USD", &decimal("100.4"));
    first.add(true, "EUR", &decimal("7.005"));
    let mut second = Compared::default();
    second.add(true, "USD", &decimal("100.4"));
    let columns = columns(&["USD".into(), "EUR".into()], &[first, second]);
    let costs: Vec<&str> = columns.rows.iter().flatten().map(|line| line.cost.as_str()).collect();
    assert_eq!(costs, ["$101", "€7.01", "$100"]);
    assert_eq!(columns.total[0].cost, "$201");
    assert_eq!(columns.total[1].cost, "€7.01");
}

#[test]
fn a_figure_is_rounded_the_same_in_a_list_and_on_its_page() {
    let row = |cost: &str, before: &str| {
        let mut row = Compared::default();
        row.add(true, "EUR", &decimal(cost));
        row.add(false, "EUR", &decimal(before));
        row
    };
    let rows = [row("100.4", "50.5"), row("200.4", "50.5"), row("300.4", "50.5")];
    let list = figures(&["EUR".into()], &rows, None);
    let text = |line: &Line| format!("{} {} {}", line.cost, line.before, line.delta.amount);
    let lines: Vec<String> = list.rows.iter().flatten().map(text).collect();
    assert_eq!(lines, ["€100 €51 +€49", "€200 €51 +€149", "€300 €51 +€249"]);
    assert_eq!(list.rounding.iter().map(text).collect::<Vec<_>>(), ["€1 \u{2212}€1 +€2"]);
    assert_eq!(list.total.iter().map(text).collect::<Vec<_>>(), ["€601 €152 +€449"]);
    // The row of the rest takes it.
    let list = figures(&["EUR".into()], &rows, Some(2));
    assert!(list.rounding.is_empty() && text(&list.rows[2][0]) == "€301 €50 +€251", "{:?}", list.rows[2]);
}

#[test]
fn where_no_bill_tells_of_the_days_before_there_is_no_change_and_nothing_new() {
    let mut row = Compared::default();
    row.add(true, "USD", &decimal("30000"));
    row.add(false, "USD", &decimal("1000"));
    let list = figures(&["USD".into()], &[row.clone()], None);
    assert_eq!(list.total[0].delta.amount, "+$29,000");
    assert_eq!(list.clone().compared(true), list);
    let unknown = list.compared(false);
    for line in [&unknown.rows[0][0], &unknown.total[0]] {
        assert_eq!((line.cost.as_str(), line.before.as_str()), ("$30,000", "not known"));
        assert_eq!(line.delta, Delta::unknown());
        assert!(line.delta.relative.is_empty());
    }
}

// Mixed signs, zeros, single rows; 0, 2 and 3 decimals.
proptest! {
    #[test]
    fn n09_shown_rows_add_up_to_the_shown_total(
        amounts in prop::collection::vec((-5_000_000_000i64..5_000_000_000, 0i64..9), 1..40),
        decimals in prop::sample::select(vec![0i64, 2, 3]),
    ) {
        let values: Vec<BigDecimal> =
            amounts.iter().map(|(digits, scale)| BigDecimal::new((*digits).into(), *scale)).collect();
        let total: BigDecimal = values.iter().sum();
        let rows = shown(&values, &total, decimals);
        let sum: BigDecimal = rows.iter().sum();
        prop_assert_eq!(sum, total.with_scale_round(decimals, RoundingMode::HalfUp));
        let unit = BigDecimal::new(1.into(), decimals);
        for (row, value) in rows.iter().zip(&values) {
            prop_assert!((row - value).abs() < unit);
            prop_assert!((row * value).sign() != Sign::Minus);
        }
        let mut reversed: Vec<BigDecimal> = values.clone();
        reversed.reverse();
        let mut pairs: Vec<_> = values.iter().cloned().zip(rows).collect();
        let mut pairs_reversed: Vec<_> = reversed.iter().cloned().zip(shown(&reversed, &total, decimals)).collect();
        pairs.sort();
        pairs_reversed.sort();
        prop_assert_eq!(pairs, pairs_reversed);
    }
}

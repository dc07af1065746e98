//! What commitments take off prices.

use super::*;

// Of one SKU: what a commitment covers, by the cost of it and the cost without one, and what it does not.
fn covered(cost: &str, without: &str) -> Side {
    side(cost, without, without)
}

fn uncovered(cost: &str) -> Side {
    side(cost, cost, cost)
}

fn of_sku(sku: i64, is_covered: bool, now: Side, before: Side) -> Line {
    let mut line = Line { product: 1, sku, ..usage(1, now, before) };
    if is_covered {
        (line.pricing_category, line.commitment_discount_status) = ("Committed".into(), "Used".into());
    }
    line
}

fn only(cause: Cause, amount: &str) -> Vec<Row> {
    vec![Row { cause, amount: number(amount) }, Row { cause: Cause::NotExplained, amount: BigDecimal::zero() }]
}

/// As much of the same is used, three fifths of it under a commitment that takes two fifths off: it begins, and ends.
#[test]
fn a_commitment_that_begins_or_ends_is_the_one_cause() {
    let (with, without) = ((covered("36", "60"), uncovered("40")), uncovered("100"));
    let begins = |(covered, rest): (Side, Side)| {
        vec![of_sku(1, false, rest, uncovered("100")), of_sku(1, true, covered, Side::default())]
    };
    assert_eq!(explain(&input(begins(with.clone()))), only(Cause::Commitments, "-24"));
    let ends = vec![of_sku(1, false, without, with.1.clone()), of_sku(1, true, Side::default(), with.0.clone())];
    assert_eq!(explain(&input(ends)), only(Cause::Commitments, "24"));
    // All of it; and half of it at another discount, with traffic that is known.
    assert_eq!(explain(&input(begins((covered("60", "100"), Side::default())))), only(Cause::Commitments, "-40"));
    let mut known = input(vec![of_sku(1, true, covered("30", "50"), covered("40", "50"))]);
    known.facts.insert(place_of(1), ServiceFacts { traffic: Some((1000.0, 1000.0)), ..ServiceFacts::default() });
    assert_eq!(explain(&known), only(Cause::Commitments, "-10"));
    // Beside it a fifth more is used, as traffic says: neither mix nor efficiency.
    let mut busier = input(begins((covered("36", "60"), uncovered("60"))));
    busier.facts.insert(place_of(1), ServiceFacts { traffic: Some((1200.0, 1000.0)), ..ServiceFacts::default() });
    let rows = explain(&busier);
    let mean = -4.0 / 0.96f64.ln();
    assert!((amount(&rows, Cause::Volume) - mean * 1.2f64.ln()).abs() < 1e-9, "{rows:?}");
    assert!((amount(&rows, Cause::Commitments) - mean * 0.8f64.ln()).abs() < 1e-9, "{rows:?}");
    assert_eq!((rows.len(), sum(&rows)), (3, number("-4")), "{rows:?}");
}

/// A price that rises meanwhile is a price, of what is covered too: 110 without the commitment, of which 66 are paid.
#[test]
fn prices_come_before_commitments() {
    let rows = explain(&input(vec![
        of_sku(1, false, Side::default(), uncovered("100")),
        of_sku(1, true, side("66", "110", "100"), Side::default()),
    ]));
    let mean = -34.0 / 0.66f64.ln();
    assert!((amount(&rows, Cause::ListPrice) - mean * 1.1f64.ln()).abs() < 1e-9, "{rows:?}");
    assert!((amount(&rows, Cause::Commitments) - mean * 0.6f64.ln()).abs() < 1e-9, "{rows:?}");
    assert_eq!(rows.len(), 3, "{rows:?}");
}

/// Some bills have the price of the commitment as ContractedCost and no ListCost: then the rest of the SKU tells its price.
#[test]
fn what_is_covered_costs_without_its_commitment_what_the_rest_of_its_sku_costs() {
    let own_price = || Side { list_cost: BigDecimal::zero(), ..side("36", "36", "60") };
    let lines = |sku| {
        vec![of_sku(sku, false, uncovered("40"), uncovered("100")), of_sku(sku, true, own_price(), Side::default())]
    };
    assert_eq!(explain(&input(lines(1))), only(Cause::Commitments, "-24"));
    // As it is billed, what is covered costs nothing, and what is written there is its price all the same.
    let mut billed = lines(1);
    billed[1].now.cost = BigDecimal::zero();
    assert_eq!(explain(&input(billed)), only(Cause::Commitments, "-60"));
    // Without a SKU the rest may be something else: it stays a mix.
    let rows = explain(&input(lines(0)));
    assert_eq!((amount(&rows, Cause::Commitments), sum(&rows)), (0.0, number("-24")), "{rows:?}");
}

/// A commitment that begins while the bill lacks some days: the rest of the SKU is there, so that no bill is missing of it.
#[test]
fn a_commitment_that_begins_beside_missing_days_is_no_missing_bill() {
    let begins = |covered: Side, rest: Side| {
        let mut lines = vec![of_sku(1, false, rest, uncovered("100")), of_sku(1, true, covered, Side::default())];
        lines.iter_mut().for_each(|line| line.lacking_days = (3, 3));
        input(lines)
    };
    assert_eq!(explain(&begins(covered("36", "60"), uncovered("40"))), only(Cause::Commitments, "-24"));
    // All of it, as it is billed.
    assert_eq!(explain(&begins(covered("0", "100"), Side::default())), only(Cause::Commitments, "-100"));
    // Of another SKU nothing is known on the days that are there.
    let mut other = begins(covered("36", "60"), uncovered("40"));
    other.lines[1].sku = 2;
    assert_eq!(amount(&explain(&other), Cause::BillMissing), 36.0);
}

/// What is billed once for each month is no other thing where a part of it is covered from some month on.
#[test]
fn a_commitment_on_what_is_billed_once_a_month_is_the_one_cause() {
    let mut rest = of_sku(1, false, uncovered("40"), uncovered("100"));
    rest.is_once = true;
    let begins = vec![rest, of_sku(1, true, covered("36", "60"), Side::default())];
    let months = Input { days: 31, ..input(begins) };
    assert_eq!(explain(&months), only(Cause::Commitments, "-24"));
}

/// A provider that bills what is covered as a SKU of its own: one goes, another comes, and the commitment is what is left.
#[test]
fn a_commitment_is_told_across_skus_of_a_product() {
    let begins = vec![
        of_sku(1, false, Side::default(), uncovered("100")),
        of_sku(2, true, covered("60", "100"), Side::default()),
    ];
    assert_eq!(explain(&input(begins)), only(Cause::Commitments, "-40"));
    // Another SKU under the same commitment is none of its doing.
    let another = vec![
        of_sku(1, true, Side::default(), covered("60", "100")),
        of_sku(2, true, covered("60", "100"), Side::default()),
    ];
    let rows = explain(&input(another));
    assert!(rows.iter().all(|row| row.amount.is_zero()), "{rows:?}");
}

/// As it is billed, what is covered costs nothing and its purchase does; the service goes on. Spot stays a mix, and prices
/// before commitments know none.
#[test]
fn a_commitment_takes_nothing_that_is_not_its_own() {
    let billed = vec![
        of_sku(1, false, Side::default(), uncovered("100")),
        of_sku(1, true, covered("0", "100"), Side::default()),
        Line { charge_category: "Purchase".into(), ..of_sku(0, false, uncovered("70"), Side::default()) },
    ];
    assert_eq!(explain(&input(billed)), only(Cause::Commitments, "-30"));
    let mut spot = of_sku(1, false, side("20", "60", "60"), Side::default());
    spot.pricing_category = "Dynamic".into();
    let rows = explain(&input(vec![of_sku(1, false, uncovered("40"), uncovered("100")), spot]));
    assert!(amount(&rows, Cause::Commitments) == 0.0 && amount(&rows, Cause::Mix) != 0.0, "{rows:?}");
    let listed = Side { contracted_cost: number("50"), ..uncovered("60") };
    let mut at_list =
        input(vec![of_sku(1, false, uncovered("40"), uncovered("100")), of_sku(1, true, listed, Side::default())]);
    at_list.is_before_commitments = true;
    assert_eq!(amount(&explain(&at_list), Cause::Commitments), 0.0);
}

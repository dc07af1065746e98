//! Which bills lack, and of which services they make much.

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn source(complete_to: &str) -> SourceReach {
    SourceReach {
        source_id: 1,
        name: "acme".into(),
        account: None,
        bills_from: day("2026-09-01"),
        complete_to: day(complete_to),
        last_charge_date: day(complete_to),
        read_at: DateTime::UNIX_EPOCH,
        is_daily: true,
        settles_after_days: None,
        has_rhythm: true,
    }
}

fn bills(account: &str, is_daily: bool, months: &[&str]) -> AccountBills {
    AccountBills {
        source_id: 1,
        account: account.into(),
        months: months.iter().map(|month| day(&format!("{month}-01"))).collect(),
        is_daily,
        bills_from: None,
        read_at: DateTime::UNIX_EPOCH,
    }
}

fn late_of(complete_to: &str, accounts: &[AccountBills]) -> Vec<(String, String)> {
    let late = late(&[source(complete_to)], accounts, |_| SourceState::Complete);
    late.into_iter().map(|one| (one.name, one.complete_to.to_string())).collect()
}

#[test]
fn an_account_is_late_until_a_whole_period_is_there_without_it() {
    let there = bills("A", true, &["2026-10", "2026-11"]);
    let accounts = [there.clone(), bills("B", true, &["2026-10"])];
    assert_eq!(late_of("2026-11-20", &accounts), [("acme, account B".to_owned(), "2026-10-31".to_owned())]);
    assert!(late_of("2026-11-30", &accounts).is_empty(), "it has ended");
    let next = bills("A", true, &["2026-10", "2026-11", "2026-12"]);
    assert!(late_of("2026-12-02", &[next, bills("B", true, &["2026-10"])]).is_empty(), "it has ended");
    // What is billed once a period comes when it comes.
    assert!(late_of("2026-11-20", &[there, bills("tax", false, &["2026-10"])]).is_empty());
}

#[test]
fn a_late_account_is_as_old_as_its_own_bills() {
    let from = |bills_from: Option<NaiveDate>| {
        let new = AccountBills { bills_from, ..bills("B", true, &["2026-10"]) };
        let accounts = [bills("A", true, &["2026-10", "2026-11"]), new];
        late(&[source("2026-11-20")], &accounts, |_| SourceState::Complete)[0].bills_from
    };
    assert_eq!(from(Some(day("2026-10-22"))), day("2026-10-22"));
    assert_eq!(from(None), day("2026-09-01"), "as the source");
}

#[test]
fn a_source_beside_a_late_account_is_as_old_as_its_other_accounts() {
    let since = |bills: AccountBills, from: &str| AccountBills { bills_from: Some(day(from)), ..bills };
    let beside = |others: &[AccountBills]| -> Vec<(String, bool)> {
        let old = since(bills("A", true, &["2026-09", "2026-10"]), "2026-09-01");
        let accounts: Vec<AccountBills> = std::iter::once(old).chain(others.iter().cloned()).collect();
        let sources = [source("2026-11-19"), SourceReach { source_id: 2, ..source("2026-11-19") }];
        let late = late(&sources, &accounts, |_| SourceState::Complete);
        let rest = beside_late(&sources, &accounts, &late);
        rest.into_iter().map(|one| (one.bills_from.to_string(), one.is_daily)).collect()
    };
    let new = since(bills("B", true, &["2026-11"]), "2026-11-10");
    let tax = since(bills("tax", false, &["2026-10", "2026-11"]), "2026-10-01");
    let ended = since(bills("C", true, &["2026-08", "2026-09"]), "2026-08-01");
    let of = |day: &str, is_daily: bool| vec![(day.to_owned(), is_daily)];
    assert_eq!(beside(&[new.clone(), ended]), of("2026-11-10", true));
    assert_eq!(beside(&[new, tax.clone()]), of("2026-10-01", true));
    assert_eq!(beside(&[tax]), of("2026-10-01", false));
    assert!(beside(&[]).is_empty(), "nothing is late");
}

#[test]
fn periods_between_bills_are_gaps() {
    let of = |accounts: &[AccountBills]| -> Vec<String> {
        gaps(&[source("2026-11-20")], accounts).iter().map(|gap| format!("{} {}", gap.name, gap.period)).collect()
    };
    let whole = [bills("A", true, &["2026-09", "2026-11"])];
    assert_eq!(of(&whole), ["acme 2026-10"], "one gap for all accounts of a source");
    let one = [bills("A", true, &["2026-09", "2026-10", "2026-11"]), bills("B", true, &["2026-09", "2026-11"])];
    assert_eq!(of(&one), ["acme, account B 2026-10"]);
    let rare = [bills("A", true, &["2026-09", "2026-10", "2026-11"]), bills("tax", false, &["2026-09", "2026-11"])];
    assert!(of(&rare).is_empty());
    assert_eq!(unbilled(&whole).iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-10"]);
    assert!(unbilled(&one).is_empty());
}

#[test]
fn a_gap_is_material_for_what_its_bill_makes_much_of() {
    let accounts =
        [bills("A", true, &["2026-09", "2026-10", "2026-11", "2026-12"]), bills("B", true, &["2026-09", "2026-12"])];
    let gaps = gaps(&[source("2026-12-20")], &accounts);
    let months = ["2026-09", "2026-12"].map(|month| month.parse::<BillingPeriod>().unwrap());
    assert_eq!(gaps.iter().map(|gap| gap.beside).collect::<Vec<_>>(), [months, months]);
    // Of the first service B makes a twentieth, of the second a little less, of the third all in one currency.
    let mut beside = Beside::default();
    for (account, service_id, currency, cost) in [
        ("A", 1, "USD", 95),
        ("B", 1, "USD", 5),
        ("A", 2, "USD", 96),
        ("B", 2, "USD", 4),
        ("A", 3, "USD", 1000),
        ("B", 3, "EUR", 1),
        ("A", 4, "USD", 7),
    ] {
        let (cost, currency) = (BigDecimal::from(cost), currency.to_owned());
        for month in months.map(BillingPeriod::first_day) {
            *beside.whole.entry((month, service_id, currency.clone())).or_default() += &cost;
            let bill = beside.bills.entry((month, 1, account.to_owned())).or_default();
            bill.push((service_id, None, currency.clone(), cost.clone()));
        }
    }
    let (services, material) = billed(&gaps[0], &beside);
    assert_eq!(services.iter().map(|(service_id, _)| *service_id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(material, [(1, "USD".to_owned()), (3, "EUR".to_owned())]);
    // Of several together it may make less than of one of them.
    let weights = Weights::new(&gaps, &beside);
    let is_material = |service_ids: &[i64]| !weights.material_currencies(&gaps[0], service_ids).is_empty();
    assert_eq!(weights.material_currencies(&gaps[0], &[2, 3]), ["EUR"], "of their USD it makes little");
    assert_eq!([1, 2, 3, 4].map(|id| is_material(&[id])), [true, false, true, false]);
    assert!(!is_material(&[1, 2]) && !is_material(&[1, 4]) && is_material(&[2, 3]) && !is_material(&[]));
}

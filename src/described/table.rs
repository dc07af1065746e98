use super::{Described, DescribedRule, DescribedService, DescribedTeam};
use crate::allocate::slug;
use crate::focus::repository_name;
use std::collections::BTreeMap;

const LINES_MAX: usize = 20_000;
const COLUMNS: &str = "service, name, team, tier, lifecycle, cost_center, product, repositories, runbook, aliases";

/// Reads a CSV with a column `service`; the others may lack. Several repositories or aliases stand with a semicolon between
/// them. Gives every line that is wrong.
pub fn table(text: &str) -> Result<Described, Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| vec![format!("The file is not readable as CSV: {error}.")];
    let header = reader.headers().map_err(unreadable)?.clone();
    let find = |name: &str| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
    if find("service").is_none() {
        return Err(vec![format!("The file has no column “service”. It may have {COLUMNS}.")]);
    }
    let mut described = Described::default();
    let (mut teams, mut faults, mut seen) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for (index, record) in reader.records().enumerate() {
        if index >= LINES_MAX {
            return Err(vec![format!("The file has more than {LINES_MAX} lines: give it in parts.")]);
        }
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |name: &str| {
            let cell = find(name).and_then(|column| record.get(column)).unwrap_or_default().trim();
            Some(cell).filter(|cell| !cell.is_empty()).map(str::to_owned)
        };
        match service(cell) {
            Err(fault) => faults.push(format!("Line {line}: {fault}")),
            Ok(service) => {
                if let Some(before) = seen.insert(service.slug.clone(), line) {
                    faults.push(format!("Line {line}: the service stands on line {before} too."));
                }
                if let Some((slug, name)) = service.owner.clone().zip(cell("team")) {
                    teams.entry(slug).or_insert(name);
                }
                described.services.push(service);
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    described.teams = teams.into_iter().map(|(slug, name)| DescribedTeam { slug, name, cost_center: None }).collect();
    Ok(described)
}

fn service(cell: impl Fn(&str) -> Option<String>) -> Result<DescribedService, String> {
    let Some(service) = cell("service") else { return Err("it names no service.".into()) };
    let tier = match cell("tier").map(|tier| (tier.parse::<i16>(), tier)) {
        None => None,
        Some((Ok(tier), _)) if (1..=9).contains(&tier) => Some(tier),
        Some((_, text)) => return Err(format!("“{text}” is no tier: write 1 to 9.")),
    };
    let lifecycle = cell("lifecycle").map(|text| text.to_lowercase());
    if lifecycle.as_deref().is_some_and(|text| !["experimental", "production", "deprecated"].contains(&text)) {
        return Err("a lifecycle is experimental, production or deprecated.".into());
    }
    let runbook = cell("runbook");
    if runbook.as_deref().is_some_and(|address| !address.starts_with("https://") && !address.starts_with("http://")) {
        return Err("a runbook is an address that begins with https://.".into());
    }
    let list = |name: &str| -> Vec<String> {
        let text = cell(name).unwrap_or_default();
        text.split(';').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let mut repositories = Vec::new();
    for text in list("repositories") {
        let wrong = || format!("“{}” is no repository: write owner/name.", text.chars().take(60).collect::<String>());
        repositories.push(repository_name(&text).ok_or_else(wrong)?);
    }
    let rules = repositories.iter().map(|name| DescribedRule {
        applies_to: "deployments".into(),
        conditions: vec![("repo".into(), name.clone())],
        evidence: format!("the table says that {name} is its repository"),
    });
    Ok(DescribedService {
        slug: slug(&service),
        name: cell("name").unwrap_or_else(|| service.clone()),
        owner: cell("team").map(|team| slug(&team)),
        lifecycle,
        tier,
        cost_center: cell("cost_center"),
        product: cell("product"),
        runbook,
        aliases: list("aliases"),
        rules: rules.collect(),
        repositories,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_describes_services_and_every_wrong_line_is_told() {
        let text = "Service,Team,Tier,Repositories,Runbook,Aliases\nCheckout API,Payments,1,acme/a; acme/b,https://w.example,co;cart\n";
        let found = table(text).unwrap();
        let service = &found.services[0];
        assert_eq!(
            (service.slug.as_str(), service.owner.as_deref(), service.tier),
            ("checkout-api", Some("payments"), Some(1))
        );
        assert_eq!((service.repositories.len(), service.rules.len(), service.aliases.len()), (2, 2, 2));
        assert_eq!(found.teams[0].name, "Payments");
        let wrong = "service,tier,lifecycle,runbook,repositories\na,10,,,\na,,old,,\n,1,,,\nb,,,ftp://x,\nc,,,,x\nd,,,,\nD,,,,\n";
        let faults = table(wrong).unwrap_err();
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(faults[5].contains("Line 8") && faults[5].contains("line 7"), "{faults:?}");
        assert!(table("team\nx\n").unwrap_err()[0].contains("no column “service”"));
    }
}

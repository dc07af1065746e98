"""N12: counts bills again, in another language and by other code, and compares with what Costwake says of them.

    recount.py files COSTWAKE DATA_SET    every bill of the data set against the receipt of its import
    recount.py demo COSTWAKE DATA_DIR     the bills of a demo organisation against what its ledger exports

Python's decimal for every sum, its csv module for every line; DuckDB reads Parquet and zstd. Prints one line a bill,
and exits 1 where a figure differs.
"""

import collections
import csv
import datetime
import decimal
import glob
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile

Decimal = decimal.Decimal
decimal.getcontext().prec = 120
decimal.getcontext().traps[decimal.Inexact] = True
csv.field_size_limit(1 << 24)

COSTS = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]
MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?$")


class Unreadable(Exception):
    """A line that cannot be counted."""


class Sums:
    """Rows and the four costs by what they are told apart by; a cost that no row has stays None."""

    def __init__(self):
        self.by_key = collections.defaultdict(lambda: [0, None, None, None, None])

    def add(self, key, costs):
        row = self.by_key[key]
        row[0] += 1
        for place, cost in enumerate(costs, 1):
            if cost is not None:
                row[place] = (row[place] or Decimal(0)) + cost


def present(text):
    text = (text or "").strip()
    return None if text == "" or text.upper() == "NULL" else text


def number(text):
    try:
        value = Decimal(text)
    except decimal.InvalidOperation:
        raise Unreadable(text) from None
    if not value.is_finite():
        raise Unreadable(text)
    return value


def month_of(text):
    match = MOMENT.match(text)
    if not match:
        raise Unreadable(text)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        raise Unreadable(text) from None
    return f"{year:04}-{month:02}"


def csv_rows(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        for cells in reader:
            if cells:
                yield dict(zip(header, cells))


def duckdb_rows(path):
    import duckdb

    # As text: a float's is the shortest that reads back as the same float.
    read = "read_parquet(?)" if path.endswith(".parquet") else "read_csv(?, all_varchar = true, header = true)"
    relation = duckdb.connect().execute(f"SELECT COLUMNS(*)::VARCHAR FROM {read}", [path])
    names = [column[0] for column in relation.description]
    while chunk := relation.fetchmany(1000):
        for row in chunk:
            yield dict(zip(names, row))


def rows_of(path):
    return duckdb_rows(path) if path.endswith((".parquet", ".zst")) else csv_rows(path)


def plain(name):
    """`lineItem/UnblendedCost` and `line_item_unblended_cost` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def focus(row):
    by_name = {name.lower(): present(cell) for name, cell in row.items()}

    def required(name, read):
        if name.lower() not in by_name:
            return None
        text = by_name[name.lower()]
        if text is None:
            raise Unreadable(name)
        return read(text)

    billed, effective = required("BilledCost", number), required("EffectiveCost", number)
    currency = required("BillingCurrency", str)
    period = required("BillingPeriodStart", month_of)
    for name in ["BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"]:
        required(name, month_of)
    others = [number(by_name[name]) if by_name.get(name) else None for name in ["listcost", "contractedcost"]]
    return (period, currency), [billed, effective, *others]


def aws(row):
    cell = {plain(name): present(value) for name, value in row.items()}
    amount = lambda name: number(cell.get(name) or "0")
    billed = amount("lineitemunblendedcost")
    effective = {
        "SavingsPlanCoveredUsage": lambda: amount("savingsplansavingsplaneffectivecost"),
        "DiscountedUsage": lambda: amount("reservationeffectivecost"),
        "RIFee": lambda: amount("reservationunusedamortizedupfrontfeeforbillingperiod")
        + amount("reservationunusedrecurringfee"),
        "SavingsPlanRecurringFee": lambda: amount("savingsplantotalcommitmenttodate")
        - amount("savingsplanusedcommitment"),
        "SavingsPlanNegation": lambda: Decimal(0),
        "SavingsPlanUpfrontFee": lambda: Decimal(0),
        "Fee": lambda: Decimal(0) if cell.get("reservationreservationarn") else billed,
    }.get(cell["lineitemlineitemtype"], lambda: billed)()
    listed = cell.get("pricingpublicondemandcost")
    period = month_of(cell["billbillingperiodstartdate"])
    return (period, cell["lineitemcurrencycode"]), [billed, effective, None if listed is None else number(listed)]


def azure(row):
    cell = {plain(name): present(value) for name, value in row.items()}
    first = lambda *names: next((cell[name] for name in names if cell.get(name)), None)
    cost = number(first("costinbillingcurrency", "cost", "pretaxcost"))
    day = first("billingperiodstartdate") or first("date", "usagedatetime")
    american = re.match(r"(\d{1,2})/\d{1,2}/(\d{4})", day)
    period = f"{american[2]}-{int(american[1]):02}" if american else month_of(day)
    return (period, first("billingcurrency", "billingcurrencycode", "currency")), [cost, cost]


def google(row):
    cost = number(present(row["cost"]) or "0")
    credits = row.get("credits") or row.get("credits.amount") or ""
    amounts = re.findall(r"'?\"?amount'?\"?\s*:\s*'?\"?(-?[0-9.eE+-]+)", credits)
    if not amounts and present(row.get("credits.amount")):
        amounts = [row["credits.amount"]]
    cost += sum((number(amount) for amount in amounts), Decimal(0))
    month = row["invoice.month"]
    return (f"{month[:4]}-{month[4:6]}", row["currency"]), [cost, cost]


def oracle(row):
    cost = number(present(row["cost/myCost"]) or "0")
    return (row["lineItem/intervalUsageStart"][:7], row["cost/currencyCode"]), [cost, cost]


READERS = {"FOCUS": focus, "CUR": aws, "AWS": aws, "Azure": azure, "GCP": google, "OCI": oracle}
# The costs that are counted again of each format; of the others the first two.
COLUMNS = {focus: COSTS, aws: COSTS[:3]}
# Files of the data set by format, at the least: one whose format got another name there must not be left out in silence.
FILES_MIN = {focus: 18, aws: 4, azure: 3, google: 2, oracle: 1}


def count(paths, reader):
    sums, unreadable = Sums(), 0
    for path in paths:
        for row in rows_of(path):
            try:
                sums.add(*reader(row))
            except Unreadable:
                unreadable += 1
    return sums, unreadable


def costwake(program, data_dir, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run([program, *arguments, "--data-dir", data_dir], env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 2):
        sys.exit(f"costwake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def differences(sums, told, columns):
    """What differs between the recount and Costwake's figures, each a list by the same keys."""
    found = []
    for key in sorted(set(sums) | set(told), key=str):
        mine, theirs = sums.get(key), told.get(key)
        if mine is None or theirs is None:
            found.append(f"{key}: recounted {mine}, Costwake {theirs}")
            continue
        for name, ours, its in zip(["rows", *columns], mine, theirs):
            # A cost that no row has is null, and no zero.
            if ours != its:
                found.append(f"{key} {name}: recounted {ours}, Costwake {its}")
    return found


def totals(receipt, columns):
    amount = lambda text: None if text is None else Decimal(text)
    return {
        (total["billing_period"][:7], total["billing_currency"]):
            [total["rows"], *(amount(total[name]) for name in columns)]
        for total in receipt["totals"]
    }


def files(program, data_set):
    entries = json.load(open(os.path.join(data_set, "data.json"), encoding="utf-8"))
    wanted = {}
    for name, entry in entries.items():
        kind = (entry.get("format") or "").split()[:1]
        reader = READERS.get(kind[0]) if kind else None
        if reader is None or "another dataset" in entry["format"] or not entry["rows"]:
            continue
        path = os.path.join(data_set, name)
        wanted[path if os.path.exists(path) else path + ".gz"] = reader
    found = collections.Counter(wanted.values())
    for reader, least in FILES_MIN.items():
        if found[reader] < least:
            sys.exit(f"data.json names {found[reader]} files of the format {reader.__name__}, at least {least} before")
    failed = 0
    with tempfile.TemporaryDirectory() as data_dir:
        # Two exports of one Azure bill would be joined in one source, and then say other sums than each by itself.
        together = [path for path, reader in wanted.items() if reader is not azure]
        lines = costwake(program, data_dir, "import", "--json", *together).splitlines()
        by_path = dict(zip(together, lines, strict=True))
        for path, reader in wanted.items():
            if reader is azure:
                # A source's name has no slash.
                source = path.replace("/", " ").strip()[-200:]
                by_path[path] = costwake(program, data_dir, "import", "--json", "--source", source, path)
        receipts = [json.loads(by_path[path]) for path in wanted]
        for (path, reader), receipt in zip(wanted.items(), receipts, strict=True):
            columns = COLUMNS.get(reader, COSTS[:2])
            sums, unreadable = count([path], reader)
            found = differences(sums.by_key, totals(receipt, columns), columns)
            if unreadable != receipt["rejected_rows"]:
                found.append(f"recounted {unreadable} unreadable rows, Costwake {receipt['rejected_rows']}")
            failed += report(os.path.relpath(path, data_set), sums, found)
    return failed


def demo(program, data_dir):
    """Per account, period and currency: a month that was restated counts as its last file has it."""
    bills = [path for path in sorted(glob.glob(os.path.join(data_dir, "demo", "*")))
             if re.search(r"-\d{4}-\d\d\.(csv|csv\.gz|csv\.zst|parquet)$", path)]
    if not bills:
        sys.exit(f"there are no bills in {data_dir}/demo")

    def by_account(row):
        (period, currency), costs = focus(row)
        return (row["BillingAccountId"], period, currency), costs

    sums, unreadable = count(bills, by_account)
    with tempfile.TemporaryDirectory() as folder:
        exported = os.path.join(folder, "all.csv")
        costwake(program, data_dir, "export", "focus", exported)
        told, _ = count([exported], by_account)
    found = differences(sums.by_key, told.by_key, COSTS)
    if unreadable:
        found.append(f"{unreadable} rows cannot be read")
    return report(f"the demo's {len(bills)} bills", sums, found)


def report(name, sums, found):
    rows = sum(row[0] for row in sums.by_key.values())
    print(f"{'DIFFERS' if found else 'ok':8} {name}: {rows} rows, {len(sums.by_key)} totals")
    for line in found:
        print(f"         {line}")
    return bool(found)


if __name__ == "__main__":
    kinds = {"files": files, "demo": demo}
    if len(sys.argv) != 4 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    sys.exit(1 if kinds[sys.argv[1]](*sys.argv[2:]) else 0)

use crate::parquet_table::{Kind, ParquetTable};
use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Columns of FOCUS 1.3 with the version that brought each, times ten.
const COLUMNS: [(&str, u8); 65] = [
    ("AllocatedMethodDetails", 13),
    ("AllocatedMethodId", 13),
    ("AllocatedResourceId", 13),
    ("AllocatedResourceName", 13),
    ("AllocatedTags", 13),
    ("AvailabilityZone", 10),
    ("BilledCost", 10),
    ("BillingAccountId", 10),
    ("BillingAccountName", 10),
    ("BillingAccountType", 12),
    ("BillingCurrency", 10),
    ("BillingPeriodEnd", 10),
    ("BillingPeriodStart", 10),
    ("CapacityReservationId", 11),
    ("CapacityReservationStatus", 11),
    ("ChargeCategory", 10),
    ("ChargeClass", 10),
    ("ChargeDescription", 10),
    ("ChargeFrequency", 10),
    ("ChargePeriodEnd", 10),
    ("ChargePeriodStart", 10),
    ("CommitmentDiscountCategory", 10),
    ("CommitmentDiscountId", 10),
    ("CommitmentDiscountName", 10),
    ("CommitmentDiscountQuantity", 11),
    ("CommitmentDiscountStatus", 10),
    ("CommitmentDiscountType", 10),
    ("CommitmentDiscountUnit", 11),
    ("ConsumedQuantity", 10),
    ("ConsumedUnit", 10),
    ("ContractApplied", 13),
    ("ContractedCost", 10),
    ("ContractedUnitPrice", 10),
    ("EffectiveCost", 10),
    ("HostProviderName", 13),
    ("InvoiceId", 12),
    ("InvoiceIssuerName", 10),
    ("ListCost", 10),
    ("ListUnitPrice", 10),
    ("PricingCategory", 10),
    ("PricingCurrency", 12),
    ("PricingCurrencyContractedUnitPrice", 12),
    ("PricingCurrencyEffectiveCost", 12),
    ("PricingCurrencyListUnitPrice", 12),
    ("PricingQuantity", 10),
    ("PricingUnit", 10),
    ("ProviderName", 10),
    ("PublisherName", 10),
    ("RegionId", 10),
    ("RegionName", 10),
    ("ResourceId", 10),
    ("ResourceName", 10),
    ("ResourceType", 10),
    ("ServiceCategory", 10),
    ("ServiceName", 10),
    ("ServiceProviderName", 13),
    ("ServiceSubcategory", 11),
    ("SkuId", 10),
    ("SkuMeter", 11),
    ("SkuPriceDetails", 11),
    ("SkuPriceId", 10),
    ("SubAccountId", 10),
    ("SubAccountName", 10),
    ("SubAccountType", 12),
    ("Tags", 10),
];

enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Gzip(output) => output.write(bytes),
            Self::Zstd(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Gzip(output) => output.flush(),
            Self::Zstd(output) => output.flush(),
        }
    }
}

enum Table {
    Csv(Box<csv::Writer<Output>>),
    Parquet(Box<ParquetTable<BufWriter<File>>>),
}

/// A FOCUS file being written: CSV, compressed as its name says, or Parquet.
pub struct FocusFile {
    table: Table,
    /// Times ten: 10, 11, 12 or 13.
    version: u8,
    row_count: u64,
}

impl FocusFile {
    /// `version` is 10, 11, 12 or 13; a name that ends in `.gz` or `.zst` is compressed so, `.parquet` is Parquet.
    pub fn create(path: &Path, version: u8) -> anyhow::Result<Self> {
        let file = BufWriter::new(File::create(path).with_context(|| format!("{} cannot be written", path.display()))?);
        let names = COLUMNS.iter().filter(|(_, since)| *since <= version).map(|(name, _)| *name);
        let output = match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => {
                let table = ParquetTable::new(file, names.map(|name| (name, kind(name))))?;
                return Ok(Self { table: Table::Parquet(Box::new(table)), version, row_count: 0 });
            }
            Some("gz") => Output::Gzip(GzEncoder::new(file, Compression::fast())),
            Some("zst") => Output::Zstd(zstd::Encoder::new(file, 3)?),
            _ => Output::Plain(file),
        };
        let mut output = csv::Writer::from_writer(output);
        output.write_record(names)?;
        Ok(Self { table: Table::Csv(Box::new(output)), version, row_count: 0 })
    }

    /// Writes a row; a column that is not named is empty.
    pub fn write(&mut self, cells: &[(&str, &str)]) -> anyhow::Result<()> {
        let cell = |name: &str| cells.iter().find(|(column, _)| *column == name).map_or("", |(_, value)| *value);
        let version = self.version;
        let record = COLUMNS.iter().filter(|(_, since)| *since <= version).map(|(name, _)| cell(name));
        match &mut self.table {
            Table::Csv(output) => output.write_record(record)?,
            Table::Parquet(output) => output.write_row(record)?,
        }
        self.row_count += 1;
        Ok(())
    }

    /// Ends the file and tells its rows.
    pub fn finish(self) -> anyhow::Result<u64> {
        let output = match self.table {
            Table::Csv(output) => output,
            Table::Parquet(output) => {
                output.finish()?.flush()?;
                return Ok(self.row_count);
            }
        };
        let inner = output.into_inner().map_err(|error| anyhow::anyhow!("the bill was not written: {error}"))?;
        match inner {
            Output::Plain(mut output) => output.flush()?,
            Output::Gzip(output) => output.finish()?.flush()?,
            Output::Zstd(output) => output.finish()?.flush()?,
        }
        Ok(self.row_count)
    }
}

/// As the cost exports of cloud providers have them.
fn kind(name: &str) -> Kind {
    let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends_with(&["Cost", "UnitPrice", "Quantity"]) {
        Kind::Decimal { scale: 14 }
    } else if ends_with(&["PeriodStart", "PeriodEnd"]) {
        Kind::Milliseconds
    } else {
        Kind::Text
    }
}

use super::organisation::{Cloud, Workload};

/// One thing that a service buys: a SKU with a unit price.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// FOCUS ServiceName.
    pub service_name: &'static str,
    /// FOCUS ServiceCategory.
    pub service_category: &'static str,
    /// FOCUS SkuMeter, and part of SkuId.
    pub meter: &'static str,
    /// FOCUS ResourceType.
    pub resource_type: &'static str,
    /// FOCUS PricingUnit.
    pub unit: &'static str,
    /// Price of a unit, in 1e-10 of the bill's currency.
    pub unit_price: i64,
    /// Share of the service's bill in an environment.
    pub share: f64,
    /// Whether a savings plan can cover it.
    pub is_compute: bool,
    /// How strongly it follows traffic, 0 to 1.
    pub follows_traffic: f64,
}

#[expect(clippy::too_many_arguments, reason = "a table reads best with one row a component")]
const fn component(
    service_name: &'static str,
    service_category: &'static str,
    meter: &'static str,
    resource_type: &'static str,
    unit: &'static str,
    unit_price: i64,
    share: f64,
    is_compute: bool,
    follows_traffic: f64,
) -> Component {
    Component {
        service_name,
        service_category,
        meter,
        resource_type,
        unit,
        unit_price,
        share,
        is_compute,
        follows_traffic,
    }
}

const AMAZON_WEB: [Component; 6] = [
    component(
        "Amazon Elastic Compute Cloud",
        "Compute",
        "BoxUsage:c7g.xlarge",
        "Instance",
        "Hours",
        1_450_000_000,
        0.46,
        true,
        0.7,
    ),
    component(
        "Amazon Relational Database Service",
        "Databases",
        "InstanceUsage:db.r6g.large",
        "Database instance",
        "Hours",
        2_250_000_000,
        0.22,
        false,
        0.2,
    ),
    component(
        "Amazon ElastiCache",
        "Databases",
        "NodeUsage:cache.r7g.large",
        "Cache node",
        "Hours",
        2_190_000_000,
        0.10,
        false,
        0.3,
    ),
    component(
        "AWS Data Transfer",
        "Networking",
        "DataTransfer-Regional-Bytes",
        "Network",
        "GB",
        100_000_000,
        0.09,
        false,
        1.0,
    ),
    component(
        "Amazon CloudWatch",
        "Management and Governance",
        "DataProcessing-Bytes",
        "Log group",
        "GB",
        5_000_000_000,
        0.08,
        false,
        0.9,
    ),
    component(
        "Amazon Simple Storage Service",
        "Storage",
        "TimedStorage-ByteHrs",
        "Bucket",
        "GB-Month",
        230_000_000,
        0.05,
        false,
        0.1,
    ),
];

const AMAZON_DATA: [Component; 5] = [
    component(
        "Amazon Managed Streaming for Apache Kafka",
        "Analytics",
        "Kafka.m7g.large",
        "Broker",
        "Hours",
        2_040_000_000,
        0.38,
        false,
        0.5,
    ),
    component(
        "Amazon Elastic Compute Cloud",
        "Compute",
        "BoxUsage:r7g.2xlarge",
        "Instance",
        "Hours",
        4_284_000_000,
        0.27,
        true,
        0.6,
    ),
    component(
        "Amazon Simple Storage Service",
        "Storage",
        "TimedStorage-ByteHrs",
        "Bucket",
        "GB-Month",
        230_000_000,
        0.21,
        false,
        0.1,
    ),
    component(
        "AWS Data Transfer",
        "Networking",
        "DataTransfer-Regional-Bytes",
        "Network",
        "GB",
        100_000_000,
        0.09,
        false,
        1.0,
    ),
    component("AWS Glue", "Analytics", "ETL-DPU-Hour", "Job", "DPU-Hours", 4_400_000_000, 0.05, false, 0.4),
];

const AMAZON_TRAINING: [Component; 4] = [
    component(
        "Amazon SageMaker",
        "AI and Machine Learning",
        "ml.g5.2xlarge",
        "Endpoint",
        "Hours",
        15_150_000_000,
        0.52,
        false,
        0.8,
    ),
    component(
        "Amazon Elastic Compute Cloud",
        "Compute",
        "BoxUsage:c7g.xlarge",
        "Instance",
        "Hours",
        1_450_000_000,
        0.26,
        true,
        0.6,
    ),
    component(
        "Amazon DynamoDB",
        "Databases",
        "ReadRequestUnits",
        "Table",
        "Million requests",
        2_500_000_000,
        0.14,
        false,
        1.0,
    ),
    component(
        "Amazon CloudWatch",
        "Management and Governance",
        "DataProcessing-Bytes",
        "Log group",
        "GB",
        5_000_000_000,
        0.08,
        false,
        0.9,
    ),
];

const AMAZON_PLATFORM: [Component; 5] = [
    component(
        "Amazon Elastic Compute Cloud",
        "Compute",
        "SpotUsage:m7g.4xlarge",
        "Instance",
        "Hours",
        2_611_000_000,
        0.36,
        false,
        0.5,
    ),
    component(
        "Amazon Elastic Compute Cloud",
        "Compute",
        "BoxUsage:m7g.2xlarge",
        "Instance",
        "Hours",
        3_264_000_000,
        0.31,
        true,
        0.4,
    ),
    component(
        "Amazon Elastic Kubernetes Service",
        "Compute",
        "AmazonEKS-Hours:perCluster",
        "Cluster",
        "Hours",
        1_000_000_000,
        0.08,
        false,
        0.0,
    ),
    component(
        "Amazon Elastic Block Store",
        "Storage",
        "EBS:VolumeUsage.gp3",
        "Volume",
        "GB-Month",
        800_000_000,
        0.15,
        false,
        0.1,
    ),
    component(
        "Amazon Virtual Private Cloud",
        "Networking",
        "NatGateway-Bytes",
        "NAT gateway",
        "GB",
        450_000_000,
        0.10,
        false,
        1.0,
    ),
];

const AMAZON_EDGE: [Component; 3] = [
    component(
        "Amazon CloudFront",
        "Networking",
        "DataTransfer-Out-Bytes",
        "Distribution",
        "GB",
        850_000_000,
        0.58,
        false,
        1.0,
    ),
    component(
        "AWS Lambda",
        "Compute",
        "Lambda-GB-Second",
        "Function",
        "Million GB-seconds",
        166_667_000_000,
        0.30,
        true,
        1.0,
    ),
    component(
        "Amazon Simple Storage Service",
        "Storage",
        "TimedStorage-ByteHrs",
        "Bucket",
        "GB-Month",
        230_000_000,
        0.12,
        false,
        0.1,
    ),
];

const GOOGLE_DATA: [Component; 4] = [
    component("BigQuery", "Analytics", "Analysis (us)", "Query", "TiB", 62_500_000_000, 0.47, false, 0.5),
    component(
        "Cloud Storage",
        "Storage",
        "Standard Storage US Multi-region",
        "Bucket",
        "GB-Month",
        260_000_000,
        0.22,
        false,
        0.1,
    ),
    component("Dataflow", "Analytics", "vCPU Time Batch", "Job", "Hours", 560_000_000, 0.21, false, 0.6),
    component("Networking", "Networking", "Inter-region egress", "Network", "GB", 200_000_000, 0.10, false, 1.0),
];

const GOOGLE_WEB: [Component; 4] = [
    component(
        "Google Kubernetes Engine",
        "Compute",
        "Autopilot Pod mCPU",
        "Pod",
        "Hours",
        445_000_000,
        0.52,
        true,
        0.8,
    ),
    component("Cloud SQL", "Databases", "Enterprise vCPU", "Database instance", "Hours", 413_000_000, 0.28, false, 0.2),
    component("Networking", "Networking", "Inter-region egress", "Network", "GB", 200_000_000, 0.12, false, 1.0),
    component(
        "Cloud Logging",
        "Management and Governance",
        "Log storage",
        "Log bucket",
        "GB",
        5_000_000_000,
        0.08,
        false,
        0.9,
    ),
];

const GOOGLE_TRAINING: [Component; 4] = [
    component(
        "Vertex AI",
        "AI and Machine Learning",
        "Custom training A100",
        "Training job",
        "Hours",
        29_338_000_000,
        0.58,
        false,
        0.3,
    ),
    component("Compute Engine", "Compute", "G2 instance core", "Instance", "Hours", 711_000_000, 0.24, true, 0.6),
    component(
        "Cloud Storage",
        "Storage",
        "Standard Storage US Multi-region",
        "Bucket",
        "GB-Month",
        260_000_000,
        0.12,
        false,
        0.1,
    ),
    component("Networking", "Networking", "Inter-region egress", "Network", "GB", 200_000_000, 0.06, false, 1.0),
];

const AZURE_WEB: [Component; 4] = [
    component("Virtual Machines", "Compute", "D4s v5", "Virtual machine", "1 Hour", 1_780_000_000, 0.49, true, 0.6),
    component("Azure SQL Database", "Databases", "vCore", "Database", "1 Hour", 2_280_000_000, 0.29, false, 0.2),
    component(
        "Bandwidth",
        "Networking",
        "Standard Data Transfer Out",
        "Network",
        "1 GB",
        790_000_000,
        0.12,
        false,
        1.0,
    ),
    component(
        "Azure Monitor",
        "Management and Governance",
        "Analytics Logs Data Ingestion",
        "Workspace",
        "1 GB",
        26_000_000_000,
        0.10,
        false,
        0.9,
    ),
];

const AZURE_DATA: [Component; 4] = [
    component(
        "Azure Databricks",
        "Analytics",
        "Premium Jobs Compute DBU",
        "Workspace",
        "1 Hour",
        2_760_000_000,
        0.51,
        false,
        0.5,
    ),
    component("Virtual Machines", "Compute", "E8ds v5", "Virtual machine", "1 Hour", 5_300_000_000, 0.25, true, 0.5),
    component(
        "Storage",
        "Storage",
        "Hot LRS Data Stored",
        "Storage account",
        "1 GB/Month",
        170_000_000,
        0.17,
        false,
        0.1,
    ),
    component(
        "Bandwidth",
        "Networking",
        "Standard Data Transfer Out",
        "Network",
        "1 GB",
        790_000_000,
        0.07,
        false,
        1.0,
    ),
];

/// What a service of this kind buys in this cloud. Shares add up to one.
pub fn of(cloud: Cloud, workload: Workload) -> &'static [Component] {
    match (cloud, workload) {
        (Cloud::Amazon, Workload::Web) => &AMAZON_WEB,
        (Cloud::Amazon, Workload::Data) => &AMAZON_DATA,
        (Cloud::Amazon, Workload::Training) => &AMAZON_TRAINING,
        (Cloud::Amazon, Workload::Platform) => &AMAZON_PLATFORM,
        (Cloud::Amazon, Workload::Edge) => &AMAZON_EDGE,
        (Cloud::Google, Workload::Data) => &GOOGLE_DATA,
        (Cloud::Google, Workload::Training) => &GOOGLE_TRAINING,
        (Cloud::Google, _) => &GOOGLE_WEB,
        (Cloud::Azure, Workload::Data) => &AZURE_DATA,
        (Cloud::Azure, _) => &AZURE_WEB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one() {
        for cloud in [Cloud::Amazon, Cloud::Google, Cloud::Azure] {
            for workload in [Workload::Web, Workload::Data, Workload::Training, Workload::Platform, Workload::Edge] {
                let sum: f64 = of(cloud, workload).iter().map(|component| component.share).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{cloud:?} {workload:?}: {sum}");
            }
        }
    }
}

//! Which FOCUS ServiceCategory a provider's service belongs to. What stands in no list is `Other`.

use crate::normalize::cells::trimmed;
use rustc_hash::FxHashMap;

/// By product code, which mostly is the service code too.
pub(super) const AWS: &str = "
AI and Machine Learning|AmazonBedrock|AmazonSageMaker|AmazonComprehend|AmazonRekognition|AmazonLex|AmazonPolly
AI and Machine Learning|AmazonTextract|AmazonQ|transcribe|translate
Analytics|AWSGlue|AmazonAthena|AmazonES|AmazonKinesis|AmazonKinesisAnalytics|AmazonKinesisFirehose|AmazonMSK
Analytics|AmazonQuickSight|ElasticMapReduce|AWSLakeFormation|AmazonDataZone
Business Applications|AmazonConnect|AmazonSES|AmazonWorkMail|AmazonPinpoint|AmazonChime
Compute|AmazonEC2|AWSLambda|AmazonECS|AmazonEKS|AmazonECR|AmazonECRPublic|AmazonLightsail|AWSBatch
Compute|AWSElasticBeanstalk|AWSAppRunner|ComputeSavingsPlans|AmazonWorkSpaces|AWSOutposts
Databases|AmazonRDS|AmazonDynamoDB|AmazonElastiCache|AmazonDocDB|AmazonNeptune|AmazonRedshift|AmazonMemoryDB
Databases|AmazonTimestream|AmazonMCS|AmazonDAX|AmazonSimpleDB|AmazonQLDB
Developer Tools|AWSCloudShell|CodeBuild|AWSCodePipeline|AWSCodeCommit|AWSCodeDeploy|AWSCodeArtifact|AWSXRay
Identity|AmazonCognito|AWSDirectoryService|AmazonCognitoSync
Integration|AWSQueueService|AmazonSNS|AmazonStates|AWSEvents|AmazonMQ|AmazonSWF|AWSAppSync|AmazonAppFlow|AmazonMWAA
Internet of Things|AWSIoT|AWSIoTAnalytics|AWSGreengrass|AWSIoTSiteWise|AWSIoTEvents
Management and Governance|AmazonCloudWatch|AWSCloudTrail|AWSConfig|AWSSystemsManager|AWSCostExplorer
Management and Governance|AWSServiceCatalog|AWSCloudFormation|AmazonGrafana|AmazonPrometheus|AWSSupportBusiness
Management and Governance|AWSSupportEnterprise|AWSDeveloperSupport|AWSServiceQuotas
Media|AWSElementalMediaConvert|AWSElementalMediaLive|AWSElementalMediaPackage|AmazonIVS|AmazonETS
Migration|AWSDatabaseMigrationSvc|AWSDataSync|AWSTransfer|AWSMigrationHubRefactorSpaces|AWSApplicationMigrationSvc
Networking|AmazonVPC|AWSELB|AmazonRoute53|AmazonCloudFront|AWSDataTransfer|AWSDirectConnect|AWSGlobalAccelerator
Networking|AmazonApiGateway|AWSNetworkFirewall|AWSCloudMap|AWSTransitGateway
Security|awskms|AWSSecretsManager|awswaf|AmazonGuardDuty|AmazonInspector|AmazonInspectorV2|AmazonMacie
Security|AWSSecurityHub|AWSShield|AWSCertificateManager|CloudHSM|AmazonDetective|AWSFMS
Storage|AmazonS3|AmazonEFS|AmazonFSx|AmazonGlacier|AmazonS3GlacierDeepArchive|AWSBackup|AWSStorageGateway|AmazonEBS
Web|AWSAmplify|AmazonLocationService";

/// By meter category, and by service family for what has none of these.
pub(super) const AZURE: &str = "
AI and Machine Learning|Azure Machine Learning|Cognitive Services|Azure OpenAI|Azure AI services|Azure Bot Service
AI and Machine Learning|AI + Machine Learning|Foundry Models|Foundry Tools
Analytics|Azure Databricks|Azure Synapse Analytics|Azure Data Explorer|HDInsight|Stream Analytics|Power BI
Analytics|Azure Analysis Services|Azure Cognitive Search|Microsoft Fabric|Azure Data Lake Analytics|Analytics
Compute|Virtual Machines|Virtual Machines Licenses|Virtual Machine Licenses|Azure Kubernetes Service|Functions|Batch
Compute|Azure Container Apps|Container Instances|Container Registry|Cloud Services|Azure VMware Solution
Compute|Azure Dedicated Host|Azure Spring Cloud|Azure Virtual Desktop|Compute|Containers
Databases|SQL Database|SQL Managed Instance|SQL Data Warehouse|Azure Cosmos DB|Azure Database for MySQL
Databases|Azure Database for PostgreSQL|Azure Database for MariaDB|Redis Cache|Azure Managed Redis|Databases
Developer Tools|Azure DevOps|Azure App Configuration|App Configuration|Azure Lab Services|Developer Tools|GitHub
Identity|Azure Active Directory|Microsoft Entra ID|Azure Active Directory B2C|Azure Active Directory Domain Services
Integration|Service Bus|Event Hubs|Event Grid|Logic Apps|API Management|Azure Data Factory|Azure Data Factory v2
Integration|Notification Hubs|Integration
Internet of Things|IoT Hub|IoT Central|Azure Digital Twins|Internet of Things
Management and Governance|Azure Monitor|Log Analytics|Application Insights|Automation|Azure Site Recovery
Management and Governance|Azure Policy|Azure Advisor|Network Watcher|Azure Grafana Service|Management and Governance
Media|Media Services|Media
Migration|Azure Database Migration Service|Data Box|Migration
Mobile|Mobile
Multicloud|Azure Arc|Azure Stack|Azure Stack HCI|Hybrid + Multicloud
Networking|Virtual Network|Load Balancer|Bandwidth|VPN Gateway|Application Gateway|ExpressRoute|Azure DNS|NAT Gateway
Networking|Azure Front Door Service|Content Delivery Network|Azure Firewall|Azure Bastion|Traffic Manager|Virtual WAN
Networking|Azure DDOS Protection|Azure Private Link|Networking
Security|Key Vault|Advanced Data Security|Advanced Threat Protection|Security Center|Microsoft Defender for Cloud
Security|Sentinel|Azure Dedicated HSM|Security
Storage|Storage|Backup|Azure NetApp Files|Azure HPC Cache|Azure Elastic SAN
Web|Azure App Service|SignalR|Azure Maps|Web PubSub|Web";

/// By the description of the service.
pub(super) const GOOGLE: &str = "
AI and Machine Learning|Vertex AI|Gemini API|Cloud Vision API|Cloud Natural Language API|Cloud Translation
AI and Machine Learning|Cloud Speech API|Dialogflow API|Cloud Document AI API|Notebooks
Analytics|BigQuery|BigQuery Reservation API|BigQuery Storage API|Cloud Dataflow|Cloud Dataproc|Cloud Composer|Dataplex
Analytics|Cloud Data Fusion|Looker Studio|Looker|Cloud Pub/Sub Lite
Compute|Compute Engine|Kubernetes Engine|Cloud Run|Cloud Run Functions|Cloud Functions|App Engine|VMware Engine
Compute|Red Hat® OpenShift® Container Platform
Databases|Cloud SQL|Cloud Spanner|Spanner|Cloud Bigtable|Bigtable|Cloud Firestore|Firestore|Firebase Realtime Database
Databases|Cloud Memorystore for Redis|Cloud Memorystore|Memorystore|AlloyDB|MongoDB|Cloud Datastore
Developer Tools|Cloud Build|Artifact Registry|Container Registry|Source Repository|Cloud Deploy|Cloud Scheduler
Identity|Identity Platform|Cloud Identity
Integration|Cloud Pub/Sub|Cloud Tasks|Workflows|Eventarc|Apigee|API Gateway|Application Integration|Service Discovery
Internet of Things|Cloud IoT Core
Management and Governance|Cloud Logging|Stackdriver Logging|Cloud Monitoring|Stackdriver Monitoring|Stackdriver
Management and Governance|Cloud Trace|Support|Cloud Asset Inventory
Media|Transcoder API|Live Stream API|Video Intelligence API
Migration|Transfer Service|Database Migration|Migrate to Virtual Machines|BigQuery Data Transfer Service
Mobile|Firebase|Firebase Hosting|Firebase Test Lab
Networking|Networking|Cloud DNS|Cloud Domains|Cloud CDN|CDN|Cloud NAT|NAT|VPC|Network|Cloud Load Balancing
Networking|Private Service Connect|Cloud VPN|Cloud Interconnect|Traffic Director|Route|IP|Network Intelligence Center
Security|Security Command Center|Cloud Key Management Service (KMS)|Secret Manager|Cloud Armor|Firewall
Security|Certificate Authority Service|reCAPTCHA Enterprise|Cloud Data Loss Prevention
Storage|Cloud Storage|Cloud Filestore|Filestore|Backup for GKE|Backup and DR Service
Web|Maps API|Places API|Geocoding API|Directions API";

/// By product/service.
pub(super) const ORACLE: &str = "
AI and Machine Learning|DATA_SCIENCE|AI_LANGUAGE|AI_VISION|AI_SPEECH|GENERATIVE_AI|DIGITAL_ASSISTANT
Analytics|ANALYTICS|BIG_DATA|DATA_FLOW|DATA_CATALOG|OAC|ORACLE_STREAMING_SERVICE|STREAMING|GOLDENGATE|SEARCH
Compute|COMPUTE|CONTAINER_ENGINE|FUNCTIONS|OKE|CONTAINER_INSTANCES|VMWARE
Databases|DATABASE|MYSQL|NOSQL|POSTGRESQL|ATP|ADW|EXADATA|REDIS|APEX
Developer Tools|DEVOPS|VISUAL_BUILDER|ARTIFACTS|REGISTRY
Identity|IDENTITY|IDENTITY_DOMAINS|IDCS
Integration|INTEGRATION|API_GATEWAY|QUEUE|NOTIFICATION|ONS|EVENTS|DATA_INTEGRATION
Management and Governance|TELEMETRY|MONITORING|LOGGING|LOGGING_ANALYTICS|APM|OPERATIONS_INSIGHTS|STACK_MONITORING
Media|MEDIA_SERVICES|MEDIA_FLOW
Migration|DATABASE_MIGRATION|DATA_TRANSFER
Networking|NETWORK|LOAD_BALANCER|FASTCONNECT|DNS|VIRTUAL_CLOUD_NETWORK|NETWORK_FIREWALL|VPN
Security|WAF|KEY_MANAGEMENT|VAULT|CLOUD_GUARD|BASTION|DATA_SAFE|SECURITY
Storage|BLOCK_STORAGE|OBJECTSTORE|OBJECT_STORAGE|FILE_STORAGE|ARCHIVE_STORAGE";

/// The categories of one provider's services.
pub(super) struct Categories(FxHashMap<&'static str, &'static str>);

impl Categories {
    /// Reads one of the lists above: a category a line, and its services.
    pub fn of(list: &'static str) -> Self {
        let mut categories = FxHashMap::default();
        for line in list.lines() {
            let mut names = line.split('|');
            let category = names.next().unwrap_or_default();
            categories.extend(names.map(|service| (service, category)));
        }
        Self(categories)
    }

    pub fn get(&self, service: &str) -> Option<&'static str> {
        self.0.get(trimmed(service)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOCUS: [&str; 19] = [
        "AI and Machine Learning",
        "Analytics",
        "Business Applications",
        "Compute",
        "Databases",
        "Developer Tools",
        "Multicloud",
        "Identity",
        "Integration",
        "Internet of Things",
        "Management and Governance",
        "Media",
        "Migration",
        "Mobile",
        "Networking",
        "Security",
        "Storage",
        "Web",
        "Other",
    ];

    #[test]
    fn categories_are_those_of_focus_and_a_service_has_one() {
        for list in [AWS, AZURE, GOOGLE, ORACLE] {
            let lines: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split('|').collect()).collect();
            for names in &lines {
                assert!(FOCUS.contains(&names[0]), "{}", names[0]);
            }
            let count: usize = lines.iter().map(|names| names.len() - 1).sum();
            assert_eq!(Categories::of(list).0.len(), count, "a service stands in two categories");
        }
        assert_eq!(Categories::of(AWS).get("AmazonS3"), Some("Storage"));
    }
}

use std::str::FromStr;

/// What a bill can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// FOCUS Cost and Usage of any version.
    Focus,
    /// Legacy AWS Cost and Usage Report.
    AwsCur,
    /// AWS Data Exports CUR 2.0.
    AwsCur2,
    /// Azure actual or amortized cost.
    AzureExport,
    /// Google Cloud's detailed usage cost.
    GcpBilling,
    /// Oracle Cloud's own cost report.
    OciReport,
}

impl Format {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Focus, Self::AwsCur, Self::AwsCur2, Self::AzureExport, Self::GcpBilling, Self::OciReport];

    /// What a receipt calls it; the container follows.
    pub fn label(self) -> &'static str {
        match self {
            Self::Focus => "FOCUS",
            Self::AwsCur => "AWS CUR",
            Self::AwsCur2 => "AWS CUR 2.0",
            Self::AzureExport => "Azure cost export",
            Self::GcpBilling => "Google Cloud billing",
            Self::OciReport => "OCI cost report",
        }
    }

    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Focus => "focus",
            Self::AwsCur => "aws-cur",
            Self::AwsCur2 => "aws-cur-2",
            Self::AzureExport => "azure",
            Self::GcpBilling => "google-cloud",
            Self::OciReport => "oci",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            format!("it is one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn each_is_found_by_its_name() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        let error = "cur".parse::<Format>().unwrap_err();
        assert_eq!(error, "it is one of focus, aws-cur, aws-cur-2, azure, google-cloud, oci");
    }
}

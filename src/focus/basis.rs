use serde::{Deserialize, Serialize};

/// The cost column that a whole page shows. One setting governs every figure on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostBasis {
    /// `EffectiveCost`: amortized, net of discounts.
    #[default]
    Amortized,
    /// `BilledCost`: as invoiced.
    Billed,
    /// `ListCost`: before any discount.
    List,
    /// `ContractedCost`: after negotiated, before commitment discounts.
    Contracted,
}

impl CostBasis {
    /// Every basis, in the order of a menu.
    pub const ALL: [Self; 4] = [Self::Amortized, Self::Billed, Self::List, Self::Contracted];

    /// The FOCUS column.
    pub fn focus_column(self) -> &'static str {
        match self {
            Self::Amortized => "EffectiveCost",
            Self::Billed => "BilledCost",
            Self::List => "ListCost",
            Self::Contracted => "ContractedCost",
        }
    }

    /// Whether what commitments pay for stands at its price without them. What was bought for commitments is in it then:
    /// both are never added.
    pub fn is_before_commitments(self) -> bool {
        matches!(self, Self::List | Self::Contracted)
    }

    /// What every total in it leaves out, in words; empty where that is nothing.
    pub fn left_out(self) -> &'static str {
        match self {
            Self::Amortized | Self::Billed => "",
            Self::List => "What was bought for commitments is left out: its use stands at its own list price",
            Self::Contracted => {
                "What was bought for commitments is left out: its use stands at its own contracted price"
            }
        }
    }

    /// What a total in it is called.
    pub fn total_name(self) -> &'static str {
        match self {
            Self::Amortized | Self::Billed => "Net cost",
            Self::List => "List cost",
            Self::Contracted => "Contracted cost",
        }
    }

    /// The word in a URL: `basis=amortized`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Amortized => "amortized",
            Self::Billed => "billed",
            Self::List => "list",
            Self::Contracted => "contracted",
        }
    }

    /// The label in a menu.
    pub fn label(self) -> &'static str {
        match self {
            Self::Amortized => "Amortized, net",
            Self::Billed => "As billed",
            Self::List => "List price",
            Self::Contracted => "Contracted price",
        }
    }
}

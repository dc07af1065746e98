//! Whose a measured value is: by the rules for deployments, asked with the attributes that came with it.

use super::mapper::{self, Mapper};
use crate::allocate::{self, Catalogue, Target};
use crate::store::usage_unmapped::{Reason, shown};
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Attributes that may name the environment, the first that is there counts: the present name, and the one before it.
const ENVIRONMENT_ATTRIBUTES: [&str; 2] = ["deployment.environment.name", "deployment.environment"];
const SERVICE_ATTRIBUTE: &str = "service.name";

/// Where a value belongs: the service, and the environment or 0.
pub type Place = (i64, i64);

/// What a value called itself, where it belongs to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlace {
    /// The service as it is shown; may be empty.
    pub service: String,
    /// The environment as it is shown; may be empty.
    pub environment: String,
    /// What lacks.
    pub reason: Reason,
}

/// Rules and catalogue as they stand.
pub struct Places {
    mapper: Mapper,
    catalogue: Catalogue,
    origin: &'static str,
}

impl Places {
    /// Reads them. The caller holds a lock that keeps both. `origin` is what rules see as the source.
    pub async fn load(conn: &mut PgConnection, origin: &'static str) -> anyhow::Result<Self> {
        let mapper = Mapper::load(&mut *conn).await?;
        Ok(Self { mapper, catalogue: mapper::catalogue_names(conn).await?, origin })
    }

    /// By the attributes of a resource of OTLP.
    pub fn of_resource(&self, attributes: &BTreeMap<String, String>) -> Result<Place, NoPlace> {
        let environment = ENVIRONMENT_ATTRIBUTES.iter().find_map(|name| attributes.get(*name));
        self.of(attributes.get(SERVICE_ATTRIBUTE), environment, attributes)
    }

    /// By a service and an environment as they were sent; rules may look at the other attributes as tags. Rules add
    /// nothing to the catalogue here: names in measurements are too many for that.
    pub fn of(
        &self,
        service: Option<&String>,
        environment: Option<&String>,
        attributes: &BTreeMap<String, String>,
    ) -> Result<Place, NoPlace> {
        let named = |text: Option<&String>| text.map(|text| text.trim().to_owned()).unwrap_or_default();
        let (service, environment) = (named(service), named(environment));
        let attribute = |name: &str| -> Option<Cow<'_, str>> {
            let value = match name {
                "service" => Some(service.as_str()).filter(|name| !name.is_empty()),
                "environment" => Some(environment.as_str()).filter(|name| !name.is_empty()),
                "source" => Some(self.origin),
                _ => allocate::tag_key(name).and_then(|key| attributes.get(key)).map(String::as_str),
            };
            value.map(Cow::Borrowed)
        };
        let assigned = allocate::assign(&self.mapper.deployments, attribute);
        let known = |target: &Option<Target>| target.as_ref().and_then(Target::known);
        // Without a rule that says so, a name of the catalogue means what it says.
        let service_id = known(&assigned.service).or_else(|| self.catalogue.services.find(&service));
        let environment_id = known(&assigned.environment).or_else(|| self.catalogue.environments.find(&environment));
        match (service_id, environment_id) {
            (None, _) => Err(no_place(&service, &environment, Reason::Service)),
            (Some(_), None) if !environment.is_empty() => Err(no_place(&service, &environment, Reason::Environment)),
            (Some(service_id), environment_id) => Ok((service_id, environment_id.unwrap_or(0))),
        }
    }
}

// Each value that is lost remembers them: whole, a long one would be copied as often.
fn no_place(service: &str, environment: &str, reason: Reason) -> NoPlace {
    NoPlace { service: shown(service), environment: shown(environment), reason }
}

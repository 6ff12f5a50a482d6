//! The keys of datapoints.

use forebay_control::Series;
use forebay_signals::series;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The key of a metric's points of one unit. Shared, because points in great number would repeat long names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key(Arc<Named>);

/// The unit comes last, so that the units of a metric are neighbours.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Named {
    region: String,
    namespace: String,
    name: String,
    dimensions: Vec<(String, String)>,
    unit: Option<String>,
}

impl Key {
    pub(crate) fn of(series: &Series, unit: Option<String>) -> Key {
        Key(Arc::new(Named {
            region: series.region.clone(),
            namespace: series.namespace.clone(),
            name: series.name.clone(),
            dimensions: series.dimensions.clone(),
            unit,
        }))
    }

    pub(crate) fn is_of(&self, series: &Series) -> bool {
        let key = &*self.0;
        (&key.region, &key.namespace, &key.name) == (&series.region, &series.namespace, &series.name)
            && key.dimensions == series.dimensions
    }

    pub(crate) fn region(&self) -> &str {
        &self.0.region
    }

    pub(crate) fn unit(&self) -> &str {
        self.0.unit.as_deref().unwrap_or("None")
    }

    pub(crate) fn series(&self) -> Series {
        let key = &*self.0;
        Series {
            region: key.region.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            dimensions: key.dimensions.clone(),
        }
    }
}

impl series::Key for Key {
    fn bytes(&self) -> usize {
        let key = &*self.0;
        let names = [&key.region, &key.namespace, &key.name];
        let pairs = key.dimensions.iter().flat_map(|(name, value)| [name, value]);
        let texts = names.into_iter().chain(pairs).chain(&key.unit);
        size_of::<Named>() + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

//! The service models: operations and shapes, parsed once from the stripped botocore data in `models/`.

use crate::route::{Place, Route};
use crate::{Protocol, Service, query_names};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

#[cfg(test)]
mod tests;

/// Index of a shape in [`Model::shapes`].
pub(crate) type ShapeId = usize;

/// One service's operations and shapes.
pub(crate) struct Model {
    pub(crate) version: String,
    pub(crate) xmlns: String,
    pub(crate) target: String,
    /// Whether the service first spoke Query, so that errors in its other protocols carry Query's codes too
    /// (awsQueryCompatible).
    pub(crate) query_compatible: bool,
    /// Prefix of a shape's name in the error types of JSON.
    pub(crate) error_namespace: &'static str,
    /// Whether a missing member is reported as `MissingParameter`, as SQS does.
    pub(crate) tells_missing: bool,
    /// The routes of REST-JSON operations.
    pub(crate) routes: Vec<Route>,
    operations: BTreeMap<String, Operation>,
    /// Operations of AWS that the model leaves out, sorted.
    others: Vec<String>,
    shapes: Vec<Shape>,
}

/// The shapes of one operation.
pub(crate) struct Operation {
    pub(crate) input: Option<ShapeId>,
    pub(crate) output: Option<ShapeId>,
    /// The XML element around the output, in AWS Query.
    pub(crate) wrapper: Option<String>,
    /// The HTTP status of its answer, if the protocol defines another than 200.
    pub(crate) status: u16,
    errors: Vec<DocumentedError>,
}

/// An error that AWS documents for an operation.
struct DocumentedError {
    code: String,
    status: u16,
    /// The name of its shape, which JSON and CBOR use.
    shape: String,
}

/// A type with its constraints.
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) choices: Vec<String>,
}

/// The type of a shape.
pub(crate) enum Kind {
    Structure(Vec<Member>),
    List {
        item: ShapeId,
        name: String,
        /// In requests, the items take the place of the list.
        flattened: bool,
        /// In answers, the items take the place of the list.
        repeated: bool,
    },
    Map {
        key: ShapeId,
        value: ShapeId,
        /// The name of an entry, if entries take the place of the map.
        entry: Option<String>,
        key_name: String,
        value_name: String,
    },
    Text,
    Integer,
    Float,
    Boolean,
    Blob,
    Timestamp,
}

impl Kind {
    /// The type's name in the errors of JSON and CBOR.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Kind::Structure(_) => "a structure",
            Kind::List { .. } => "a list",
            Kind::Map { .. } => "a map",
            Kind::Text => "a String",
            Kind::Integer => "an Integer",
            Kind::Float => "a Double",
            Kind::Boolean => "a Boolean",
            Kind::Blob => "a Blob",
            Kind::Timestamp => "a Timestamp",
        }
    }
}

/// A member of a structure.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its name in requests.
    pub(crate) input: String,
    /// Its name in answers.
    pub(crate) output: String,
    pub(crate) shape: ShapeId,
    pub(crate) required: bool,
    /// Its place in REST-JSON.
    pub(crate) place: Place,
}

/// A Java pattern of the model, compiled at first use.
pub(crate) struct Pattern {
    pub(crate) source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Whether the whole of `text` matches, as with Java's `matches()`. A pattern that the Rust engine cannot compile
    /// matches everything.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.compiled().is_none_or(|regex| regex.is_match(text))
    }

    pub(crate) fn compiled(&self) -> Option<&Regex> {
        let compile = || {
            // Java writes characters beyond the basic plane as surrogates.
            let source = self
                .source
                .replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\x{10000}-\x{10FFFF}")
                // Regions may have names here that AWS does not have.
                .replace(
                    r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}",
                    "[a-z0-9-]+",
                )
                .replace(r"events:[a-z]+-[a-z]+-[\w-]+:", "events:[a-z0-9-]+:");
            Regex::new(&format!(r"\A(?:{source})\z")).ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

static MODELS: LazyLock<[Model; Service::ALL.len()]> = LazyLock::new(|| {
    Service::ALL.map(|service| {
        Model::read(service.model(), service.protocols().contains(&Protocol::Ec2))
            .expect("the models in this crate are read by its tests")
    })
});

impl Service {
    /// All operations that AWS has in this service, in alphabetical order, whether served or not.
    pub fn operations(self) -> Vec<&'static str> {
        Model::of(self).names().collect()
    }

    /// The error codes that AWS documents for an operation, with their HTTP statuses.
    pub fn documented_errors(self, operation: &str) -> Vec<(&'static str, u16)> {
        Model::of(self).errors(operation)
    }
}

impl Model {
    /// The model of a service.
    pub(crate) fn of(service: Service) -> &'static Model {
        &MODELS[service as usize]
    }

    /// The operation with this name, if the model has its shapes.
    pub(crate) fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name)
    }

    /// Whether AWS has an operation with this name that the model leaves out.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.others
            .binary_search_by(|other| other.as_str().cmp(name))
            .is_ok()
    }

    /// The names of all operations that AWS has.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self
            .operations
            .keys()
            .chain(&self.others)
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The documented errors of an operation.
    pub(crate) fn errors(&self, name: &str) -> Vec<(&str, u16)> {
        let errors = self
            .operations
            .get(name)
            .map(|operation| operation.errors.as_slice());
        errors
            .unwrap_or_default()
            .iter()
            .map(|error| (error.code.as_str(), error.status))
            .collect()
    }

    /// The name of the shape of an operation's error.
    pub(crate) fn error_shape(&self, operation: &str, code: &str) -> Option<&str> {
        let errors = &self.operations.get(operation)?.errors;
        let error = errors.iter().find(|error| error.code == code)?;
        Some(&error.shape)
    }

    /// The shape with this id.
    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id]
    }

    /// The name of a member called `name` in forms and XML. Lists and maps whose items take their place have the name of
    /// their items, if these have one.
    pub(crate) fn element<'a>(&'a self, shape: ShapeId, name: &'a str) -> &'a str {
        match &self.shape(shape).kind {
            Kind::List {
                name: item,
                repeated: true,
                ..
            } => item,
            Kind::Map {
                entry: Some(entry), ..
            } => entry,
            _ => name,
        }
    }

    #[cfg(test)]
    pub(crate) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    fn read(text: &str, ec2: bool) -> Option<Model> {
        let raw: Value = serde_json::from_str(text).ok()?;
        let shapes = raw["shapes"].as_object()?;
        let ids: BTreeMap<&str, ShapeId> = shapes
            .keys()
            .enumerate()
            .map(|(id, name)| (name.as_str(), id))
            .collect();
        let reader = Reader { ids: &ids, ec2 };
        let names_are_ours = raw["service"] == "sqs";
        let shape_of = |name: &str, shape: &Value| {
            let shape = in_order(name, reader.shape(shape)?);
            Some(if names_are_ours { named(name, shape) } else { shape })
        };
        let (mut operations, mut routes) = (BTreeMap::new(), Vec::new());
        for (name, operation) in raw["operations"].as_object()? {
            let route = operation.get("http").and_then(|http| Route::read(name, http));
            let status = route.as_ref().map_or(200, |route| route.status);
            routes.extend(route);
            let id = |key: &str| ids.get(operation.get(key)?.as_str()?).copied();
            let errors = operation
                .get("errors")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            operations.insert(
                name.clone(),
                Operation {
                    input: id("in"),
                    output: id("out"),
                    wrapper: operation
                        .get("wrapper")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                    status,
                    errors: errors
                        .filter_map(|name| {
                            error_code(name.as_str()?, shapes.get(name.as_str()?)?, names_are_ours)
                        })
                        .collect(),
                },
            );
        }
        let others = others(&raw, &mut routes)?;
        Some(Model {
            version: raw["version"].as_str()?.to_owned(),
            xmlns: raw["xmlns"]
                .as_str()
                .unwrap_or(query_names::namespace(names_are_ours))
                .to_owned(),
            target: raw["target"].as_str().unwrap_or_default().to_owned(),
            query_compatible: raw["query_compatible"] == true,
            error_namespace: query_names::errors(names_are_ours),
            tells_missing: names_are_ours,
            routes,
            operations,
            others,
            shapes: shapes
                .iter()
                .map(|(name, shape)| shape_of(name, shape))
                .collect::<Option<_>>()?,
        })
    }
}

/// The operations that the model leaves out, sorted; their routes are added to the others.
fn others(raw: &Value, routes: &mut Vec<Route>) -> Option<Vec<String>> {
    let theirs = raw.get("other_routes").and_then(Value::as_object);
    let theirs = theirs.into_iter().flatten();
    routes.extend(theirs.filter_map(|(name, http)| Route::read(name, http)));
    let names = raw["others"].as_array()?.iter().filter_map(Value::as_str);
    let mut others: Vec<String> = names.map(str::to_owned).collect();
    others.sort();
    Some(others)
}

/// A shape with its members in the order in which AWS checks them, where that is known to differ from the data's.
fn in_order(name: &str, mut shape: Shape) -> Shape {
    match (name, &mut shape.kind) {
        ("RuleTransform", Kind::Structure(members)) => members.sort_by_key(|member| member.required),
        ("TransformTypeEnum", _) => shape.choices.reverse(),
        _ => {}
    }
    shape
}

/// A shape of SQS with the names of its Query protocol, and without enums: unknown attributes are reported in SQS's own
/// words.
fn named(name: &str, mut shape: Shape) -> Shape {
    shape.choices.clear();
    match &mut shape.kind {
        Kind::List {
            name: item,
            flattened,
            repeated,
            ..
        } => {
            (*flattened, *repeated) = (true, true);
            *item = query_names::item(name).to_owned();
        }
        Kind::Map {
            entry,
            key_name,
            value_name,
            ..
        } => {
            if let Some((called, key, value)) = query_names::entry(name) {
                *entry = Some(called.to_owned());
                *key_name = key.to_owned();
                *value_name = value.to_owned();
            }
        }
        _ => {}
    }
    shape
}

/// The code of an error shape on the wire, with its status. JSON services use the shape's own name, except SQS.
fn error_code(name: &str, shape: &Value, is_sqs: bool) -> Option<DocumentedError> {
    let code = shape.get("code").and_then(Value::as_str).map(str::to_owned);
    let own = || {
        if is_sqs {
            query_names::code(name)
        } else {
            name.to_owned()
        }
    };
    let status = shape.get("status").and_then(Value::as_u64).unwrap_or(400);
    Some(DocumentedError {
        code: code.unwrap_or_else(own),
        status: u16::try_from(status).ok()?,
        shape: name.to_owned(),
    })
}

struct Reader<'a> {
    ids: &'a BTreeMap<&'a str, ShapeId>,
    /// Whether names are those of EC2's dialect.
    ec2: bool,
}

impl Reader<'_> {
    fn shape(&self, raw: &Value) -> Option<Shape> {
        let limit = |key: &str| raw.get(key).and_then(Value::as_f64).map(|limit| limit as i64);
        let kind = match raw["t"].as_str()? {
            "structure" => Kind::Structure(self.members(raw)?),
            "list" => {
                let (item, location, _) = self.reference(&raw["member"])?;
                let name = location.unwrap_or_else(|| "member".to_owned());
                let flattened = self.ec2 || raw["flattened"] == true;
                Kind::List {
                    item,
                    name,
                    flattened,
                    repeated: false,
                }
            }
            "map" => {
                let (key, key_name, _) = self.reference(&raw["key"])?;
                let (value, value_name, _) = self.reference(&raw["value"])?;
                let key_name = key_name.unwrap_or_else(|| "key".to_owned());
                Kind::Map {
                    key,
                    value,
                    entry: None,
                    key_name,
                    value_name: value_name.unwrap_or_else(|| "value".to_owned()),
                }
            }
            "string" | "character" => Kind::Text,
            "integer" | "long" => Kind::Integer,
            "float" | "double" => Kind::Float,
            "boolean" => Kind::Boolean,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp,
            _ => return None,
        };
        let choices = raw.get("enum").and_then(Value::as_array).into_iter().flatten();
        Some(Shape {
            kind,
            min: limit("min"),
            max: limit("max"),
            pattern: raw.get("pattern").and_then(Value::as_str).map(|source| Pattern {
                source: source.to_owned(),
                compiled: OnceLock::new(),
            }),
            choices: choices.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    fn members(&self, raw: &Value) -> Option<Vec<Member>> {
        let required: Vec<&str> = raw
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let members = raw
            .get("members")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        members
            .map(|(name, reference)| {
                let (shape, location, query) = self.reference(reference)?;
                let place = Place::read(name, reference, raw)?;
                let input = match (self.ec2, query, &location) {
                    (true, Some(query), _) => query,
                    (true, None, Some(location)) => capitalised(location),
                    (_, _, Some(location)) => location.clone(),
                    (_, _, None) => name.clone(),
                };
                let mut output = location.unwrap_or_else(|| name.clone());
                if place == Place::Header {
                    output = output.to_lowercase();
                }
                let required = required.contains(&name.as_str());
                Some(Member {
                    name: name.clone(),
                    input,
                    output,
                    shape,
                    required,
                    place,
                })
            })
            .collect()
    }

    /// The shape, `locationName` and `queryName` of a reference.
    fn reference(&self, raw: &Value) -> Option<(ShapeId, Option<String>, Option<String>)> {
        if let Some(name) = raw.as_str() {
            return Some((*self.ids.get(name)?, None, None));
        }
        let text = |index: usize| raw.get(index).and_then(Value::as_str).map(str::to_owned);
        Some((*self.ids.get(raw.get(0)?.as_str()?)?, text(1), text(2)))
    }
}

pub(crate) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

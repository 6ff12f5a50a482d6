//! Reduces botocore's service models to names, types and constraints, and writes them to `crates/awswire/models`.
//! Never keeps documentation text: the models' shapes are facts, but their prose is not ours.

use anyhow::{Context as _, Result, bail, ensure};
use forebay_awswire::Service;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A model to write: botocore's name for the service, and the operations whose shapes are kept (`None` keeps all).
struct Wanted<'a> {
    service: &'a str,
    operations: Option<&'a [&'a str]>,
}

/// Writes all reduced models. `botocore_data_dir` is the `data` directory inside an installed botocore.
pub(crate) fn run(botocore_data_dir: &Path) -> Result<()> {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../awswire/models");
    let source = format!("botocore {}", botocore_version(botocore_data_dir)?);
    for ours in Service::ALL {
        let served: Vec<&str> = forebay_control::supported()
            .into_iter()
            .filter(|entry| entry.0 == ours)
            .map(|entry| entry.1)
            .collect();
        let wanted = &Wanted {
            service: ours.name(),
            operations: (!ours.has_whole_model()).then_some(&served),
        };
        let model = read_model(&newest_version(&botocore_data_dir.join(wanted.service))?)?;
        let stripped =
            strip(&model, wanted, &source).with_context(|| format!("stripping {}", wanted.service))?;
        let path = out.join(format!("{}.json", wanted.service));
        std::fs::write(&path, render(&stripped)?).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The version of the botocore that owns this data directory, from its `__init__.py`.
fn botocore_version(data: &Path) -> Result<String> {
    let init = data
        .parent()
        .context("data directory without a parent")?
        .join("__init__.py");
    let text = std::fs::read_to_string(&init).with_context(|| format!("reading {}", init.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("__version__ = "))
        .map(|quoted| quoted.trim_matches(['\'', '"']).to_owned())
        .context("no __version__ in botocore/__init__.py")
}

fn newest_version(service: &Path) -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(service)
        .with_context(|| format!("reading {}", service.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir())
        .collect();
    versions.sort();
    versions
        .pop()
        .with_context(|| format!("no version in {}", service.display()))
}

/// Reads `service-2.json`, or its compressed form with the system's gzip, which a developer's machine has.
fn read_model(version: &Path) -> Result<Value> {
    let plain = version.join("service-2.json");
    let bytes = if plain.exists() {
        std::fs::read(&plain)?
    } else {
        let packed = version.join("service-2.json.gz");
        let output = Command::new("gzip")
            .arg("-dc")
            .arg(&packed)
            .output()
            .context("running gzip")?;
        ensure!(output.status.success(), "gzip failed on {}", packed.display());
        output.stdout
    };
    Ok(serde_json::from_slice(&bytes)?)
}

fn strip(model: &Value, wanted: &Wanted<'_>, source: &str) -> Result<Value> {
    let metadata = &model["metadata"];
    let all = model["operations"].as_object().context("no operations")?;
    let shapes = model["shapes"].as_object().context("no shapes")?;
    let (mut operations, mut others, mut reached) = (Map::new(), Vec::new(), BTreeSet::new());
    let mut other_routes = Map::new();
    if let Some(names) = wanted.operations
        && let Some(missing) = names.iter().find(|name| !all.contains_key(**name))
    {
        bail!("the model has no operation {missing}");
    }
    for (name, operation) in all {
        if wanted
            .operations
            .is_some_and(|names| !names.contains(&name.as_str()))
        {
            others.push(json!(name));
            if metadata["protocol"] == "rest-json" {
                other_routes.insert(name.clone(), route(&operation["http"])?);
            }
            continue;
        }
        let mut stripped = strip_operation(operation, shapes, &mut reached)?;
        if metadata["protocol"] == "rest-json" {
            stripped["http"] = route(&operation["http"])?;
        }
        operations.insert(name.clone(), stripped);
    }
    let kept: BTreeMap<&String, Value> = reached
        .iter()
        .map(|name| Ok((name, strip_shape(&shapes[name])?)))
        .collect::<Result<_>>()?;
    let mut stripped = json!({
        "source": source,
        "service": wanted.service,
        "version": metadata["apiVersion"],
        "protocols": metadata.get("protocols").cloned().unwrap_or_else(|| json!([metadata["protocol"]])),
        "operations": operations,
        "others": others,
        "shapes": kept,
    });
    // Operations that are not served are refused by name, and only their routes tell the name.
    if !other_routes.is_empty() {
        stripped["other_routes"] = Value::Object(other_routes);
    }
    if metadata.get("awsQueryCompatible").is_some() {
        stripped["query_compatible"] = json!(true);
    }
    for (ours, theirs) in [
        ("xmlns", "xmlNamespace"),
        ("target", "targetPrefix"),
        ("json", "jsonVersion"),
    ] {
        if let Some(text) = metadata.get(theirs) {
            stripped[ours] = text.clone();
        }
    }
    Ok(stripped)
}

fn strip_operation(
    operation: &Value,
    shapes: &Map<String, Value>,
    reached: &mut BTreeSet<String>,
) -> Result<Value> {
    let mut kept = Map::new();
    for (ours, theirs) in [("in", "input"), ("out", "output")] {
        if let Some(shape) = operation.get(theirs) {
            kept.insert(ours.to_owned(), shape["shape"].clone());
            reach(shape["shape"].as_str().context("unnamed shape")?, shapes, reached)?;
            if let Some(wrapper) = shape.get("resultWrapper") {
                kept.insert("wrapper".to_owned(), wrapper.clone());
            }
        }
    }
    let mut errors = Vec::new();
    for error in operation
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        errors.push(error["shape"].clone());
        reached.insert(error["shape"].as_str().context("unnamed error")?.to_owned());
    }
    if !errors.is_empty() {
        kept.insert("errors".to_owned(), Value::Array(errors));
    }
    Ok(Value::Object(kept))
}

/// An operation's method, path, and status of success.
fn route(http: &Value) -> Result<Value> {
    let part = |name: &str| {
        http[name]
            .as_str()
            .with_context(|| format!("no {name} of a route"))
    };
    let status = http.get("responseCode").cloned().unwrap_or_else(|| json!(200));
    Ok(json!([part("method")?, part("requestUri")?, status]))
}

/// Adds `name` and every shape below it.
fn reach(name: &str, shapes: &Map<String, Value>, reached: &mut BTreeSet<String>) -> Result<()> {
    if !reached.insert(name.to_owned()) {
        return Ok(());
    }
    let shape = shapes.get(name).with_context(|| format!("no shape {name}"))?;
    let members = shape.get("members").and_then(Value::as_object);
    let below = members.into_iter().flat_map(|members| members.values());
    let inner = ["member", "key", "value"]
        .iter()
        .filter_map(|part| shape.get(*part));
    for reference in below.chain(inner) {
        reach(
            reference["shape"].as_str().context("unnamed member")?,
            shapes,
            reached,
        )?;
    }
    Ok(())
}

fn strip_shape(shape: &Value) -> Result<Value> {
    let mut kept = Map::new();
    kept.insert("t".to_owned(), shape["type"].clone());
    for key in [
        "min",
        "max",
        "pattern",
        "enum",
        "required",
        "flattened",
        "timestampFormat",
        "payload",
    ] {
        if let Some(fact) = shape.get(key) {
            kept.insert(key.to_owned(), fact.clone());
        }
    }
    if let Some(error) = shape.get("error") {
        kept.insert("code".to_owned(), error["code"].clone());
        kept.insert("status".to_owned(), error["httpStatusCode"].clone());
    }
    // Of an error only the message is ever answered, not its other members.
    if shape.get("exception").is_some() || shape.get("error").is_some() {
        return Ok(Value::Object(kept));
    }
    if let Some(members) = shape.get("members").and_then(Value::as_object) {
        let members: Map<String, Value> = members
            .iter()
            .map(|(name, member)| (name.clone(), strip_reference(member)))
            .collect();
        kept.insert("members".to_owned(), Value::Object(members));
    }
    for part in ["member", "key", "value"] {
        if let Some(reference) = shape.get(part) {
            kept.insert(part.to_owned(), strip_reference(reference));
        }
    }
    Ok(Value::Object(kept))
}

/// A reference is its shape's name, or `[shape, locationName, queryName, location]`, cut after the last one that is set.
fn strip_reference(reference: &Value) -> Value {
    let names: Vec<&Value> = ["locationName", "queryName", "location"]
        .iter()
        .filter_map(|name| reference.get(*name))
        .collect();
    if names.is_empty() {
        return reference["shape"].clone();
    }
    let location = reference.get("locationName").cloned().unwrap_or(Value::Null);
    match (reference.get("queryName"), reference.get("location")) {
        (query, Some(place)) => json!([reference["shape"], location, query, place]),
        (Some(query), None) => json!([reference["shape"], location, query]),
        (None, None) => json!([reference["shape"], location]),
    }
}

/// One line per operation and shape, so that a new botocore gives a readable diff.
fn render(model: &Value) -> Result<String> {
    let mut text = String::from("{");
    let object = model.as_object().context("a model is an object")?;
    for (index, (key, value)) in object.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&format!("{}:", serde_json::to_string(key)?));
        match value.as_object() {
            Some(entries) => {
                text.push('{');
                for (index, (name, entry)) in entries.iter().enumerate() {
                    text.push_str(if index == 0 { "\n" } else { ",\n" });
                    let (name, entry) = (serde_json::to_string(name)?, serde_json::to_string(entry)?);
                    text.push_str(&format!(" {name}:{entry}"));
                }
                text.push_str("\n}");
            }
            None => text.push_str(&serde_json::to_string(value)?),
        }
    }
    text.push_str("\n}\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripping_keeps_constraints_and_drops_prose() {
        let model = json!({
            "metadata": {"apiVersion": "1", "protocol": "query", "xmlNamespace": "urn:x"},
            "operations": {
                "Make": {"input": {"shape": "In"}, "output": {"shape": "Out", "resultWrapper": "MakeResult"}, "documentation": "prose"},
                "Other": {}
            },
            "shapes": {
                "In": {"type": "structure", "required": ["Name"], "documentation": "prose",
                       "members": {"Name": {"shape": "Name", "documentation": "prose", "locationName": "name"}}},
                "Name": {"type": "string", "min": 1, "max": 3},
                "Out": {"type": "structure", "members": {}},
                "Unused": {"type": "string"}
            }
        });
        let wanted = Wanted {
            service: "x",
            operations: Some(&["Make"]),
        };
        let stripped = strip(&model, &wanted, "botocore 0").unwrap();
        assert!(!render(&stripped).unwrap().contains("prose"));
        assert_eq!(stripped["others"], json!(["Other"]));
        assert_eq!(
            stripped["shapes"]["Name"],
            json!({"t": "string", "min": 1, "max": 3})
        );
        assert_eq!(
            stripped["shapes"]["In"]["members"]["Name"],
            json!(["Name", "name"])
        );
        assert!(stripped["shapes"].get("Unused").is_none());
        assert_eq!(
            serde_json::from_str::<Value>(&render(&stripped).unwrap()).unwrap(),
            stripped
        );
    }
}

//! Public parameters.

use crate::api::context::View;
use crate::api::errors::error;
use crate::ec2::instance_view::own_image;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// Where AWS keeps the ids of its newest images.
const IMAGES: &str = "/aws/service/ami-";

/// A parameter; none if there is none of that name.
fn parameter(view: &View<'_>, name: &str) -> Option<Value> {
    let region = view.request.region;
    name.starts_with(IMAGES).then(|| {
        json!({
            "Name": name,
            "Type": "String",
            "Value": own_image(region),
            "Version": 1,
            "DataType": "aws:ec2:image",
            "LastModifiedDate": 1_704_067_200,
            "ARN": format!("arn:aws:ssm:{region}::parameter{name}"),
        })
    })
}

pub(crate) fn get(view: &View<'_>) -> Result<Value, ApiError> {
    let name = view.request.input["Name"].as_str().unwrap_or_default();
    match parameter(view, name) {
        Some(found) => Ok(json!({"Parameter": found})),
        None => Err(error(
            "ParameterNotFound",
            format!("There is no parameter '{name}'; Forebay has those that begin with {IMAGES} alone."),
        )),
    }
}

pub(crate) fn get_many(view: &View<'_>) -> Result<Value, ApiError> {
    let names = view.request.input["Names"].as_array().into_iter().flatten();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names.filter_map(Value::as_str) {
        match parameter(view, name) {
            Some(parameter) => found.push(parameter),
            None => missing.push(name.to_owned()),
        }
    }
    Ok(json!({"Parameters": found, "InvalidParameters": missing}))
}

#[cfg(test)]
mod tests {
    use crate::testing::Caller;
    use forebay_awswire::Service;
    use serde_json::json;

    #[test]
    fn newest_images_are_ours_and_there_are_no_other_parameters() {
        let mut caller = Caller::new();
        let name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64";
        let one = caller
            .call_of(Service::Ssm, "GetParameter", json!({"Name": name}))
            .unwrap();
        assert!(one["Parameter"]["Value"].as_str().unwrap().starts_with("ami-"));
        let input = json!({"Names": [name, "/mine"]});
        let many = caller.call_of(Service::Ssm, "GetParameters", input).unwrap();
        assert_eq!(many["Parameters"][0], one["Parameter"]);
        assert_eq!(many["InvalidParameters"], json!(["/mine"]));
        let none = caller.call_of(Service::Ssm, "GetParameter", json!({"Name": "/mine"}));
        assert_eq!(none.unwrap_err().code, "ParameterNotFound");
    }
}

//! The values that the metadata service gives an instance about itself. Pure.

use forebay_control::fleet::WantedInstance;
use forebay_model::INSTANCE_TOKEN;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

/// Validity of credentials as reported. They are valid for longer; clients fetch them again earlier.
const GOOD_FOR_SECONDS: i64 = 6 * 3600;

/// The keys of the instance's role.
pub(crate) struct RoleKeys {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// All values, by path below the version, without slashes at the ends.
pub(crate) struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The values of an instance. Keys are included only if nobody else can ask.
    pub(crate) fn new(
        instance: &WantedInstance,
        account: &str,
        keys: Option<&RoleKeys>,
        now_seconds: i64,
    ) -> Metadata {
        let mut values = BTreeMap::new();
        let mut put = |path: &str, value: String| {
            values.insert(format!("meta-data/{path}"), value);
        };
        let [a, b, c, d] = instance.address.octets();
        let host = format!("ip-{a}-{b}-{c}-{d}.{}.compute.internal", instance.region);
        put("ami-id", instance.image_id.clone());
        put("ami-launch-index", "0".to_owned());
        put("hostname", host.clone());
        put("instance-id", instance.id.clone());
        let cycle = if instance.is_spot { "spot" } else { "on-demand" };
        put("instance-life-cycle", cycle.to_owned());
        put("instance-type", instance.instance_type.clone());
        put("local-hostname", host);
        put("local-ipv4", instance.address.to_string());
        put("placement/availability-zone", instance.zone.clone());
        put("placement/region", instance.region.clone());
        put("services/domain", "amazonaws.com".to_owned());
        put("services/partition", "aws".to_owned());
        for (key, value) in instance.tags.iter().filter(|(key, _)| !key.contains('/')) {
            put(&format!("tags/instance/{key}"), value.clone());
        }
        if let Some(state) = &instance.target_lifecycle_state {
            put("autoscaling/target-lifecycle-state", state.clone());
        }
        if let Some(at) = instance.interrupted_at.filter(|_| instance.is_spot) {
            let time = time(at.seconds());
            put(
                "spot/instance-action",
                json!({"action": "terminate", "time": time}).to_string(),
            );
            put("spot/termination-time", time);
        }
        if let Some(profile) = &instance.profile {
            let now = time(now_seconds);
            let info = json!({
                "Code": "Success",
                "LastUpdated": now,
                "InstanceProfileArn": format!("arn:aws:iam::{account}:instance-profile/{profile}"),
                "InstanceProfileId": "AIPAFOREBAY0000000000",
            });
            put("iam/info", info.to_string());
            if let Some(keys) = keys {
                let credentials = json!({
                    "Code": "Success",
                    "LastUpdated": now,
                    "Type": "AWS-HMAC",
                    "AccessKeyId": keys.id,
                    "SecretAccessKey": keys.secret,
                    // By this token the APIs recognise the calling instance.
                    "Token": format!("{INSTANCE_TOKEN}{}", instance.id),
                    "Expiration": time(now_seconds + GOOD_FOR_SECONDS),
                });
                put(
                    &format!("iam/security-credentials/{profile}"),
                    credentials.to_string(),
                );
            }
        }
        values.insert(
            "dynamic/instance-identity/document".to_owned(),
            identity(instance, account),
        );
        if instance.user_data.is_some() {
            // Its content may not be text, and is served elsewhere.
            values.insert("user-data".to_owned(), String::new());
        }
        Metadata(values)
    }

    /// A value, or the names in a directory in AWS's form: one per line, directories with a slash behind.
    pub(crate) fn find(&self, path: &str) -> Option<String> {
        let path = path.trim_matches('/');
        if let Some(value) = self.0.get(path) {
            return Some(value.clone());
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut names: Vec<String> = Vec::new();
        for below in self.0.keys().filter_map(|known| known.strip_prefix(&prefix)) {
            let name = match below.split_once('/') {
                // The topmost directories are listed without one.
                Some((name, _)) if prefix.is_empty() => name.to_owned(),
                Some((name, _)) => format!("{name}/"),
                None => below.to_owned(),
            };
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join("\n"))
    }
}

fn identity(instance: &WantedInstance, account: &str) -> String {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    };
    let document = json!({
        "accountId": account,
        "architecture": architecture,
        "availabilityZone": instance.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": null,
        "marketplaceProductCodes": null,
        "pendingTime": time(instance.launched.seconds()),
        "privateIp": instance.address.to_string(),
        "ramdiskId": null,
        "region": instance.region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use forebay_control::fleet::WantedPhase;
    use forebay_units::Wall;
    use std::net::Ipv4Addr;

    pub(crate) fn instance() -> WantedInstance {
        WantedInstance {
            id: "i-0123456789abcdef0".to_owned(),
            run: 1,
            phase: WantedPhase::Running,
            region: "local-1".to_owned(),
            zone: "local-1a".to_owned(),
            address: Ipv4Addr::new(127, 64, 0, 9),
            image_id: "ami-0123456789abcdef0".to_owned(),
            instance_type: "c6i.large".to_owned(),
            user_data: None,
            profile: Some("web".to_owned()),
            is_spot: true,
            group_name: None,
            target_lifecycle_state: None,
            interrupted_at: None,
            tags: BTreeMap::from([("Name".to_owned(), "one".to_owned())]),
            launched: Wall::from_seconds(1_700_000_000),
        }
    }

    #[test]
    fn directories_are_listed_as_aws_lists_them() {
        let metadata = Metadata::new(&instance(), "123456789012", None, 0);
        assert_eq!(metadata.find("").unwrap(), "dynamic\nmeta-data");
        assert_eq!(
            metadata.find("meta-data/placement/").unwrap(),
            "availability-zone\nregion"
        );
        assert!(metadata.find("meta-data").unwrap().contains("\nplacement/\n"));
        assert_eq!(metadata.find("meta-data/tags/instance/Name").unwrap(), "one");
        assert_eq!(metadata.find("meta-data/nothing"), None);
        assert_eq!(metadata.find("meta-data/plac"), None);
    }

    #[test]
    fn an_interruption_is_told_once_it_is_announced() {
        let mut instance = instance();
        let find = |instance: &WantedInstance| {
            Metadata::new(instance, "123456789012", None, 0).find("meta-data/spot/instance-action")
        };
        assert_eq!(find(&instance), None);
        instance.interrupted_at = Some(Wall::from_seconds(1_700_000_120));
        assert_eq!(
            find(&instance).unwrap(),
            r#"{"action":"terminate","time":"2023-11-14T22:15:20Z"}"#
        );
    }

    #[test]
    fn keys_are_told_only_if_they_are_given() {
        let path = "meta-data/iam/security-credentials/";
        assert_eq!(
            Metadata::new(&instance(), "123456789012", None, 0).find(path),
            None
        );
        let keys = RoleKeys {
            id: "AKIA".to_owned(),
            secret: "secret".to_owned(),
        };
        assert_eq!(
            Metadata::new(&instance(), "123456789012", Some(&keys), 0)
                .find(path)
                .unwrap(),
            "web"
        );
    }
}

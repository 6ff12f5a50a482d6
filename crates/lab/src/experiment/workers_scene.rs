//! The scene of workers on queues, live: a fresh server, and for each queue an Auto Scaling group of real instances that
//! work on it, each a process of this very program.

use super::scaling_scene::{gone, own_program};
use crate::aws_client::{AwsClient, element, elements};
use crate::demo_balancer::found;
use anyhow::{Context as _, anyhow};
use forebay_awswire::Service;
use forebay_launch::{Images, NewImage, RunAs, Source};
use forebay_server::{Daemon, UpArgs};
use ipnet::Ipv4Net;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

/// The role that lets instances make calls, and its instance profile.
const ROLE: &str = "worker";
/// The role's trust policy.
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
/// Longest time until the first workers are in service.
const THERE_WITHIN: Duration = Duration::from_secs(60);
/// Interval between looks.
const LOOK: Duration = Duration::from_millis(50);
/// Longest time until a metric has counted what happened.
const COUNTED_WITHIN: Duration = Duration::from_secs(5);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Most messages of one call.
const BATCH: usize = 10;

/// A queue, and the group that works on it.
pub(crate) struct Wanted {
    /// The name of both.
    pub(crate) name: String,
    /// The visibility timeout in seconds.
    pub(crate) visibility: u64,
    /// Seconds from an instance's start to its worker's.
    pub(crate) start_up: f64,
    pub(crate) minimum: u32,
    pub(crate) maximum: u32,
    /// Tags of the group, and their values.
    pub(crate) tags: Vec<(&'static str, String)>,
}

/// A queue and a group that exist.
pub(crate) struct Workers {
    name: String,
    url: String,
}

/// The state of a queue at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
}

impl Depth {
    pub(crate) fn all(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

/// The state of a group at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) desired: u32,
    /// All instances, including those that start or end.
    pub(crate) instances: u32,
    pub(crate) in_service: u32,
}

/// A running scene. It must be closed, or instances stay for some seconds after it.
pub(crate) struct WorkersScene {
    daemon: Daemon,
    caller: AwsClient,
    dir: tempfile::TempDir,
    subnets: String,
    groups: Vec<String>,
}

impl WorkersScene {
    /// Starts a fresh server.
    pub(crate) async fn start(pool: Ipv4Net) -> anyhow::Result<WorkersScene> {
        let dir = tempfile::Builder::new()
            .prefix("forebay-experiment-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a fresh directory")?;
        let daemon = Daemon::start(UpArgs {
            workers: Some(1),
            // Instances run this program, which may be where no other user can read it.
            instance_user: RunAs::Own,
            instance_stop_seconds: 10,
            ..UpArgs::scratch(dir.path(), pool)
        })
        .await?;
        let caller = AwsClient::from_file(daemon.api, "local-1", &daemon.credentials)?;
        Ok(WorkersScene {
            daemon,
            caller,
            dir,
            subnets: String::new(),
            groups: Vec::new(),
        })
    }

    /// Creates what all groups share: subnets for their instances, and the role that gives them keys.
    pub(crate) async fn prepare(&mut self) -> anyhow::Result<()> {
        let told = self.query(Service::Ec2, "DescribeSubnets", &[]).await?;
        self.subnets = elements(&told, "subnetId").collect::<Vec<_>>().join(",");
        let role = [("RoleName", ROLE), ("AssumeRolePolicyDocument", TRUST)];
        self.query(Service::Iam, "CreateRole", &role).await?;
        let profile = [("InstanceProfileName", ROLE)];
        self.query(Service::Iam, "CreateInstanceProfile", &profile)
            .await?;
        let both = [("InstanceProfileName", ROLE), ("RoleName", ROLE)];
        self.query(Service::Iam, "AddRoleToInstanceProfile", &both)
            .await?;
        Ok(())
    }

    async fn query(&self, service: Service, action: &str, input: &[(&str, &str)]) -> anyhow::Result<String> {
        self.caller.call(service, action, input).await
    }

    async fn sqs(&self, action: &str, input: &Value) -> anyhow::Result<Value> {
        self.caller.call_json(Service::Sqs, action, input).await
    }

    /// Creates a queue and its workers.
    pub(crate) async fn make(&mut self, wanted: &Wanted) -> anyhow::Result<Workers> {
        let name = &wanted.name;
        // As published: each message has its own message group.
        let queue = format!("{name}.fifo");
        let attributes = json!({"FifoQueue": "true", "VisibilityTimeout": wanted.visibility.to_string()});
        let told = self
            .sqs(
                "CreateQueue",
                &json!({"QueueName": queue, "Attributes": attributes}),
            )
            .await?;
        let url = told["QueueUrl"]
            .as_str()
            .context("the queue has no URL")?
            .to_owned();
        let parameter = format!("ProcessingQueueName-{name}");
        let put = json!({"Name": parameter, "Type": "String", "Value": queue});
        self.caller.call_json(Service::Ssm, "PutParameter", &put).await?;
        let image = self.image(name, wanted.start_up, &parameter)?;
        let template = [
            ("LaunchTemplateName", name.as_str()),
            ("LaunchTemplateData.ImageId", &image),
            ("LaunchTemplateData.InstanceType", "c6i.large"),
            ("LaunchTemplateData.IamInstanceProfile.Name", ROLE),
        ];
        self.query(Service::Ec2, "CreateLaunchTemplate", &template)
            .await?;
        self.groups.push(name.clone());
        self.make_group(wanted, &queue).await?;
        Ok(Workers {
            name: name.clone(),
            url,
        })
    }

    fn image(&self, name: &str, start_up: f64, parameter: &str) -> anyhow::Result<String> {
        let made = Images::new(self.dir.path()).add(&NewImage {
            name: name.to_owned(),
            description: "a worker of an experiment".to_owned(),
            source: Source::Nothing,
            command: Some(format!(
                "sleep {start_up}; exec {} sample-worker --parameter {parameter}",
                own_program()?
            )),
            port: 8000,
        });
        Ok(made.map_err(|error| anyhow!(error))?.id)
    }

    async fn make_group(&self, wanted: &Wanted, queue: &str) -> anyhow::Result<()> {
        let mut input = vec![
            ("AutoScalingGroupName".to_owned(), wanted.name.clone()),
            ("MinSize".to_owned(), wanted.minimum.to_string()),
            ("MaxSize".to_owned(), wanted.maximum.to_string()),
            ("VPCZoneIdentifier".to_owned(), self.subnets.clone()),
            (
                "LaunchTemplate.LaunchTemplateName".to_owned(),
                wanted.name.clone(),
            ),
            ("LaunchTemplate.Version".to_owned(), "$Latest".to_owned()),
        ];
        let queue = ("forebay:backlog-queue", queue.to_owned());
        for (place, (key, value)) in (1..).zip(wanted.tags.iter().chain([&queue])) {
            let of = |name: &str| format!("Tags.member.{place}.{name}");
            input.push((of("Key"), (*key).to_owned()));
            input.push((of("Value"), value.clone()));
            input.push((of("PropagateAtLaunch"), "false".to_owned()));
        }
        let input: Vec<(&str, &str)> = input.iter().map(|(key, value)| (&**key, &**value)).collect();
        self.query(Service::AutoScaling, "CreateAutoScalingGroup", &input)
            .await?;
        Ok(())
    }

    /// Waits until this many workers of a group are in service.
    pub(crate) async fn until_there(&self, workers: &Workers, count: u32) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.size(workers).await?.in_service < count {
            if began.elapsed() > THERE_WITHIN {
                let group = [("AutoScalingGroupName", workers.name.as_str())];
                let told = self
                    .query(Service::AutoScaling, "DescribeScalingActivities", &group)
                    .await?;
                // If nothing was launched, the latest activity says why.
                let why = element(&told, "StatusMessage").unwrap_or("no worker is in service");
                anyhow::bail!("{}: {why}", workers.name);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Sends a message for each of these durations, in seconds.
    pub(crate) async fn send(&self, workers: &Workers, durations: &[f64]) -> anyhow::Result<()> {
        let messages = durations.iter().enumerate().map(|(id, duration)| {
            json!({
                "Id": id.to_string(),
                "MessageBody": json!({"id": id, "duration": duration}).to_string(),
                "MessageGroupId": id.to_string(),
                "MessageDeduplicationId": id.to_string(),
            })
        });
        let messages: Vec<Value> = messages.collect();
        for batch in messages.chunks(BATCH) {
            let told = self
                .sqs(
                    "SendMessageBatch",
                    &json!({"QueueUrl": workers.url, "Entries": batch}),
                )
                .await?;
            let sent = told["Successful"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(
                sent == batch.len(),
                "not all messages were sent: {}",
                told["Failed"]
            );
        }
        Ok(())
    }

    /// The messages in the queue.
    pub(crate) async fn depth(&self, workers: &Workers) -> anyhow::Result<Depth> {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let told = self
            .sqs(
                "GetQueueAttributes",
                &json!({"QueueUrl": workers.url, "AttributeNames": names}),
            )
            .await?;
        let read = |name: &str| {
            let number = told["Attributes"][name]
                .as_str()
                .and_then(|text| text.parse().ok());
            number.with_context(|| format!("{name} is not a number"))
        };
        Ok(Depth {
            visible: read(names[0])?,
            in_flight: read(names[1])?,
            delayed: read(names[2])?,
        })
    }

    /// How many times messages were received since `began`, once at least `least` were counted, or a while later.
    pub(crate) async fn received(
        &self,
        workers: &Workers,
        began: Timestamp,
        least: u64,
    ) -> anyhow::Result<u64> {
        let since = Instant::now();
        loop {
            let now = Timestamp::now();
            let input = [
                ("Namespace", "AWS/SQS"),
                ("MetricName", "NumberOfMessagesReceived"),
                ("Dimensions.member.1.Name", "QueueName"),
                ("Dimensions.member.1.Value", &format!("{}.fifo", workers.name)),
                ("StartTime", &(began - MINUTE).to_string()),
                ("EndTime", &(now + MINUTE).to_string()),
                ("Period", "60"),
                ("Statistics.member.1", "Sum"),
            ];
            let told = self
                .query(Service::CloudWatch, "GetMetricStatistics", &input)
                .await?;
            let sums = elements(&told, "Sum").map(str::parse::<f64>);
            let received = sums.sum::<Result<f64, _>>().context("a sum is not a number")? as u64;
            if received >= least || since.elapsed() > COUNTED_WITHIN {
                return Ok(received);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The group's desired number of instances, and its actual ones.
    pub(crate) async fn size(&self, workers: &Workers) -> anyhow::Result<Size> {
        let group = [("AutoScalingGroupNames.member.1", workers.name.as_str())];
        let told = self
            .query(Service::AutoScaling, "DescribeAutoScalingGroups", &group)
            .await?;
        let states: Vec<&str> = elements(&told, "LifecycleState").collect();
        Ok(Size {
            desired: found(&told, "DesiredCapacity")?.parse()?,
            instances: states.len() as u32,
            in_service: states.iter().filter(|state| **state == "InService").count() as u32,
        })
    }

    /// The group's planner page; none before the planner's first look.
    pub(crate) async fn plan(&self, workers: &Workers) -> anyhow::Result<Option<Value>> {
        let page = self.caller.page(self.daemon.admin, "/planner").await?;
        let told: Value = serde_json::from_slice(&page)?;
        let mut groups = told["groups"].as_array().into_iter().flatten();
        Ok(groups.find(|one| one["group"] == *workers.name).cloned())
    }

    /// Ends all instances, waits until nothing is left of them, and closes the scene.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let gone = self.end_instances().await;
        self.daemon.stop().await?;
        gone
    }

    async fn end_instances(&self) -> anyhow::Result<()> {
        let told = self
            .query(Service::AutoScaling, "DescribeAutoScalingGroups", &[])
            .await?;
        // Some groups do not exist if the experiment was interrupted early.
        for name in
            elements(&told, "AutoScalingGroupName").filter(|name| self.groups.iter().any(|one| one == name))
        {
            let group = [("AutoScalingGroupName", name), ("ForceDelete", "true")];
            self.query(Service::AutoScaling, "DeleteAutoScalingGroup", &group)
                .await?;
        }
        gone(self.dir.path()).await
    }
}

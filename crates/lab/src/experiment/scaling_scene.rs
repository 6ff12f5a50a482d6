//! The scene of experiments with instances: a fresh server, a load balancer, and an Auto Scaling group of real instances,
//! each a process of this very program.

use crate::aws_client::{AwsClient, element, elements};
use crate::demo_balancer::{found, free_port, wait_until_healthy};
use anyhow::{Context as _, anyhow, bail};
use forebay_awswire::Service;
use forebay_launch::{Images, NewImage, RunAs, SHIM, Source};
use forebay_server::{Daemon, UpArgs};
use ipnet::Ipv4Net;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The name of everything that is created.
const NAME: &str = "experiment";
/// The port that instances listen on.
const PORT: &str = "8000";
/// Longest time until instances have ended at the end.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(60);
/// Interval between looks.
const LOOK: Duration = Duration::from_millis(50);

/// The parameters of a scene.
pub(crate) struct Setup {
    pub(crate) pool: Ipv4Net,
    /// The shell command that starts an instance. `$FOREBAY` is this program.
    pub(crate) command: String,
    /// The control port of agents, if instances have one.
    pub(crate) control_port: Option<u16>,
    pub(crate) instances: u16,
    pub(crate) most: u16,
    /// Tags of the target group, and of the Auto Scaling group.
    pub(crate) target_tags: Vec<(&'static str, String)>,
    pub(crate) group_tags: Vec<(&'static str, String)>,
}

/// A running scene. It must be closed, or instances stay for some seconds after it.
pub(crate) struct ScalingScene {
    setup: Setup,
    image: String,
    daemon: Daemon,
    caller: AwsClient,
    balancer: String,
    target_group: String,
    nodes: Vec<SocketAddr>,
    dir: tempfile::TempDir,
}

/// An instance of the group.
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) state: String,
}

/// Runs this unless Ctrl-C or SIGTERM comes first; the caller then still has time to close what it opened.
pub(crate) async fn until_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

/// This program's path, quoted for a shell.
pub(crate) fn own_program() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("cannot find this program's file")?;
    let path = path.to_str().context("this program's path is not UTF-8")?;
    Ok(format!("'{}'", path.replace('\'', r"'\''")))
}

impl ScalingScene {
    /// Starts a fresh server that knows the image, but has no other resources yet.
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<ScalingScene> {
        let dir = tempfile::Builder::new()
            .prefix("forebay-experiment-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a fresh directory")?;
        let image = Images::new(dir.path()).add(&NewImage {
            name: NAME.to_owned(),
            description: "an instance of an experiment".to_owned(),
            source: Source::Nothing,
            command: Some(format!("FOREBAY={}; {}", own_program()?, setup.command)),
            port: PORT.parse()?,
        });
        let image = image.map_err(|error| anyhow!(error))?.id;
        let daemon = Daemon::start(UpArgs {
            workers: Some(1),
            // Instances run this program, which may be where no other user can read it.
            instance_user: RunAs::Own,
            instance_stop_seconds: 10,
            ..UpArgs::scratch(dir.path(), setup.pool)
        })
        .await?;
        let caller = AwsClient::from_file(daemon.api, "local-1", &daemon.credentials)?;
        Ok(ScalingScene {
            setup,
            image,
            daemon,
            caller,
            balancer: String::new(),
            target_group: String::new(),
            nodes: Vec::new(),
            dir,
        })
    }

    async fn call(&self, service: Service, action: &str, input: &[(&str, &str)]) -> anyhow::Result<String> {
        self.caller.call(service, action, input).await
    }

    /// Creates the load balancer and the group, and waits until the first instances are healthy.
    pub(crate) async fn make(&mut self) -> anyhow::Result<()> {
        let subnets = self.call(Service::Ec2, "DescribeSubnets", &[]).await?;
        let ids: Vec<&str> = elements(&subnets, "subnetId").collect();
        self.make_balancer(&ids, &found(&subnets, "vpcId")?).await?;
        let template = [
            ("LaunchTemplateName", NAME),
            ("LaunchTemplateData.ImageId", &self.image),
            ("LaunchTemplateData.InstanceType", "c6i.large"),
        ];
        self.call(Service::Ec2, "CreateLaunchTemplate", &template).await?;
        let group = [
            ("AutoScalingGroupName", NAME),
            ("MinSize", "1"),
            ("MaxSize", &self.setup.most.to_string()),
            ("DesiredCapacity", &self.setup.instances.to_string()),
            ("VPCZoneIdentifier", &ids.join(",")),
            ("LaunchTemplate.LaunchTemplateName", NAME),
            ("LaunchTemplate.Version", "$Latest"),
            ("TargetGroupARNs.member.1", &self.target_group),
        ];
        self.call(Service::AutoScaling, "CreateAutoScalingGroup", &group)
            .await?;
        self.tag_group().await?;
        let count = self.setup.instances.into();
        let Err(error) = wait_until_healthy(&self.caller, &self.target_group, count).await else {
            return Ok(());
        };
        let input = [("AutoScalingGroupName", NAME)];
        let told = self
            .call(Service::AutoScaling, "DescribeScalingActivities", &input)
            .await?;
        // If nothing was launched, the latest activity says why.
        let why = element(&told, "StatusMessage").map(str::to_owned);
        Err(why.map_or(error, |why| anyhow!("no instance serves: {why}")))
    }

    async fn make_balancer(&mut self, subnets: &[&str], vpc: &str) -> anyhow::Result<()> {
        let members: Vec<(String, &str)> = (1..)
            .zip(subnets)
            .map(|(number, id)| (format!("Subnets.member.{number}"), *id))
            .collect();
        let mut input = vec![("Name", NAME)];
        input.extend(members.iter().map(|(key, id)| (key.as_str(), *id)));
        let balancer = self.call(Service::Elbv2, "CreateLoadBalancer", &input).await?;
        self.balancer = found(&balancer, "LoadBalancerArn")?;
        let control = self.setup.control_port.map(|port| port.to_string());
        let mut input = vec![
            ("Name", NAME),
            ("Protocol", "HTTP"),
            ("Port", PORT),
            ("VpcId", vpc),
            ("TargetType", "instance"),
            ("HealthCheckIntervalSeconds", "5"),
            ("HealthCheckTimeoutSeconds", "2"),
            ("HealthyThresholdCount", "2"),
        ];
        if let Some(port) = &control {
            input.push(("TargetControlPort", port));
            input.extend([
                ("Tags.member.1.Key", "forebay:queue-length"),
                ("Tags.member.1.Value", "0"),
            ]);
        }
        let group = self.call(Service::Elbv2, "CreateTargetGroup", &input).await?;
        self.target_group = found(&group, "TargetGroupArn")?;
        // Longer than any request of an experiment.
        let input = [
            ("TargetGroupArn", self.target_group.as_str()),
            ("Attributes.member.1.Key", "deregistration_delay.timeout_seconds"),
            ("Attributes.member.1.Value", "60"),
        ];
        self.call(Service::Elbv2, "ModifyTargetGroupAttributes", &input)
            .await?;
        let port = free_port(0)?;
        let input = [
            ("LoadBalancerArn", self.balancer.as_str()),
            ("Protocol", "HTTP"),
            ("Port", &port.to_string()),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", &self.target_group),
        ];
        self.call(Service::Elbv2, "CreateListener", &input).await?;
        let input = [("LoadBalancerArns.member.1", self.balancer.as_str())];
        let told = self.call(Service::Elbv2, "DescribeLoadBalancers", &input).await?;
        let nodes = elements(&told, "IpAddress").map(|address| Ok(SocketAddr::new(address.parse()?, port)));
        self.nodes = nodes.collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!self.nodes.is_empty(), "the load balancer reports no addresses");
        Ok(())
    }

    async fn tag_group(&self) -> anyhow::Result<()> {
        for (key, value) in &self.setup.group_tags {
            let tag = [
                ("Tags.member.1.ResourceId", NAME),
                ("Tags.member.1.ResourceType", "auto-scaling-group"),
                ("Tags.member.1.Key", key),
                ("Tags.member.1.Value", value),
                ("Tags.member.1.PropagateAtLaunch", "false"),
            ];
            self.call(Service::AutoScaling, "CreateOrUpdateTags", &tag)
                .await?;
        }
        for (key, value) in &self.setup.target_tags {
            let tag = [
                ("ResourceArns.member.1", self.target_group.as_str()),
                ("Tags.member.1.Key", key),
                ("Tags.member.1.Value", value),
            ];
            self.call(Service::Elbv2, "AddTags", &tag).await?;
        }
        Ok(())
    }

    /// Creates a target tracking policy that keeps this share of slots busy, by points of `period` seconds.
    pub(crate) async fn track_utilization(
        &self,
        target: f64,
        period: u32,
        warm_up: u64,
    ) -> anyhow::Result<()> {
        let tail = self.target_group.rsplit(':').next().unwrap_or_default();
        let of = |name: &str| format!("TargetTrackingConfiguration.{name}");
        let metric = |name: &str| of(&format!("CustomizedMetricSpecification.{name}"));
        let input = [
            ("AutoScalingGroupName".to_owned(), NAME.to_owned()),
            ("PolicyName".to_owned(), "utilization".to_owned()),
            ("PolicyType".to_owned(), "TargetTrackingScaling".to_owned()),
            ("EstimatedInstanceWarmup".to_owned(), warm_up.to_string()),
            (of("TargetValue"), target.to_string()),
            (metric("Namespace"), "Forebay".to_owned()),
            (metric("MetricName"), "SlotUtilization".to_owned()),
            (metric("Dimensions.member.1.Name"), "TargetGroup".to_owned()),
            (metric("Dimensions.member.1.Value"), tail.to_owned()),
            (metric("Statistic"), "Average".to_owned()),
            (metric("Period"), period.to_string()),
        ];
        let input: Vec<(&str, &str)> = input.iter().map(|(key, value)| (&**key, &**value)).collect();
        self.call(Service::AutoScaling, "PutScalingPolicy", &input)
            .await?;
        Ok(())
    }

    /// The addresses for requests, one per node.
    pub(crate) fn nodes(&self) -> &[SocketAddr] {
        &self.nodes
    }

    /// Creates an alarm and a policy that add `more` instances whenever requests are refused in a period.
    pub(crate) async fn scale_on_refusals(&self, period: u32, more: u16, warm_up: u64) -> anyhow::Result<()> {
        let policy = [
            ("AutoScalingGroupName", NAME),
            ("PolicyName", "on-refusals"),
            ("PolicyType", "StepScaling"),
            ("AdjustmentType", "ChangeInCapacity"),
            ("EstimatedInstanceWarmup", &warm_up.to_string()),
            ("StepAdjustments.member.1.MetricIntervalLowerBound", "0"),
            ("StepAdjustments.member.1.ScalingAdjustment", &more.to_string()),
        ];
        let policy = self
            .call(Service::AutoScaling, "PutScalingPolicy", &policy)
            .await?;
        let tail = self.balancer.rsplit(':').next().unwrap_or_default();
        let alarm = [
            ("AlarmName", "refusals"),
            ("Namespace", "AWS/ApplicationELB"),
            ("MetricName", "TargetControlRequestRejectCount"),
            ("Dimensions.member.1.Name", "LoadBalancer"),
            (
                "Dimensions.member.1.Value",
                tail.strip_prefix("loadbalancer/").unwrap_or(tail),
            ),
            ("Statistic", "Sum"),
            ("Period", &period.to_string()),
            ("EvaluationPeriods", "1"),
            ("Threshold", "0"),
            ("ComparisonOperator", "GreaterThanThreshold"),
            ("TreatMissingData", "notBreaching"),
            ("AlarmActions.member.1", &found(&policy, "PolicyARN")?),
        ];
        self.call(Service::CloudWatch, "PutMetricAlarm", &alarm).await?;
        Ok(())
    }

    /// Whether the alarm is in ALARM.
    pub(crate) async fn is_alarmed(&self) -> anyhow::Result<bool> {
        let told = self.call(Service::CloudWatch, "DescribeAlarms", &[]).await?;
        Ok(element(&told, "StateValue") == Some("ALARM"))
    }

    async fn described(&self) -> anyhow::Result<String> {
        let input = [("AutoScalingGroupNames.member.1", NAME)];
        self.call(Service::AutoScaling, "DescribeAutoScalingGroups", &input)
            .await
    }

    /// The group's desired number of instances, and its instances.
    pub(crate) async fn group(&self) -> anyhow::Result<(u16, Vec<Member>)> {
        let told = self.described().await?;
        let desired = found(&told, "DesiredCapacity")?.parse()?;
        let states = elements(&told, "LifecycleState").map(str::to_owned);
        let ids = elements(&told, "InstanceId").map(str::to_owned);
        let members = ids.zip(states).map(|(id, state)| Member { id, state });
        Ok((desired, members.collect()))
    }

    /// The number of healthy targets.
    pub(crate) async fn healthy(&self) -> anyhow::Result<usize> {
        let input = [("TargetGroupArn", self.target_group.as_str())];
        let told = self.call(Service::Elbv2, "DescribeTargetHealth", &input).await?;
        Ok(elements(&told, "State")
            .filter(|state| *state == "healthy")
            .count())
    }

    /// Sets the group's desired number of instances.
    pub(crate) async fn desire(&self, count: u16) -> anyhow::Result<()> {
        let input = [
            ("AutoScalingGroupName", NAME),
            ("DesiredCapacity", &count.to_string()),
        ];
        self.call(Service::AutoScaling, "SetDesiredCapacity", &input)
            .await?;
        Ok(())
    }

    /// Stops the group from noticing that an instance has died.
    pub(crate) async fn overlook_deaths(&self) -> anyhow::Result<()> {
        let input = [
            ("AutoScalingGroupName", NAME),
            ("ScalingProcesses.member.1", "HealthCheck"),
            ("ScalingProcesses.member.2", "ReplaceUnhealthy"),
            ("ScalingProcesses.member.3", "AZRebalance"),
        ];
        self.call(Service::AutoScaling, "SuspendProcesses", &input)
            .await?;
        Ok(())
    }

    /// Kills an instance's program from outside, as `kill -9` does, without telling anyone.
    pub(crate) fn kill(&self, id: &str) -> anyhow::Result<()> {
        let shim = shim_of(id).with_context(|| format!("{id} does not run"))?;
        let program = child_of(shim).with_context(|| format!("{id} has no program"))?;
        // The program is the leader of its process group.
        let group = rustix::process::Pid::from_raw(program).context("a process has number 0")?;
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
            .with_context(|| format!("cannot kill {id}"))
    }

    /// Ends all instances, waits until nothing is left of them, and closes the scene.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let gone = self.end_instances().await;
        self.daemon.stop().await?;
        gone
    }

    async fn end_instances(&self) -> anyhow::Result<()> {
        let input = [("AutoScalingGroupName", NAME), ("ForceDelete", "true")];
        // The group does not exist if the experiment was interrupted early.
        if self.described().await?.contains("<AutoScalingGroupName>") {
            self.call(Service::AutoScaling, "DeleteAutoScalingGroup", &input)
                .await?;
        }
        gone(self.dir.path()).await
    }
}

/// Waits until nothing is left of a data directory's instances.
pub(crate) async fn gone(data_dir: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    while has_instances(&data_dir.join("instances")) {
        anyhow::ensure!(
            began.elapsed() < GONE_WITHIN,
            "instances did not end in {GONE_WITHIN:?}; they end soon, as their directory is removed"
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

pub(crate) fn has_instances(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name())
        .any(|name| name.to_string_lossy().starts_with("i-"))
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process that supervises an instance, found by its command line: the word, and the instance's directory.
fn shim_of(id: &str) -> Option<i32> {
    processes().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        // The program comes first, and an empty part after the last separator.
        let [_, word, dir, []] = words[..] else {
            return false;
        };
        word == SHIM.as_bytes() && dir.ends_with(id.as_bytes())
    })
}

fn child_of(parent: i32) -> Option<i32> {
    processes().find(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name in brackets come the state and the parent.
        let rest = stat.rsplit_once(") ").map(|parts| parts.1).unwrap_or_default();
        rest.split(' ').nth(1) == Some(&parent.to_string())
    })
}

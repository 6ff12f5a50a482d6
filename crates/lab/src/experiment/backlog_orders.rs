//! A test: figures of a queue become orders in a running server, and the server reports why.

use crate::aws_client::{AwsClient, element, elements};
use forebay_awswire::Service;
use forebay_server::{Backlogs, Daemon, LauncherKind, QueueFigures, UpArgs};
use std::time::{Duration, Instant};

const QUEUE: &str = "arn:aws:sqs:local-1:000000000000:jobs";
const WITHIN: Duration = Duration::from_secs(20);

fn figures(visible: u64, in_flight: u64) -> QueueFigures {
    QueueFigures {
        visible,
        in_flight,
        delayed: 0,
        oldest_age: Some(Duration::ZERO),
    }
}

async fn call(caller: &AwsClient, service: Service, action: &str, input: &[(&str, &str)]) -> String {
    caller.call(service, action, input).await.unwrap()
}

async fn group(caller: &AwsClient) {
    let subnets = call(caller, Service::Ec2, "DescribeSubnets", &[]).await;
    let subnets: Vec<&str> = elements(&subnets, "subnetId").collect();
    let template = [
        ("LaunchTemplateName", "workers"),
        ("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"),
        ("LaunchTemplateData.InstanceType", "c6i.large"),
    ];
    call(caller, Service::Ec2, "CreateLaunchTemplate", &template).await;
    let tags = [
        ("forebay:backlog-queue", "jobs"),
        ("forebay:backlog-latency", "300"),
        ("forebay:backlog-processing-seconds", "25"),
        ("forebay:backlog-start-up-seconds", "2"),
    ];
    let mut input = vec![
        ("AutoScalingGroupName".to_owned(), "workers"),
        ("MinSize".to_owned(), "0"),
        ("MaxSize".to_owned(), "40"),
        ("LaunchTemplate.LaunchTemplateName".to_owned(), "workers"),
        ("LaunchTemplate.Version".to_owned(), "$Latest"),
    ];
    let zones = subnets.join(",");
    input.push(("VPCZoneIdentifier".to_owned(), &zones));
    for (place, (key, value)) in (1..).zip(tags) {
        input.push((format!("Tags.member.{place}.Key"), key));
        input.push((format!("Tags.member.{place}.Value"), value));
        input.push((format!("Tags.member.{place}.PropagateAtLaunch"), "false"));
    }
    let input: Vec<(&str, &str)> = input.iter().map(|(key, value)| (&**key, *value)).collect();
    call(caller, Service::AutoScaling, "CreateAutoScalingGroup", &input).await;
}

async fn desired(caller: &AwsClient) -> u32 {
    let told = call(caller, Service::AutoScaling, "DescribeAutoScalingGroups", &[]).await;
    element(&told, "DesiredCapacity").unwrap().parse().unwrap()
}

/// Reports these figures again and again, as a queue in use would, until this many instances are desired.
async fn until(caller: &AwsClient, backlogs: &Backlogs, figures: QueueFigures, wanted: u32) {
    let began = Instant::now();
    loop {
        backlogs.observe(QUEUE, figures);
        let found = desired(caller).await;
        if found == wanted {
            return;
        }
        assert!(began.elapsed() < WITHIN, "{found} are wanted, not {wanted}");
    }
}

/// The start-up time that the planner assumes, from the admin address.
async fn start_up(caller: &AwsClient, daemon: &Daemon) -> Option<f64> {
    let page = caller.page(daemon.admin, "/planner").await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&page).unwrap();
    told["groups"][0]["start_up_seconds"].as_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_become_orders_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(UpArgs {
        workers: Some(1),
        launcher: LauncherKind::Simulated(Duration::from_millis(100)),
        ..UpArgs::scratch(dir.path(), "127.223.0.0/16".parse().unwrap())
    })
    .await
    .unwrap();
    let caller = AwsClient::from_file(daemon.api, "local-1", &daemon.credentials).unwrap();
    group(&caller).await;
    let backlogs = daemon.backlogs().clone();
    // Of fifty messages of 25 s, each instance finishes eleven in the time that its start-up leaves.
    until(&caller, &backlogs, figures(50, 0), 5).await;
    let told = call(&caller, Service::AutoScaling, "DescribeScalingActivities", &[]).await;
    let cause = element(&told, "Cause").unwrap();
    for wanted in [
        "the backlog had 50 visible messages",
        "changing the desired capacity from 0 to 5",
    ] {
        assert!(cause.contains(wanted), "{wanted}: {cause}");
    }
    // Processes have started, but no worker has asked for messages, so the told start-up counts. Then one asks.
    let began = Instant::now();
    let first = loop {
        let told = call(&caller, Service::AutoScaling, "DescribeAutoScalingGroups", &[]).await;
        let mut members = elements(&told, "InstanceId").zip(elements(&told, "LifecycleState"));
        if let Some((id, _)) = members.find(|member| member.1 == "InService") {
            break id.to_owned();
        }
        assert!(began.elapsed() < WITHIN, "nothing is in service");
    };
    assert_eq!(start_up(&caller, &daemon).await, None);
    backlogs.asks(&first);
    while start_up(&caller, &daemon).await.is_none() {
        backlogs.observe(QUEUE, figures(50, 0));
        assert!(began.elapsed() < WITHIN, "a first receive tells a start-up");
    }
    // Messages take twice as long, which three of them show.
    for _ in 0..3 {
        backlogs.processed(QUEUE, Duration::from_secs(50));
    }
    until(&caller, &backlogs, figures(42, 5), 10).await;
    backlogs.removed(QUEUE);
    daemon.stop().await.unwrap();
}

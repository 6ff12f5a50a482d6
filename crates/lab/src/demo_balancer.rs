//! A load balancer that is created through our own public API, as any AWS client would.

use crate::aws_client::{AwsClient, element, elements};
use anyhow::{Context as _, bail};
use forebay_awswire::Service;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// Longest time until the first health checks have passed.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);

/// A port for the listener: this one if it is free, else another.
pub(crate) fn free_port(port: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok(listener
        .context("no port is free on 127.0.0.1")?
        .local_addr()?
        .port())
}

/// A load balancer with one listener and one target group.
pub(crate) struct DemoBalancer {
    pub(crate) arn: String,
    pub(crate) group: String,
    pub(crate) dns_name: String,
    pub(crate) nodes: Vec<SocketAddr>,
}

/// An element that the answer must have.
pub(crate) fn found(xml: &str, name: &str) -> anyhow::Result<String> {
    element(xml, name)
        .map(str::to_owned)
        .with_context(|| format!("no {name} in the answer"))
}

/// Creates a load balancer as any AWS client would.
pub(crate) async fn make(
    caller: &AwsClient,
    name: &str,
    port: u16,
    targets: &[(&str, SocketAddr)],
    checks: &[(&str, &str)],
) -> anyhow::Result<DemoBalancer> {
    let subnets = caller.call(Service::Ec2, "DescribeSubnets", &[]).await?;
    let ids: Vec<&str> = elements(&subnets, "subnetId").collect();
    let [first, second, third, ..] = ids[..] else {
        bail!("the default VPC has {} subnets, not three", ids.len())
    };
    let input = [
        ("Name", name),
        ("Subnets.member.1", first),
        ("Subnets.member.2", second),
        ("Subnets.member.3", third),
    ];
    let balancer = caller.call(Service::Elbv2, "CreateLoadBalancer", &input).await?;
    let arn = found(&balancer, "LoadBalancerArn")?;
    let group = make_group(caller, name, &found(&subnets, "vpcId")?, targets, checks).await?;
    let input = [
        ("LoadBalancerArn", arn.as_str()),
        ("Protocol", "HTTP"),
        ("Port", &port.to_string()),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ];
    caller.call(Service::Elbv2, "CreateListener", &input).await?;
    wait_until_healthy(caller, &group, targets.len()).await?;
    let input = [("LoadBalancerArns.member.1", arn.as_str())];
    let balancer = caller
        .call(Service::Elbv2, "DescribeLoadBalancers", &input)
        .await?;
    let nodes: Vec<SocketAddr> = elements(&balancer, "IpAddress")
        .map(|address| Ok(SocketAddr::new(address.parse()?, port)))
        .collect::<anyhow::Result<_>>()?;
    if nodes.is_empty() {
        bail!("the load balancer reports no addresses");
    }
    let dns_name = found(&balancer, "DNSName")?;
    Ok(DemoBalancer {
        arn,
        group,
        dns_name,
        nodes,
    })
}

/// Creates a target group with these targets; returns its ARN.
async fn make_group(
    caller: &AwsClient,
    name: &str,
    vpc: &str,
    targets: &[(&str, SocketAddr)],
    checks: &[(&str, &str)],
) -> anyhow::Result<String> {
    let mut input = vec![
        ("Name", name),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("VpcId", vpc),
        ("TargetType", "ip"),
    ];
    input.extend(checks);
    let group = caller.call(Service::Elbv2, "CreateTargetGroup", &input).await?;
    let group = found(&group, "TargetGroupArn")?;
    register(caller, &group, targets).await?;
    Ok(group)
}

/// Registers targets.
pub(crate) async fn register(
    caller: &AwsClient,
    group: &str,
    targets: &[(&str, SocketAddr)],
) -> anyhow::Result<()> {
    let mut input = vec![("TargetGroupArn".to_owned(), group.to_owned())];
    for (index, (_, address)) in (1..).zip(targets) {
        input.push((format!("Targets.member.{index}.Id"), address.ip().to_string()));
        input.push((format!("Targets.member.{index}.Port"), address.port().to_string()));
    }
    let input: Vec<(&str, &str)> = input
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    caller.call(Service::Elbv2, "RegisterTargets", &input).await?;
    Ok(())
}

/// Waits until this many targets are healthy.
pub(crate) async fn wait_until_healthy(caller: &AwsClient, group: &str, count: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let health = caller
            .call(
                Service::Elbv2,
                "DescribeTargetHealth",
                &[("TargetGroupArn", group)],
            )
            .await?;
        if elements(&health, "State")
            .filter(|state| *state == "healthy")
            .count()
            == count
        {
            return Ok(());
        }
        if began.elapsed() > HEALTHY_WITHIN {
            bail!("the targets did not become healthy: {health}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

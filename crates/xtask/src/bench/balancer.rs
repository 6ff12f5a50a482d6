//! A load balancer to measure, created through the API as any client would.

use super::processes::free;
use anyhow::{Context as _, bail, ensure};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The text of an element's occurrence, counted from 1.
fn element(xml: &str, name: &str, index: usize) -> anyhow::Result<String> {
    let part = xml
        .split(&format!("<{name}>"))
        .nth(index)
        .and_then(|rest| rest.split('<').next());
    Ok(part.with_context(|| format!("no {name} in {xml}"))?.to_owned())
}

/// Creates a load balancer with three rules before the default; returns the address of its first node. It speaks TLS if a
/// certificate and a key are given, in PEM; its targets have agents if their control port is given.
pub(super) fn make_balancer(
    api: SocketAddr,
    backends: &[SocketAddr],
    tls: Option<(&str, &str)>,
    logs: bool,
    control: Option<u16>,
) -> anyhow::Result<SocketAddr> {
    let subnets = api_call(api, "ec2", "Action=DescribeSubnets&Version=2016-11-15")?;
    let (first, second) = (
        element(&subnets, "subnetId", 1)?,
        element(&subnets, "subnetId", 2)?,
    );
    let vpc = element(&subnets, "vpcId", 1)?;
    let elb = |query: &str| {
        api_call(
            api,
            "elasticloadbalancing",
            &format!("{query}&Version=2015-12-01"),
        )
    };
    let balancer = elb(&format!(
        "Action=CreateLoadBalancer&Name=bench&Subnets.member.1={first}&Subnets.member.2={second}"
    ))?;
    let arn = element(&balancer, "LoadBalancerArn", 1)?;
    if logs {
        elb(&format!(
            "Action=ModifyLoadBalancerAttributes&LoadBalancerArn={arn}&Attributes.member.1.Key=access_logs.s3.enabled&Attributes.member.1.Value=true&Attributes.member.2.Key=access_logs.s3.bucket&Attributes.member.2.Value=bench"
        ))?;
    }
    let algorithm = if control.is_some() {
        "round_robin"
    } else {
        "least_outstanding_requests"
    };
    let control = control.map_or_else(String::new, |port| format!("&TargetControlPort={port}"));
    let group = elb(&format!(
        "Action=CreateTargetGroup&Name=bench&Protocol=HTTP&Port=80&VpcId={vpc}&TargetType=ip{control}"
    ))?;
    let group = element(&group, "TargetGroupArn", 1)?;
    // ALB's features are all on, this one too; with agents ALB allows only round robin.
    elb(&format!(
        "Action=ModifyTargetGroupAttributes&TargetGroupArn={group}&Attributes.member.1.Key=load_balancing.algorithm.type&Attributes.member.1.Value={algorithm}"
    ))?;
    elb(&registration(&group, backends)?)?;
    let port = free()?.port();
    let forward =
        format!("DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={group}");
    let protocol = match tls {
        None => "Protocol=HTTP".to_owned(),
        Some(pair) => secured(api, pair)?,
    };
    let listener = elb(&format!(
        "Action=CreateListener&LoadBalancerArn={arn}&{protocol}&Port={port}&{forward}"
    ))?;
    let listener = element(&listener, "ListenerArn", 1)?;
    make_rules(api, &listener)?;
    let address = element(&elb("Action=DescribeLoadBalancers")?, "IpAddress", 1)?;
    let began = Instant::now();
    let healthy = || elb(&format!("Action=DescribeTargetHealth&TargetGroupArn={group}"));
    while healthy()?.matches("<State>healthy<").count() != backends.len() {
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "the targets did not become healthy"
        );
        std::thread::yield_now();
    }
    Ok(SocketAddr::new(address.parse()?, port))
}

/// The call that registers these targets with a group.
fn registration(group: &str, backends: &[SocketAddr]) -> anyhow::Result<String> {
    let mut call = format!("Action=RegisterTargets&TargetGroupArn={group}");
    for (index, backend) in (1..).zip(backends) {
        let (ip, port) = (backend.ip(), backend.port());
        write!(
            call,
            "&Targets.member.{index}.Id={ip}&Targets.member.{index}.Port={port}"
        )?;
    }
    Ok(call)
}

/// Creates three rules that match no request.
fn make_rules(api: SocketAddr, listener: &str) -> anyhow::Result<()> {
    for priority in 1..=3 {
        let condition = format!(
            "Conditions.member.1.Field=path-pattern&Conditions.member.1.Values.member.1=/rule{priority}/*"
        );
        let action =
            "Actions.member.1.Type=fixed-response&Actions.member.1.FixedResponseConfig.StatusCode=404";
        let rule = format!(
            "Action=CreateRule&Version=2015-12-01&ListenerArn={listener}&Priority={priority}&{condition}&{action}"
        );
        api_call(api, "elasticloadbalancing", &rule)?;
    }
    Ok(())
}

/// Uploads a certificate; returns the parameters with which a listener uses it.
fn secured(api: SocketAddr, (certificate, key): (&str, &str)) -> anyhow::Result<String> {
    let escaped = |text: &str| {
        text.bytes().fold(String::new(), |mut all, byte| {
            let _ = write!(all, "%{byte:02X}");
            all
        })
    };
    let uploaded = api_call(
        api,
        "iam",
        &format!(
            "Action=UploadServerCertificate&Version=2010-05-08&ServerCertificateName=bench&CertificateBody={}&PrivateKey={}",
            escaped(certificate),
            escaped(key)
        ),
    )?;
    let arn = element(&uploaded, "Arn", 1)?;
    Ok(format!(
        "Protocol=HTTPS&SslPolicy=ELBSecurityPolicy-TLS13-1-2-2021-06&Certificates.member.1.CertificateArn={arn}"
    ))
}

/// One unsigned API call. The credential names the service, and nobody checks it.
fn api_call(api: SocketAddr, service: &str, query: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(api)?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIABENCH/20260101/local-1/{service}/aws4_request, SignedHeaders=host, Signature=none\r\nContent-Length: {}\r\n\r\n{query}",
        query.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("{query}: {answer}");
    }
    Ok(answer)
}

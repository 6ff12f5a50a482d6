//! Pages in `docs/` that are made from the code, so that they can't lie.

use anyhow::{Context as _, bail};
use forebay_awswire::Service;
use forebay_control::elbv2::attributes;
use forebay_control::settings::{Holder, Row};
use forebay_model::POLICIES;
use forebay_telemetry::metrics::{
    self, CONSUMED, CloudWatch, Kind, Metric, NAMESPACE, NOT_REPORTED, OWN_NAMESPACE, PEAK, Part,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

fn pages() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let docs = crate::root::root()?.join("docs");
    Ok(vec![
        (docs.join("supported-operations.md"), operations()?),
        (docs.join("attributes.md"), attribute_page()?),
        (docs.join("tags.md"), tag_page()?),
        (docs.join("tls-policies.md"), policies()?),
        (docs.join("metrics.md"), metrics()?),
    ])
}

/// Writes the pages.
pub(crate) fn write() -> anyhow::Result<()> {
    for (path, text) in pages()? {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails if a page is not what the code says.
pub(crate) fn check() -> anyhow::Result<()> {
    for (path, text) in pages()? {
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            bail!("{} is out of date: run `cargo xtask docs`", path.display());
        }
    }
    eprintln!("docs: generated pages are up to date");
    Ok(())
}

const GENERATED: &str = "<!-- Made by `cargo xtask docs`; change the code, not this page. -->\n";

fn operations() -> anyhow::Result<String> {
    let mut text = format!("# Supported operations\n\n{GENERATED}\n");
    text.push_str(
        "An operation that AWS has and Forebay does not serve is answered with `InvalidAction`\n(`UnknownOperationException` in JSON and CBOR) and a message that names it.\n",
    );
    for service in Service::ALL {
        let served: BTreeSet<&str> = forebay_control::supported()
            .into_iter()
            .filter(|entry| entry.0 == service)
            .map(|entry| entry.1)
            .collect();
        let all = service.operations();
        write!(
            text,
            "\n## {} (`{}`)\n\n{} of {} operations.{}\n\n",
            service.title(),
            service.name(),
            served.len(),
            all.len(),
            limits(service)
        )?;
        for name in &served {
            writeln!(text, "- {name}")?;
        }
        let missing: Vec<&str> = all
            .iter()
            .filter(|name| !served.contains(*name))
            .copied()
            .collect();
        if !missing.is_empty() && missing.len() < 40 {
            writeln!(text, "\nNot served yet: {}.", missing.join(", "))?;
        } else if !missing.is_empty() {
            writeln!(text, "\nNot served: the other {}.", missing.len())?;
        }
    }
    Ok(text)
}

/// What a service's operations do not do here, though they are answered.
fn limits(service: Service) -> &'static str {
    match service {
        Service::Elbv2 => {
            " Network and gateway load balancers are stored and described, and **carry no traffic**: they are not\n\
             built yet. The log says so when one is made."
        }
        Service::Ec2 => {
            " An instance whose image `forebay image add` has made runs; one with any other image id is an address of the pool and a\n\
             record (its state reason, `Server.NotBooted`, says so). Security groups, routes, further addresses and prefixes are stored and shown, and\n\
             change no traffic."
        }
        Service::CloudWatch => {
            " Alarms run scaling policies and tell topics' webhooks (`--notify`). Contributor Insights rules are kept and shown, and analyse nothing."
        }
        Service::AutoScaling => {
            " Predictive scaling policies only forecast; load balancers of the first kind, VPC Lattice and functions as\n\
             termination policies are not there."
        }
        Service::Ssm => " Of public parameters only those that name images; each names Forebay's own.",
        Service::Sqs => " Messages are not encrypted by KMS keys, and policies are stored, not enforced.",
        Service::Lambda => {
            " A function is a process of this machine. There are no versions, aliases, layers, images or VPCs, and roles are kept, not\n\
             enforced; archives come with the call, as there is no S3. Event source mappings are of queues."
        }
        Service::Scheduler => {
            " Targets are functions, queues and universal targets of the operations here that write; roles are kept, not enforced."
        }
        Service::Events => {
            " Rules have schedules, on the bus `default`; there are no patterns and no events but these."
        }
        Service::Tagging => " Resources without tags are never listed, also if they had some.",
        Service::Shield => " Nobody has a subscription.",
        Service::Wafv2 | Service::WafRegional => " No load balancer has a web ACL; none can be made.",
        Service::Acm | Service::Iam | Service::Sts => "",
    }
}

fn attribute_page() -> anyhow::Result<String> {
    let mut text = format!("# Attributes and policies\n\n{GENERATED}\n");
    text.push_str(
        "Every attribute is validated, stored and described. Where *effect* says **stored**, nothing acts on it yet.\nNetwork and gateway load balancers can be described, but carry no traffic: their attributes have no effect.\nWhat ALB does not have is set by [tags](tags.md).\n",
    );
    tables(&mut text, attributes(), |row| {
        let effect = if row.is_built { "built" } else { "**stored**" };
        (
            "effect | ",
            format!("{effect} | "),
            if row.default.is_empty() {
                "(empty)"
            } else {
                row.default
            },
        )
    })?;
    write!(
        text,
        "\n## TLS policies\n\nDescribeSSLPolicies knows {} policies: see [tls-policies.md](tls-policies.md).\n",
        POLICIES.len()
    )?;
    Ok(text)
}

fn tag_page() -> anyhow::Result<String> {
    let mut text = format!("# Tags\n\n{GENERATED}\n");
    text.push_str(
        "A tag whose key begins with `forebay:` asks for something that AWS does not have. In every other way it is a tag like any\n\
         other: it comes with the call that makes a resource, or later (AddTags, CreateTags, CreateOrUpdateTags), and Terraform and\n\
         the AWS Load Balancer Controller set it as they set all tags. A key that is misspelt and a value that means nothing are\n\
         refused, with the key that was probably meant or the values that are possible. A change counts as soon as the call returns.\n\n\
         What the tags do is told at length in [choosing](choosing.md), [queueing](queueing.md), [the planner](planner.md),\n\
         [workers on a queue](queue-workers.md), [exposing](exposing.md) and [instances](instances.md).\n",
    );
    tables(&mut text, forebay_control::own_tags(), |row| {
        ("", String::new(), row.default)
    })?;
    Ok(text)
}

/// A table for each kind of resource that has settings. `more` says the heading and the text of a column that only this page has, and the
/// default.
fn tables<'r>(
    text: &mut String,
    rows: impl Iterator<Item = &'r Row>,
    more: impl Fn(&Row) -> (&'static str, String, &'static str),
) -> anyhow::Result<()> {
    let rows: Vec<&Row> = rows.collect();
    let holders: BTreeSet<Holder> = rows.iter().flat_map(|row| row.holders).copied().collect();
    for holder in holders {
        let mut heading = None;
        for row in rows.iter().filter(|row| row.holders.contains(&holder)) {
            let (column, value, default) = more(row);
            if heading.is_none() {
                let lines = "---|".repeat(if column.is_empty() { 4 } else { 5 });
                write!(
                    text,
                    "\n## {}\n\n| key | default | values | {column}meaning |\n|{lines}\n",
                    holder.title()
                )?;
                heading = Some(column);
            }
            let values = row.values.allowed().replace('|', "\\|");
            writeln!(
                text,
                "| `{}` | {default} | {values} | {value}{} |",
                row.key, row.meaning
            )?;
        }
    }
    Ok(())
}

fn policies() -> anyhow::Result<String> {
    let mut text = format!("# TLS policies\n\n{GENERATED}\n");
    text.push_str(
        "Every policy name of ELB is taken. What a policy serves here is its part with TLS 1.2 and 1.3, forward secrecy and\n\
         authenticated encryption; DescribeSSLPolicies lists exactly that. What is *lost* is what AWS lists beyond it: TLS 1.0 and\n\
         1.1, CBC ciphers, RSA key exchange. No policy loses everything, so none is refused: a client that needs what is lost gets\n\
         the alert `handshake_failure` or `protocol_version`, and `forebay_tls_handshake_failures_total` counts it.\n\n\
         The order is the policy's, and the policy's order decides. Groups: X25519, P-256, P-384; `PQ` policies prefer\n\
         X25519MLKEM768 and SecP256r1MLKEM768 (SecP384r1MLKEM1024 is not there yet); `FIPS` policies leave X25519 alone out (the\n\
         names promise approved algorithms; the module that computes them is not a validated one); strict `RFC9151` ones have\n\
         P-384 only.\n\n\
         A listener that names no policy gets `ELBSecurityPolicy-2016-08`, as on AWS: TLS 1.2 only.\n\n\
         | policy (`ELBSecurityPolicy-`...) | protocols | ciphers | lost |\n|---|---|---|---|\n",
    );
    for policy in POLICIES {
        let protocols: Vec<&str> = policy.served_protocols().collect();
        let ciphers: Vec<&str> = policy.served_ciphers().collect();
        let old = policy.protocols.iter().filter(|name| !protocols.contains(name));
        let weak = policy.ciphers().filter(|name| !ciphers.contains(name));
        let mut lost: Vec<String> = old.map(|&name| name.to_owned()).collect();
        let weak = weak.count();
        if weak > 0 {
            lost.push(format!("{weak} ciphers"));
        }
        let name = policy
            .name
            .strip_prefix("ELBSecurityPolicy-")
            .unwrap_or(policy.name);
        writeln!(
            text,
            "| {name} | {} | {} | {} |",
            protocols.join(", "),
            families(&ciphers),
            if lost.is_empty() {
                "nothing".to_owned()
            } else {
                lost.join(", ")
            },
        )?;
    }
    Ok(text)
}

fn metrics() -> anyhow::Result<String> {
    let mut text = format!("# Metrics\n\n{GENERATED}\n");
    write!(
        text,
        "`/metrics` at the admin address of a server, and of an agent, has these in Prometheus' text, or in OpenMetrics' for those\n\
         who ask for it. A counter counts since the program was started, or what it is of was made. A metric that has nothing to tell\n\
         has no line: target control's, of groups that no agent limits, times of answers with a status that never came.\n\
         `load_balancer`, `target_group`, `listener` and `certificate` hold the end of an ARN, as CloudWatch has it (`app/NAME/ID`);\n\
         `target` holds `ID:PORT`; a histogram is read as `_bucket`, `_count` and `_sum`, in seconds.\n\n\
         *CloudWatch* names the metric of `{NAMESPACE}` that AWS has for the same thing, or of `{OWN_NAMESPACE}` where AWS has none, by\n\
         which part of ours, with its unit, the statistics that mean something, and the sets of dimensions that it is there by (L:\n\
         LoadBalancer, A: AvailabilityZone, T: TargetGroup, R: Reason, C: Certificate). One is reported while it is not zero, or *always*. Where each\n\
         node counts by itself, each has datapoints of its own: Minimum and Maximum are over nodes, Sum is of all of them. A node is a\n\
         load balancer's address in a zone; pages show nodes together. Of hosts the zone is the target's own. Slots, queues' waits and\n\
         control channels are a group's, whatever its nodes: there is no value by zone. Connections are those of clients alone, where\n\
         AWS counts those to targets as well. `RequestCount` is of requests for which a target was chosen, `forebay_requests_total` of\n\
         all. Bytes are counted when a request ends, those of a WebSocket when it is closed. `SurgeQueueLength` and `SpilloverCount`\n\
         are Classic Load Balancers' words.\n",
    )?;
    sending(&mut text);
    capacity(&mut text)?;
    let mut subjects: Vec<&str> = Vec::new();
    for metric in metrics::all() {
        if !subjects.contains(&metric.read.subject()) {
            subjects.push(metric.read.subject());
        }
    }
    for subject in subjects {
        write!(
            text,
            "\n## {subject}\n\n| name | kind | unit | dimensions | CloudWatch | meaning |\n|---|---|---|---|---|---|\n"
        )?;
        for metric in metrics::all().filter(|metric| metric.read.subject() == subject) {
            writeln!(text, "{}", row(metric))?;
        }
    }
    Ok(text)
}

/// How metrics go to who does not ask.
fn sending(text: &mut String) {
    text.push_str(
        "\n## Sending them\n\n\
         `forebay up` also sends all of these to who is to have them without asking. Both ways may be used at once.\n\n\
         | flags | what is sent |\n|---|---|\n\
         | `--remote-write-url http://HOST:PORT/PATH`, `--remote-write-interval` (15 seconds) | Prometheus' remote-write 1.0: the samples \
         that a scrape would find, with their names and labels, and `job=\"forebay\"` and `instance`: the admin address, or the \
         machine's name and its port where that is a loopback address. A series that has ended is marked as stale |\n\
         | `--otlp-metrics-endpoint http://HOST:PORT`, `--otlp-metrics-interval` (15 seconds) | OTLP/HTTP with protobuf, to `/v1/metrics` \
         there: counters as monotonic cumulative sums, gauges, histograms with the bounds that pages have; `service.name` is `forebay`. \
         A metric has the name that it has here without `_total`, which whoever makes Prometheus' metrics of OTLP's adds |\n\n\
         Each receiver has a thread of its own, and neither requests nor the other receiver wait for it. A receiver that is away, or answers\n\
         429 or 5xx (OTLP: 429, 502, 503, 504), is asked again after half a second, then after ever longer waits, a minute together; it may ask\n\
         for up to a minute's patience with `Retry-After`. What it refuses otherwise is dropped at once. Up to 8 MiB wait meanwhile, and\n\
         past that the oldest are dropped. `forebay_exported_samples_total` and `forebay_exported_samples_dropped_total` count both, and the\n\
         log says so once a minute. At the end five seconds are left to send the last figures. https needs an authority that the system trusts; names and passwords are not spoken: send to a collector on\n\
         the same machine or network, which speaks it onwards.\n",
    );
}

/// What is computed of several metrics, and what is not reported at all.
fn capacity(text: &mut String) -> anyhow::Result<()> {
    write!(
        text,
        "\n## Capacity units\n\n\
         `{}` ({}) and `{}` ({}) of `{NAMESPACE}`, by LoadBalancer, always:\n\
         the units of which a load balancer used most, as AWS charges for them: 25 new connections per second, 3,000 open\n\
         connections, 1 GB (10^9 bytes) per hour, or 1,000 rule evaluations per second beyond the first ten of each request.\n\
         `{}` is that times the time it was so in hours, so that an hour's sum is what AWS charges for; `{}` is that at\n\
         the time.\n\n\
         ## Not reported\n\n\
         | metrics of `{NAMESPACE}` | why |\n|---|---|\n",
        CONSUMED.name,
        statistics(&CONSUMED),
        PEAK.name,
        statistics(&PEAK),
        CONSUMED.name,
        PEAK.name,
    )?;
    for (names, why) in NOT_REPORTED {
        let names: Vec<String> = names.split(", ").map(|name| format!("`{name}`")).collect();
        writeln!(text, "| {} | {why} |", names.join(", "))?;
    }
    Ok(())
}

fn statistics(of_aws: &CloudWatch) -> String {
    let words: Vec<&str> = of_aws.statistics.iter().map(|one| one.word()).collect();
    words.join(", ")
}

fn row(metric: &Metric) -> String {
    let name = match metric.kind {
        Kind::Histogram(_) => metric.name.to_owned(),
        Kind::Counter | Kind::Gauge => format!("{}{}", metric.name, metric.kind.suffixes().concat()),
    };
    let labels: Vec<String> = metric
        .dimensions()
        .map(|dimension| format!("`{}`", dimension.label()))
        .collect();
    let cloudwatch: Vec<String> = metric
        .cloudwatch
        .iter()
        .map(|of_aws| counterpart(metric, of_aws))
        .collect();
    format!(
        "| `{name}` | {} | {} | {} | {} | {} |",
        metric.kind.word(),
        metric.unit.word(),
        labels.join(", "),
        cloudwatch.join("<br>"),
        metric.meaning.replace('|', "\\|")
    )
}

/// CloudWatch's metric: its name, which part of ours it is, its unit, statistics and sets of dimensions.
fn counterpart(metric: &Metric, of_aws: &CloudWatch) -> String {
    let part = match of_aws.part {
        Part::Whole => String::new(),
        Part::Labelled(label) => format!(" ({label})"),
        Part::Days => " (in whole days)".to_owned(),
        Part::Complement => " (where it is 0)".to_owned(),
        Part::PerTarget => " (over healthy targets, or all if none is)".to_owned(),
    };
    let place = if of_aws.namespace == NAMESPACE {
        String::new()
    } else {
        format!("{}: ", of_aws.namespace)
    };
    let always = if of_aws.always { "; always" } else { "" };
    let unit = metric.unit_of(of_aws);
    let sets = of_aws.dimensions.iter().map(|set| {
        let names = set.iter().filter_map(|dimension| dimension.cloudwatch());
        let letters: String = names.filter_map(|name| name.chars().next()).collect();
        if letters.is_empty() {
            "by nothing".to_owned()
        } else {
            letters
        }
    });
    format!(
        "{place}`{}`{part}: {unit}; {}; {}{always}",
        of_aws.name,
        statistics(of_aws),
        sets.collect::<Vec<_>>().join(", ")
    )
}

/// A policy's ciphers, those that come in pairs (ECDSA and RSA) told once.
fn families(ciphers: &[&str]) -> String {
    let mut told: Vec<String> = Vec::new();
    for cipher in ciphers {
        let name = cipher.replace("-ECDSA-", "-\\*-").replace("-RSA-", "-\\*-");
        if !told.contains(&name) {
            told.push(name);
        }
    }
    told.join(", ")
}

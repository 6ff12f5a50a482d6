//! Pages in `docs/` that are made from the code, so that they can't lie.

use anyhow::{Context as _, bail};
use forebay_awswire::Service;
use forebay_control::elbv2::{ATTRIBUTES, POLICIES};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

const SERVICES: &[(Service, &str)] = &[
    (Service::Elbv2, "Elastic Load Balancing v2 (`elbv2`)"),
    (Service::Ec2, "EC2 (`ec2`)"),
    (Service::Acm, "Certificate Manager (`acm`)"),
    (Service::Iam, "IAM (`iam`)"),
    (Service::Sts, "STS (`sts`)"),
];

fn pages() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let docs = crate::root()?.join("docs");
    Ok(vec![
        (docs.join("supported-operations.md"), operations()?),
        (docs.join("attributes.md"), attributes()?),
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
        "An operation that AWS has and Forebay does not serve is answered with `InvalidAction`\n(`UnknownOperationException` for JSON services) and a message that names it.\n",
    );
    for &(service, title) in SERVICES {
        let served: BTreeSet<&str> = forebay_control::supported()
            .into_iter()
            .filter(|entry| entry.0 == service)
            .map(|entry| entry.1)
            .collect();
        let all = service.operations();
        write!(
            text,
            "\n## {title}\n\n{} of {} operations.\n\n",
            served.len(),
            all.len()
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

fn attributes() -> anyhow::Result<String> {
    let mut text = format!("# Attributes and policies\n\n{GENERATED}\n");
    text.push_str(
        "Every attribute is validated, stored and echoed. Where *effect* says **stored**, nothing acts on it yet.\nNetwork and gateway load balancers can be described, but carry no traffic: their attributes have no effect.\n",
    );
    let mut holders = BTreeSet::new();
    for attribute in ATTRIBUTES {
        holders.extend(attribute.holders.iter().map(|holder| format!("{holder:?}")));
    }
    for holder in holders {
        write!(
            text,
            "\n## {holder}\n\n| key | default | values | effect |\n|---|---|---|---|\n"
        )?;
        for attribute in ATTRIBUTES
            .iter()
            .filter(|attribute| attribute.holders.iter().any(|h| format!("{h:?}") == holder))
        {
            let default = if attribute.default.is_empty() {
                "(empty)"
            } else {
                attribute.default
            };
            let effect = if attribute.effect { "built" } else { "**stored**" };
            writeln!(
                text,
                "| `{}` | {default} | {} | {effect} |",
                attribute.key,
                attribute.allowed().replace('|', "\\|")
            )?;
        }
    }
    write!(
        text,
        "\n## TLS policies\n\nDescribeSSLPolicies knows {} policies. HTTPS listeners are stored and not yet served.\n",
        POLICIES.len()
    )?;
    Ok(text)
}

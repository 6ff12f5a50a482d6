//! `forebay function`: manages functions by the Lambda API of a running Forebay, without further tools.

use crate::api_client::{ApiAddress, ApiClient, Told};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use forebay_awswire::Service;
use forebay_launch::functions::pack;
use forebay_process::{out, runtime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The role of functions for which no role was named.
const ROLE: &str = "forebay-functions";
const FUNCTIONS: &str = "/2015-03-31/functions";

/// Flags of `forebay function`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
A function is a process that answers events: from load balancers (a target group of the type lambda), from queues (an event source
mapping), from schedules, and from calls. Handlers written for AWS Lambda run unchanged (docs/functions.md).

Examples:
  forebay function add hello --code ./hello --handler app.handler            app.py or app.js in the directory ./hello
  forebay function add hello --code hello.zip --handler app.handler --env LOG=debug --timeout 10
  forebay function add tool --code ./tool --command './tool --lambda'        a program that speaks the Lambda Runtime API
  forebay function invoke hello --event '{\"name\": \"x\"}'
  forebay function logs hello
  forebay function list
  forebay function remove hello")]
pub(crate) struct FunctionArgs {
    #[command(subcommand)]
    verb: FunctionVerb,
    #[command(flatten)]
    address: ApiAddress,
}

#[derive(Subcommand, Debug, Clone)]
enum FunctionVerb {
    /// Create a function, or update the one of that name, and print its ARN
    Add(Box<AddArgs>),
    /// List all functions
    List,
    /// Invoke a function and print its answer, with its log on standard error. Exits with 1 if it failed
    Invoke {
        /// Name of the function
        name: String,
        /// The event: JSON, or @FILE, or @- for standard input
        #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
        event: String,
    },
    /// Print the end of a function's log, which is in the data directory
    Logs {
        /// Name of the function
        name: String,
        /// Number of lines
        #[arg(long, default_value_t = 100, value_name = "N")]
        lines: usize,
    },
    /// Remove a function. Running invocations end
    Remove {
        /// Name of the function
        name: String,
    },
}

#[derive(Args, Debug, Clone)]
struct AddArgs {
    /// Name of the function
    name: String,
    /// Files of the function: a directory, or a zip archive
    #[arg(long, value_name = "DIR|ZIP")]
    code: PathBuf,
    /// Function to call, FILE.FUNCTION, such as app.handler for the function `handler` of app.py or app.js
    #[arg(long, value_name = "HANDLER", required_unless_present_any = ["command", "runtime"])]
    handler: Option<String>,
    /// Program that speaks the Lambda Runtime API, run by /bin/sh in a directory with the files, instead of a handler
    #[arg(long, value_name = "COMMAND", conflicts_with = "handler")]
    command: Option<String>,
    /// Identifier of the runtime, such as python3.13, nodejs22.x or provided.al2023 [default: by the handler's file]
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// Name of its role, which is created if it does not exist
    #[arg(long, default_value = ROLE, value_name = "ROLE")]
    role: String,
    /// Most seconds that an invocation may take: 1 to 900
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    timeout: u32,
    /// Memory in MiB: 128 to 10240
    #[arg(long, default_value_t = 256, value_name = "MIB")]
    memory: u32,
    /// Environment variable. May be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Description for people
    #[arg(long, default_value = "", value_name = "TEXT")]
    description: String,
}

pub(crate) fn run(args: &FunctionArgs) -> anyhow::Result<ExitCode> {
    if let FunctionVerb::Logs { name, lines } = &args.verb {
        logs(&args.address.data.data_dir, name, *lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = ApiClient::new(&args.address)?;
    runtime()?.block_on(async {
        match &args.verb {
            FunctionVerb::Add(given) => add(&client, given).await.map(|()| ExitCode::SUCCESS),
            FunctionVerb::List => list(&client).await.map(|()| ExitCode::SUCCESS),
            FunctionVerb::Invoke { name, event } => invoke(&client, name, event).await,
            FunctionVerb::Remove { name } => {
                let told = client
                    .call(
                        Service::Lambda,
                        "DELETE",
                        &format!("{FUNCTIONS}/{name}"),
                        &[],
                        Vec::new(),
                    )
                    .await?;
                succeeded(told)?;
                eprintln!("Removed {name}. Calls of it fail from now on.");
                Ok(ExitCode::SUCCESS)
            }
            FunctionVerb::Logs { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

fn succeeded(told: Told) -> anyhow::Result<Told> {
    if (200..300).contains(&told.status) {
        return Ok(told);
    }
    Err(told.error())
}

async fn add(client: &ApiClient, args: &AddArgs) -> anyhow::Result<()> {
    let zip = pack(&args.code, args.command.as_deref()).map_err(anyhow::Error::msg)?;
    let runtime = match (&args.runtime, &args.command) {
        (Some(runtime), _) => runtime.clone(),
        (None, Some(_)) => "provided.al2023".to_owned(),
        (None, None) => guessed(&args.code, args.handler.as_deref().unwrap_or_default())?.to_owned(),
    };
    let role = role(client, &args.role).await?;
    let mut configuration = json!({
        "Runtime": runtime,
        "Role": role,
        "Handler": args.handler.as_deref().unwrap_or("bootstrap"),
        "Timeout": args.timeout,
        "MemorySize": args.memory,
        "Environment": {"Variables": environment(&args.environment)?},
        "Description": args.description,
    });
    let packed = STANDARD.encode(&zip);
    let mut make = configuration.clone();
    make["FunctionName"] = json!(args.name);
    make["Code"] = json!({"ZipFile": packed});
    let json = [("content-type", "application/json")];
    let told = client
        .call(
            Service::Lambda,
            "POST",
            FUNCTIONS,
            &json,
            make.to_string().into_bytes(),
        )
        .await?;
    let told = if told.code == "ResourceConflictException" {
        let path = format!("{FUNCTIONS}/{}", args.name);
        let code = json!({"ZipFile": packed}).to_string().into_bytes();
        succeeded(
            client
                .call(Service::Lambda, "PUT", &format!("{path}/code"), &json, code)
                .await?,
        )?;
        let configuration = configuration.take().to_string().into_bytes();
        client
            .call(
                Service::Lambda,
                "PUT",
                &format!("{path}/configuration"),
                &json,
                configuration,
            )
            .await?
    } else {
        told
    };
    let made: Value = serde_json::from_slice(&succeeded(told)?.body)?;
    out::line(format_args!(
        "{}",
        made["FunctionArn"].as_str().unwrap_or_default()
    ))?;
    Ok(())
}

fn environment(given: &[String]) -> anyhow::Result<BTreeMap<&str, &str>> {
    given
        .iter()
        .map(|one| {
            one.split_once('=')
                .with_context(|| format!("--env {one}: give NAME=VALUE"))
        })
        .collect()
}

/// The runtime that a handler's file needs.
fn guessed(code: &Path, handler: &str) -> anyhow::Result<&'static str> {
    let file = handler
        .rsplit_once('.')
        .map_or(handler, |(file, _)| file)
        .replace('.', "/");
    let has = |ending: &str| code.join(format!("{file}.{ending}")).exists();
    if code.is_dir() {
        if has("py") {
            return Ok("python3.13");
        }
        if has("js") || has("mjs") || has("cjs") {
            return Ok("nodejs22.x");
        }
        bail!(
            "{} has no file {file}.py, {file}.js, {file}.mjs or {file}.cjs: is --handler FILE.FUNCTION right?",
            code.display()
        );
    }
    bail!(
        "name the runtime of an archive's handler with --runtime: python3.13, nodejs22.x or provided.al2023"
    )
}

/// The ARN of a role, which is created if it does not exist.
async fn role(client: &ApiClient, name: &str) -> anyhow::Result<String> {
    const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
    let get = format!("Action=GetRole&Version=2010-05-08&RoleName={name}");
    let told = client
        .call(Service::Iam, "POST", "/", &FORM, get.into_bytes())
        .await?;
    let told = if told.status == 404 {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}],
        });
        let encoded: String = trust
            .to_string()
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let make = format!(
            "Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument={encoded}"
        );
        client
            .call(Service::Iam, "POST", "/", &FORM, make.into_bytes())
            .await?
    } else {
        told
    };
    let told = succeeded(told)?;
    let text = String::from_utf8_lossy(&told.body);
    let arn = text
        .split_once("<Arn>")
        .and_then(|(_, rest)| rest.split_once("</Arn>"));
    Ok(arn.context("the answer has no role")?.0.to_owned())
}

async fn list(client: &ApiClient) -> anyhow::Result<()> {
    let mut rows = vec![
        [
            "NAME", "RUNTIME", "HANDLER", "TIMEOUT", "MEMORY", "CODE", "CHANGED",
        ]
        .map(str::to_owned),
    ];
    let mut marker = String::new();
    loop {
        let target = format!("{FUNCTIONS}?MaxItems=50{marker}");
        let told = succeeded(
            client
                .call(Service::Lambda, "GET", &target, &[], Vec::new())
                .await?,
        )?;
        let page: Value = serde_json::from_slice(&told.body)?;
        for function in page["Functions"].as_array().into_iter().flatten() {
            let text = |name: &str| function[name].as_str().unwrap_or("-").to_owned();
            rows.push([
                text("FunctionName"),
                text("Runtime"),
                text("Handler"),
                format!("{} s", function["Timeout"]),
                format!("{} MiB", function["MemorySize"]),
                format!("{} B", function["CodeSize"]),
                text("LastModified")
                    .chars()
                    .take(19)
                    .collect::<String>()
                    .replace('T', " "),
            ]);
        }
        match page["NextMarker"].as_str() {
            Some(next) => marker = format!("&Marker={next}"),
            None => break,
        }
    }
    let widths: Vec<usize> = (0..7)
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        out::line(format_args!(
            "{}",
            cells.collect::<Vec<_>>().join("  ").trim_end()
        ))?;
    }
    Ok(())
}

async fn invoke(client: &ApiClient, name: &str, event: &str) -> anyhow::Result<ExitCode> {
    let event = match event.strip_prefix('@') {
        None => event.as_bytes().to_vec(),
        Some("-") => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            text
        }
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {file}"))?,
    };
    let target = format!("{FUNCTIONS}/{name}/invocations");
    let told = client
        .call(
            Service::Lambda,
            "POST",
            &target,
            &[("x-amz-log-type", "Tail")],
            event,
        )
        .await?;
    let told = succeeded(told)?;
    let header = |name: &str| told.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(log) = header("x-amz-log-result").and_then(|log| STANDARD.decode(log).ok()) {
        eprint!("{}", String::from_utf8_lossy(&log));
    }
    out::line(format_args!("{}", String::from_utf8_lossy(&told.body)))?;
    let failed = header("x-amz-function-error").is_some();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn logs(data_dir: &Path, name: &str, lines: usize) -> anyhow::Result<()> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.is_empty() || !name.chars().all(fits) {
        bail!("'{name}' is not a function name");
    }
    let file = data_dir.join("functions/logs").join(format!("{name}.log"));
    let text = std::fs::read(&file).with_context(|| {
        format!(
            "there is no log in {}: has the function run, and is --data-dir right?",
            file.display()
        )
    })?;
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    for line in &all[all.len().saturating_sub(lines)..] {
        out::line(format_args!("{line}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_file_tells_its_runtime() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("sub")).unwrap();
        for (file, handler, runtime) in [
            ("app.py", "app.handler", "python3.13"),
            ("index.mjs", "index.handler", "nodejs22.x"),
            ("sub/deep.py", "sub.deep.handler", "python3.13"),
        ] {
            std::fs::write(place.path().join(file), "").unwrap();
            assert_eq!(guessed(place.path(), handler).unwrap(), runtime);
        }
        assert!(
            guessed(place.path(), "none.handler")
                .unwrap_err()
                .to_string()
                .contains("none.py")
        );
        assert!(
            guessed(&place.path().join("x.zip"), "app.handler")
                .unwrap_err()
                .to_string()
                .contains("--runtime")
        );
    }

    #[test]
    fn variables_are_pairs() {
        let given = ["A=1=2".to_owned(), "B=".to_owned()];
        assert_eq!(
            environment(&given).unwrap(),
            BTreeMap::from([("A", "1=2"), ("B", "")])
        );
        assert!(environment(&["C".to_owned()]).is_err());
    }
}

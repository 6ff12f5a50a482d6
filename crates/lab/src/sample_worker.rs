//! `forebay sample-worker`: a worker of a queue that makes the same calls as the published one. It takes one message after
//! another and works on each for the time that the message names.

use crate::aws_client::AwsClient;
use anyhow::Context as _;
use clap::Args;
use forebay_awswire::Service;
use forebay_process::out;
use serde_json::{Value, json};
use std::time::Duration;

/// Seconds that a receive waits for a message, as published.
const LONG_POLL: u32 = 5;
/// Time until a failed call is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest work on a message: the longest visibility timeout.
const LONGEST: f64 = 43_200.0;
/// The metric for the duration of messages.
const NAMESPACE: &str = "ASG-Metrics";
const METRIC: &str = "MsgProcessingDuration";

/// Flags of `forebay sample-worker`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Endpoint, region and keys come from the environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ...), which instances with an instance
profile have. The worker calls GetParameter and GetQueueUrl; then it repeats ReceiveMessage for one message, with a wait of 5 s, sleeps for as
many seconds as the message says, and calls DeleteMessage and PutMetricData for ASG-Metrics/MsgProcessingDuration. Messages of another form
than {\"duration\": 2.5} take no time. A call that fails is repeated a second later.

Examples:
  aws ssm put-parameter --name ProcessingQueueName --type String --value jobs
  forebay image add worker --command 'exec /usr/local/bin/forebay sample-worker'
  aws sqs send-message --queue-url \"$URL\" --message-body '{\"id\": 1, \"duration\": 25}'")]
pub struct WorkerArgs {
    /// Parameter in the Parameter Store that holds the queue's name
    #[arg(long, default_value = "ProcessingQueueName", value_name = "NAME")]
    pub(crate) parameter: String,
}

struct Worker {
    caller: AwsClient,
    url: String,
}

/// Works until the process ends.
pub fn run(args: &WorkerArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let caller = AwsClient::from_environment()?;
        let worker = Worker {
            url: queue_url(&caller, &args.parameter).await?,
            caller,
        };
        out::line(format_args!("sample-worker ready {}", worker.url))?;
        loop {
            if let Err(error) = worker.turn().await {
                out::line(format_args!("failed: {error:#}"))?;
                tokio::time::sleep(AGAIN).await;
            }
        }
    })
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("there is no {name}"))
}

async fn queue_url(caller: &AwsClient, parameter: &str) -> anyhow::Result<String> {
    let told = caller
        .call_json(Service::Ssm, "GetParameter", &json!({ "Name": parameter }))
        .await?;
    let name = text(&told["Parameter"], "Value")?;
    let told = caller
        .call_json(Service::Sqs, "GetQueueUrl", &json!({ "QueueName": name }))
        .await?;
    Ok(text(&told, "QueueUrl")?.to_owned())
}

/// How long to work on a message.
fn duration(body: &str) -> Duration {
    let said: Option<Value> = serde_json::from_str(body).ok();
    let seconds = said.and_then(|said| said["duration"].as_f64()).unwrap_or(0.0);
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))
}

impl Worker {
    /// One receive, and the work on its message.
    async fn turn(&self) -> anyhow::Result<()> {
        let wanted = json!({
            "QueueUrl": self.url,
            "AttributeNames": ["All"],
            "MaxNumberOfMessages": 1,
            "WaitTimeSeconds": LONG_POLL,
        });
        let told = self
            .caller
            .call_json(Service::Sqs, "ReceiveMessage", &wanted)
            .await?;
        for message in told["Messages"].as_array().into_iter().flatten() {
            let body = text(message, "Body")?;
            let took = duration(body);
            tokio::time::sleep(took).await;
            let done = json!({ "QueueUrl": self.url, "ReceiptHandle": text(message, "ReceiptHandle")? });
            self.caller
                .call_json(Service::Sqs, "DeleteMessage", &done)
                .await?;
            let seconds = took.as_secs_f64().to_string();
            let metric = [
                ("Namespace", NAMESPACE),
                ("MetricData.member.1.MetricName", METRIC),
                ("MetricData.member.1.Value", &seconds),
                ("MetricData.member.1.StorageResolution", "1"),
            ];
            self.caller
                .call(Service::CloudWatch, "PutMetricData", &metric)
                .await?;
            out::line(format_args!("done: {body}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_long_it_takes() {
        assert_eq!(
            duration(r#"{"id": 7, "duration": 2.5}"#),
            Duration::from_millis(2500)
        );
        assert_eq!(duration("jobs!"), Duration::ZERO);
        assert_eq!(duration(r#"{"duration": -1}"#), Duration::ZERO);
        assert_eq!(duration(r#"{"duration": 1e300}"#).as_secs(), 43_200);
    }
}

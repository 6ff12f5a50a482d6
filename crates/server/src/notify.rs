//! Notifications of alarms: those of a topic that a flag maps to a webhook are posted there, signed, and retried for two
//! minutes.

use anyhow::{Context as _, bail};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use forebay_control::{ActionError, Actions, AlarmAction, Notification};
use forebay_telemetry::NotificationCounters;
use forebay_telemetry::WebhookUrl;
use forebay_telemetry::post::Poster;
use forebay_units::Wall;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Most notifications that wait for one webhook.
const WAITING: usize = 1000;
/// Waits between tries; two minutes together.
const RETRIES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// Time to send what is waiting when the process ends.
const ENDING: Duration = Duration::from_secs(5);
/// Prefix of a webhook's secret (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";

/// A topic and the webhook for its notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic's ARN.
    pub topic: String,
    /// The webhook.
    pub url: WebhookUrl,
}

impl core::str::FromStr for Subscription {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Subscription> {
        let (topic, url) = text.split_once('=').context(
            "it must be ARN=URL, such as arn:aws:sns:local-1:000000000000:alarms=https://hooks.example/forebay",
        )?;
        let parts: Vec<&str> = topic.split(':').collect();
        let is_topic = parts.len() == 6
            && parts[..3] == ["arn", "aws", "sns"]
            && parts.iter().all(|part| !part.is_empty());
        if !is_topic {
            bail!("'{topic}' is no topic's ARN: it must look like arn:aws:sns:local-1:000000000000:alarms");
        }
        Ok(Subscription {
            topic: topic.to_owned(),
            url: url.parse()?,
        })
    }
}

/// A notification to be posted.
struct Message {
    id: String,
    body: String,
}

/// Sends the notifications of topics that have webhooks. A topic may have several.
pub(crate) struct Notifier {
    topics: BTreeMap<String, Vec<mpsc::Sender<Arc<Message>>>>,
    counters: Arc<NotificationCounters>,
}

/// The tasks that send, one per webhook, so that a slow one does not hold up the others.
pub(crate) struct Sending {
    ending: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sending {
    /// Tries once more to send what is waiting, for a few seconds.
    pub(crate) async fn finish(self) {
        self.ending.send_replace(true);
        for task in self.tasks {
            if task.await.is_err() {
                tracing::error!("a sender of notifications has panicked");
            }
        }
    }
}

/// A notifier for these subscriptions, and the tasks that send.
pub(crate) fn start(
    subscriptions: &[Subscription],
    data_dir: &Path,
    counters: &Arc<NotificationCounters>,
    now: impl Fn() -> Wall + Send + Sync + Clone + 'static,
) -> anyhow::Result<(Arc<Notifier>, Sending)> {
    let (ending, ends) = watch::channel(false);
    let mut topics: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let mut tasks = Vec::new();
    if !subscriptions.is_empty() {
        let secret = secret(&data_dir.join("notify-secret"))?;
        for subscription in subscriptions {
            let (sender, messages) = mpsc::channel(WAITING);
            topics.entry(subscription.topic.clone()).or_default().push(sender);
            let webhook = Webhook {
                poster: Poster::new(subscription.url.uri(), HeaderMap::new(), again),
                secret: secret.clone(),
                counters: Arc::clone(counters),
                now: Box::new(now.clone()),
                ends: ends.clone(),
            };
            tasks.push(tokio::spawn(webhook.run(messages)));
        }
    }
    let notifier = Notifier {
        topics,
        counters: Arc::clone(counters),
    };
    Ok((Arc::new(notifier), Sending { ending, tasks }))
}

/// The key that signs posts, from a file of which receivers get a copy. Created if it does not exist.
fn secret(path: &Path) -> anyhow::Result<hmac::Key> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)
                .map_err(|error| anyhow::anyhow!("the system's random number generator failed: {error}"))?;
            let text = format!("{SECRET_PREFIX}{}\n", STANDARD.encode(bytes));
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            tracing::info!(path = %path.display(), "notifications are signed with a new secret");
            text
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let bytes = text
        .trim()
        .strip_prefix(SECRET_PREFIX)
        .and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.filter(|bytes| (24..=64).contains(&bytes.len())).with_context(|| {
        format!(
            "{} holds no secret of a webhook: it is {SECRET_PREFIX} and 24 to 64 bytes in base64. Delete it for a new one",
            path.display()
        )
    })?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

impl Actions for Notifier {
    fn run(&self, action: &AlarmAction) -> Result<(), ActionError> {
        let arn = &action.arn;
        if !arn.starts_with("arn:aws:sns:") {
            return Err(ActionError(
                "Forebay does not support this kind of action yet".to_owned(),
            ));
        }
        self.tell(arn, &action.notification)
    }

    fn tell(&self, topic: &str, notification: &Notification) -> Result<(), ActionError> {
        let webhooks = self.topics.get(topic).ok_or_else(|| {
            ActionError(format!(
                "no webhook is subscribed to this topic: start Forebay with --notify {topic}=URL"
            ))
        })?;
        let message = Arc::new(message(topic, notification));
        let mut all = Ok(());
        for webhook in webhooks {
            if webhook.try_send(Arc::clone(&message)).is_err() {
                self.counters.dropped();
                all = Err(ActionError(format!(
                    "{WAITING} notifications are waiting for the webhook already"
                )));
            }
        }
        all
    }
}

/// The message that SNS would send to an HTTP subscriber of the topic, without SNS's signature.
fn message(topic: &str, notification: &Notification) -> Message {
    let id = uuid::Uuid::new_v4().to_string();
    let body = json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic,
        "Subject": notification.subject,
        "Message": notification.message,
        "Timestamp": notification.timestamp,
    });
    Message {
        id,
        body: body.to_string(),
    }
}

/// Whether the same post may succeed later, after this answer.
fn again(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

struct Webhook {
    poster: Poster,
    secret: hmac::Key,
    counters: Arc<NotificationCounters>,
    now: Box<dyn Fn() -> Wall + Send + Sync>,
    ends: watch::Receiver<bool>,
}

impl Webhook {
    /// Posts messages as they come, one after another, until the end; then the waiting ones, once.
    async fn run(mut self, mut messages: mpsc::Receiver<Arc<Message>>) {
        let mut ends = self.ends.clone();
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                _ = ends.wait_for(|ends| *ends) => break,
            };
            let Some(message) = message else { return };
            self.deliver(&message).await;
        }
        messages.close();
        let deadline = tokio::time::Instant::now() + ENDING;
        while let Some(message) = messages.recv().await {
            if tokio::time::timeout_at(deadline, self.deliver(&message))
                .await
                .is_err()
            {
                self.lost("Forebay has ended");
            }
        }
    }

    async fn deliver(&mut self, message: &Message) {
        let mut waits = RETRIES.into_iter();
        loop {
            let failed = match self
                .poster
                .post_with(&self.headers(message), Bytes::from(message.body.clone()))
                .await
            {
                Ok(_) => return self.counters.sent(),
                Err(failed) => failed,
            };
            let wait = waits.next().filter(|_| failed.again && !*self.ends.borrow());
            let Some(wait) = wait else {
                return self.lost(&failed.why);
            };
            tokio::select! {
                () = tokio::time::sleep(failed.after.map_or(wait, |after| after.max(wait))) => {}
                _ = self.ends.wait_for(|ends| *ends) => {}
            }
        }
    }

    fn lost(&self, why: &str) {
        self.counters.dropped();
        let uri = self.poster.shown();
        tracing::error!(
            "a notification is lost: {uri}: {why} (forebay_notifications_dropped_total counts them)"
        );
    }

    /// The signature is made for each try: it contains the time, so that a receiver can refuse old posts.
    fn headers(&self, message: &Message) -> HeaderMap {
        let seconds = (self.now)().seconds();
        let signed = format!("{}.{seconds}.{}", message.id, message.body);
        let tag = hmac::sign(&self.secret, signed.as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            HeaderName::from_static("x-amz-sns-message-type"),
            HeaderValue::from_static("Notification"),
        );
        let ours = [
            ("webhook-id", message.id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        for (name, value) in ours {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions() {
        let read = |text: &str| text.parse::<Subscription>().map_err(|error| error.to_string());
        let topic = "arn:aws:sns:local-1:123456789012:alarms";
        let good = read(&format!("{topic}=https://hooks.example/a?b=c")).unwrap();
        assert_eq!(
            (&*good.topic, good.url.uri().to_string()),
            (topic, "https://hooks.example/a?b=c".to_owned())
        );
        for (bad, says) in [
            ("alarms", "ARN=URL"),
            ("alarms=http://a/b", "no topic's ARN"),
            ("arn:aws:sqs:local-1:123456789012:q=http://a/b", "no topic's ARN"),
            ("arn:aws:sns:local-1:123456789012:alarms=ftp://a", "http://"),
            ("arn:aws:sns:local-1:123456789012:alarms=", "http://"),
        ] {
            assert!(read(bad).unwrap_err().contains(says), "{bad}: {:?}", read(bad));
        }
    }

    #[test]
    fn a_secret_is_made_once_and_a_broken_one_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify-secret");
        let tag = |key: &hmac::Key| hmac::sign(key, b"a").as_ref().to_vec();
        let first = tag(&secret(&path).unwrap());
        assert_eq!(tag(&secret(&path).unwrap()), first);
        std::fs::write(&path, "whsec_YQ==").unwrap();
        assert!(secret(&path).unwrap_err().to_string().contains("Delete it"));
    }
}

//! Flags of the messages of queues.

use anyhow::bail;
use clap::Args;
use forebay_store::messages::Bounds;

/// Limits on messages.
#[derive(Args, Debug, Clone, PartialEq, Eq)]
pub struct MessageArgs {
    /// Most messages of all queues; further ones are refused with OverLimit. Each costs about 270 bytes of memory; bodies
    /// are on disk
    #[arg(long, env = "FOREBAY_MAX_MESSAGES", default_value_t = Bounds::default().messages, value_name = "N")]
    pub max_messages: usize,
    /// Most bytes that messages may take on disk, in the data directory; with K, M or G
    #[arg(long, env = "FOREBAY_MAX_MESSAGE_DISK", default_value = "64G", value_name = "BYTES", value_parser = disk)]
    pub max_message_disk: u64,
}

impl Default for MessageArgs {
    fn default() -> MessageArgs {
        MessageArgs {
            max_messages: Bounds::default().messages,
            max_message_disk: Bounds::default().bytes,
        }
    }
}

impl MessageArgs {
    /// The limits in the log's form.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            messages: self.max_messages,
            bytes: self.max_message_disk,
            ..Bounds::default()
        }
    }
}

/// One file of the log is this large.
const LEAST_DISK: u64 = 256 << 20;

fn disk(text: &str) -> anyhow::Result<u64> {
    match bytes(text).and_then(|bytes| u64::try_from(bytes).ok()) {
        Some(bytes) if bytes >= LEAST_DISK => Ok(bytes),
        _ => bail!("the disk space of messages must be at least 256M bytes, such as 4G"),
    }
}

/// Parses a number of bytes, optionally followed by K, M or G.
pub(crate) fn bytes(text: &str) -> Option<usize> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

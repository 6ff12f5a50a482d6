//! Flags for the messages of queues.

use anyhow::bail;
use clap::Args;
use forebay_store::messages::Bounds;

/// How many messages there may be.
#[derive(Args, Debug, Clone, PartialEq, Eq)]
pub struct MessageArgs {
    /// Messages of all queues; one more is refused with OverLimit. Each costs some 270 bytes of memory, wherever its body is
    #[arg(long, env = "FOREBAY_MAX_MESSAGES", default_value_t = Bounds::default().messages, value_name = "N")]
    pub max_messages: usize,
    /// Bytes that messages of queues may take on disk, in the data directory; K, M and G are understood
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
    /// The same, as the log takes it.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            messages: self.max_messages,
            bytes: self.max_message_disk,
            ..Bounds::default()
        }
    }
}

/// A file of the log is not smaller.
const LEAST_DISK: u64 = 256 << 20;

fn disk(text: &str) -> anyhow::Result<u64> {
    match bytes(text).and_then(|bytes| u64::try_from(bytes).ok()) {
        Some(bytes) if bytes >= LEAST_DISK => Ok(bytes),
        _ => bail!("messages need a number of bytes from 256M on, such as 4G"),
    }
}

/// A number of bytes, with K, M or G behind it perhaps.
pub(crate) fn bytes(text: &str) -> Option<usize> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

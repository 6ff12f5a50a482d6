//! Messages on disk, beside the state: one log for all queues, and the one thread that writes it.
//!
//! A message's life is decided by `forebay_queues`; each change of it is a record. The thread takes all calls that have come, does
//! them, writes one frame, syncs once, and then answers all. A restart reads the log and has each queue as it was, deadlines included.
//! What a crash cut off was never acknowledged. Bodies stay in the files; memory holds where they stand.
//!
//! Files go from the first on, when no message stands in them. If the log gets much longer than what is in it, the first file's messages
//! are written again at its end, a little with each commit, so that it can go: the log has at most twice the bytes of its messages,
//! and three files more.

mod copies;
mod engine;
mod log;
mod named;
mod opening;
mod record;
mod tasks;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

pub use copies::{OpenFile, open_files};
pub use engine::{Bounds, Engine, Given, Refused};
pub use log::Content;
pub use opening::Found;
pub use upkeep::TaskRefusal;
pub use writer::{HeldMessages, Messages, Unanswered, Waiting};

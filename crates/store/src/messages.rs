//! Messages on disk, beside the state: one log for all queues, written by one thread.
//!
//! The life of a message is decided by `forebay_queues`; each change of it is a record. The thread takes all calls that
//! have come, carries them out, writes one frame, syncs once, and then answers all. A restart reads the log and restores
//! each queue as it was, with its deadlines. What a crash truncated was never acknowledged. Bodies stay in the files;
//! memory holds their places.
//!
//! Files are deleted from the first on, when they hold no message any more. If the log gets much longer than its messages,
//! those in the first file are written again at the end, a few with each commit, so that the file can be deleted: the log
//! has at most twice the bytes of its messages, and three files more.
//!
//! In reading order: `record` (the format), `log` (the files), `engine` (queues and log together), `opening` (a restart),
//! `upkeep` (what time does, and the commit), `writer` (the thread), `tasks` (move tasks), `named` (repeated sends),
//! `copies` (backups).

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

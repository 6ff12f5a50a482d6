//! Take-over: a new process of Forebay takes the listening sockets, the store and the requests' slots of the running one,
//! and no connection is refused or lost. See docs/operating.md and
//! docs/decisions/0037-take-over-by-descriptors-and-lent-gates.md.
//!
//! | the successor sends | the running process |
//! |---|---|
//! | `Hello` | sends its state: the successor checks flags and state, and starts what needs neither sockets nor the store |
//! | `Freeze` | releases the store and the instances, holds back writes, and sends copies of its sockets |
//! | `Ready` | accepts no more connections and lends its gates' decisions; sends health, ticket keys and the slots in use |
//! | `Serving` | finishes its requests, and ends |
//!
//! `Backup` in place of `Hello` asks for a copy of the store file ([`copies`]), and disturbs none of that.
//!
//! Until `Serving`, the running process takes everything back if the successor is gone or too slow: a successor that fails
//! changes nothing.
//!
//! In reading order: `messages` and `link` (the protocol), `predecessor` and `successor` (the two sides up to `Serving`),
//! `lent` and `foreign` (the two sides while the old process finishes), `place` (where they meet), `copies` (backups).

mod copies;
mod foreign;
mod lent;
mod link;
mod messages;
mod place;
mod predecessor;
mod successor;

pub(crate) use copies::ask;
pub(crate) use predecessor::{Predecessor, Yields};
pub(crate) use successor::{Before, Successor};

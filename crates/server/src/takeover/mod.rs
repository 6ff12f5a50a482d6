//! Take-over: a new process of Forebay takes listening sockets, store and requests' slots from the one that runs, and no connection is
//! refused or lost. See docs/operating.md and record 37.
//!
//! | successor says | the running process does |
//! |---|---|
//! | `Hello` | tells its state: the successor checks flags and state, and starts what needs neither sockets nor the store |
//! | `Freeze` | lets go of the store and of instances, keeps what is to be written waiting; gives copies of its sockets |
//! | `Ready` | takes no more connections, lends its gates' decisions; tells health, ticket keys and who has slots |
//! | `Serving` | finishes what it has, and ends |
//!
//! `Backup` in place of `Hello` asks for a copy of the store's file ([`copies`]), and disturbs none of that.
//!
//! Until `Serving` the running process takes everything back if the successor is gone or too slow: a successor that fails changes nothing.

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

//! Finds or makes an HTTP/2 connection on which one request can be sent to its target.

use super::links::{Link, Passport, STREAMS};
use crate::choose::{self, Connection, Missing};
use crate::session::{RequestContext, Session};
use forebay_node::{ConnectError, Reuse, TargetView};
use std::cell::Cell;
use std::rc::Rc;

/// Flow-control window of one stream from a target.
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;
/// Flow-control window of a connection to a target: clients that do not read their answers must not use up the window of
/// others.
const CONNECTION_WINDOW: u32 = STREAMS as u32 * STREAM_WINDOW;
/// Bytes of a request that are held for a stream whose target does not read.
pub(crate) const SEND_BUFFER: usize = 64 * 1024;

/// A place on a connection to this target for the request whose head is in `buffers.out`: on an existing connection, or on
/// a fresh one.
pub(crate) async fn passport<W>(
    context: &RequestContext<'_, W>,
    target: &TargetView,
    reuse: Reuse,
) -> Result<Passport, Missing> {
    let Session { worker, deadline, .. } = &context.session;
    let ends = choose::ends(&context.session, target);
    if reuse != Reuse::Never {
        let standing = worker.links.borrow_mut().take(target.id, ends);
        if let Some(passport) = standing {
            return Ok(passport);
        }
    }
    let Connection { stream, .. } = choose::connection(&context.session, target, Reuse::Never).await?;
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(64 * 1024);
    let (sender, connection) = match deadline.until(builder.handshake(stream)).await {
        Ok(Ok(made)) => made,
        Ok(Err(_)) => return Err(Missing::Error(ConnectError::Refused)),
        Err(ended) => return Err(Missing::Ended(ended)),
    };
    let alive = Rc::new(Cell::new(true));
    let lives = Rc::clone(&alive);
    tokio::task::spawn_local(async move {
        let _ = connection.await;
        lives.set(false);
    });
    let link = Link::new(sender, alive, context.idle_timeout(), ends);
    Ok(worker.links.borrow_mut().put(target.id, link))
}

//! A way to send one request over HTTP/2 to its target.

use super::links::{Link, Passport, STREAMS};
use crate::choose::{self, Connection, Missing};
use crate::session::{RequestContext, Session};
use forebay_node::{ConnectError, Reuse, TargetView};
use std::cell::Cell;
use std::rc::Rc;

/// What a target may send ahead on one stream.
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;
/// And on all of a connection: clients that do not read their answers must not use up what others need.
const CONNECTION_WINDOW: u32 = STREAMS as u32 * STREAM_WINDOW;
/// Bytes of a request held for a stream whose target does not take them.
pub(crate) const SEND_BUFFER: usize = 64 * 1024;

/// A way to send the request whose head is in `buffers.out` to this target: over a connection that stands, or a fresh one.
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

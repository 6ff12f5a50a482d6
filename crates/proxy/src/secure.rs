//! Stage two: from an accepted socket to a plaintext stream. HTTP listeners pass through; TLS ends here.

use crate::connection::ClientConnection;
use crate::deadlines::Deadline;
use crate::tls::{self, Failed, ListenerTls, Shaken};
use crate::worker::Worker;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Time from accept to the end of the TLS handshake, whatever the client does meanwhile. ALB's value is not published;
/// HAProxy recommends 10 s.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Does the TLS handshake with a client; none if it failed, which is counted here. One deadline for all of it: a client
/// that sends a byte now and then cannot extend it.
pub(crate) async fn secure(
    worker: &Rc<Worker>,
    stream: TcpStream,
    tls: &ListenerTls,
    connection: &ClientConnection,
    deadline: &Deadline,
) -> Option<Shaken> {
    deadline.arm(connection.accepted + HANDSHAKE_TIMEOUT, true);
    let since = || worker.now().since(connection.accepted);
    let spoke = Cell::new(false);
    let shaken = deadline.until(tls::accept(stream, tls, since, &spoke)).await;
    let snapshot = worker.snapshot();
    let stats = snapshot
        .listener(connection.listener_address.listener)
        .map(|listener| {
            let zone = connection.listener_address.zone;
            listener.stats.of(zone, worker.state.borrow().index)
        });
    let count = |counter: fn(&forebay_node::ListenerStats) -> &std::sync::atomic::AtomicU64| {
        if let Some(stats) = stats {
            counter(stats).fetch_add(1, Relaxed);
        }
    };
    match shaken {
        Ok(Ok(shaken)) => {
            count(|stats| &stats.handshakes);
            if shaken.facts.resumed {
                count(|stats| &stats.resumed);
            }
            return Some(shaken);
        }
        Ok(Err(Failed::Silent)) => {}
        Ok(Err(Failed::Plaintext(mut stream))) => {
            count(|stats| &stats.handshake_failures);
            // Like nginx, whose error pages ALB uses: 400 in plaintext, so that a user who typed http:// sees why.
            let _ = deadline.until(stream.write_all(&wrong_port(worker))).await;
            let _ = deadline.until(drain(&mut stream)).await;
        }
        Ok(Err(Failed::Handshake(error))) => {
            tracing::debug!(%error, peer = %connection.peer, "TLS handshake failed");
            count(|stats| &stats.handshake_failures);
        }
        // Too slow, or its listener is gone.
        Err(_) if spoke.get() => count(|stats| &stats.handshake_failures),
        Err(_) => {}
    }
    None
}

fn wrong_port(worker: &Worker) -> Vec<u8> {
    let said = "The plain HTTP request was sent to HTTPS port";
    let page = format!(
        "<html>\r\n<head><title>400 {said}</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n<center>{said}</center>\r\n</body>\r\n</html>\r\n"
    );
    let mut answer = b"HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\nDate: ".to_vec();
    worker.write_date(&mut answer);
    answer.extend_from_slice(
        format!(
            "\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        )
        .as_bytes(),
    );
    answer
}

/// Closes the sending half and reads what is still in transit, so that the answer is not lost to a reset.
async fn drain(stream: &mut TcpStream) {
    use tokio::io::AsyncReadExt as _;
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    while let Ok(1..) = stream.read(&mut rest).await {}
}

//! A reverse proxy as one would write it on Pingora, to measure beside Forebay: `pingora-peer LISTEN BACKEND...`. One thread,
//! backends in turn, connections kept on both sides, X-Forwarded-For, -Proto and -Port set.

use async_trait::async_trait;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::RoundRobin;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Proxy {
    backends: LoadBalancer<RoundRobin>,
    port: String,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let backend = self.backends.select(b"", 256);
        let backend = backend.ok_or_else(|| Error::new(ErrorType::ConnectNoRoute))?;
        Ok(Box::new(HttpPeer::new(backend, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            let before = request.headers.get("x-forwarded-for");
            let value = match before.and_then(|value| value.to_str().ok()) {
                Some(before) => format!("{before}, {}", client.ip()),
                None => client.ip().to_string(),
            };
            request.insert_header("X-Forwarded-For", value)?;
        }
        request.insert_header("X-Forwarded-Proto", "http")?;
        request.insert_header("X-Forwarded-Port", &self.port)
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let listen = args.next().expect("usage: pingora-peer LISTEN BACKEND...");
    let backends = LoadBalancer::try_from_iter(args).expect("backends are addresses");
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let port = listen.rsplit(':').next().unwrap_or_default().to_owned();
    let mut service = http_proxy_service(&server.configuration, Proxy { backends, port });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}

//! The proxies that Forebay is compared with: each with one thread on CPU 0, keep-alive on both sides, backends in turn,
//! and X-Forwarded-For, -Proto and -Port set.

use super::processes::{Running, binary, free, start, start_nginx};
use crate::run::is_installed;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Path of a program that bench/install.sh installs outside the system's packages.
fn installed(path: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = crate::root::root()?.join("target/peers").join(path);
    Ok(path.is_file().then_some(path))
}

/// The bare relay.
pub(super) fn relay(backends: &[SocketAddr]) -> anyhow::Result<Running> {
    let address = free()?;
    let args: Vec<String> = std::iter::once(&address)
        .chain(backends)
        .map(ToString::to_string)
        .collect();
    start("0", &binary("relay")?, &args, address)
}

pub(super) fn nginx(dir: &Path, backends: &[SocketAddr]) -> anyhow::Result<Running> {
    let address = free()?;
    nginx_with(dir, address, &format!("listen {address} backlog=4096;"), backends)
}

/// nginx as a proxy, with this `listen` configuration.
pub(super) fn nginx_with(
    dir: &Path,
    address: SocketAddr,
    listen: &str,
    backends: &[SocketAddr],
) -> anyhow::Result<Running> {
    let servers: String = backends
        .iter()
        .map(|backend| format!("server {backend};\n"))
        .collect();
    let inside = format!(
        "upstream targets {{\n{servers}keepalive 512;\nkeepalive_requests 1000000000;\n}}\nserver {{ {listen} location / {{\nproxy_pass http://targets;\nproxy_http_version 1.1;\nproxy_set_header Connection '';\nproxy_set_header Host $host;\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;\nproxy_set_header X-Forwarded-Port $server_port;\n}} }}\n"
    );
    start_nginx(dir, "proxy", "0", &inside, address)
}

/// HAProxy; none if it is not installed.
pub(super) fn haproxy(dir: &Path, backends: &[SocketAddr]) -> anyhow::Result<Option<Running>> {
    if !is_installed("haproxy") {
        return Ok(None);
    }
    let address = free()?;
    let config = dir.join("haproxy.cfg");
    let servers: String = backends
        .iter()
        .enumerate()
        .map(|(index, backend)| format!("  server t{index} {backend}\n"))
        .collect();
    std::fs::write(
        &config,
        format!(
            "global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode http\n  timeout client 3600s\n  timeout server 60s\n  timeout connect 10s\n  timeout http-keep-alive 3600s\n  option forwardfor\n  http-reuse always\nfrontend in\n  bind {address}\n  http-request set-header X-Forwarded-Proto http\n  http-request set-header X-Forwarded-Port {}\n  default_backend targets\nbackend targets\n  balance roundrobin\n{servers}",
            address.port()
        ),
    )?;
    let args = ["-f".to_owned(), config.display().to_string()];
    start("0", Path::new("haproxy"), &args, address).map(Some)
}

/// Pingora; none if it is not installed.
pub(super) fn pingora(backends: &[SocketAddr]) -> anyhow::Result<Option<Running>> {
    let Some(program) = installed("release/pingora-peer")? else {
        return Ok(None);
    };
    let address = free()?;
    let args: Vec<String> = std::iter::once(&address)
        .chain(backends)
        .map(ToString::to_string)
        .collect();
    start("0", &program, &args, address).map(Some)
}

/// Envoy; none if it is not installed.
pub(super) fn envoy(dir: &Path, backends: &[SocketAddr]) -> anyhow::Result<Option<Running>> {
    let Some(program) = installed("envoy")? else {
        return Ok(None);
    };
    let address = free()?;
    let config = dir.join("envoy.yaml");
    std::fs::write(&config, envoy_config(address, backends))?;
    let args = [
        "-c",
        &config.display().to_string(),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "off",
    ];
    start("0", &program, &args.map(ToOwned::to_owned), address).map(Some)
}

fn envoy_config(address: SocketAddr, backends: &[SocketAddr]) -> String {
    let at = |address: &SocketAddr| {
        format!(
            "{{socket_address: {{address: {}, port_value: {}}}}}",
            address.ip(),
            address.port()
        )
    };
    let endpoints: Vec<String> = backends
        .iter()
        .map(|backend| format!("{{endpoint: {{address: {}}}}}", at(backend)))
        .collect();
    format!(
        r#"static_resources:
  listeners:
  - address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          use_remote_address: true
          common_http_protocol_options: {{idle_timeout: 3600s}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              request_headers_to_add:
              - header: {{key: x-forwarded-port, value: "{port}"}}
                append_action: OVERWRITE_IF_EXISTS_OR_ADD
              routes:
              - match: {{prefix: /}}
                route: {{cluster: targets}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: targets
    type: STATIC
    connect_timeout: 10s
    lb_policy: ROUND_ROBIN
    load_assignment:
      cluster_name: targets
      endpoints:
      - lb_endpoints: [{endpoints}]
"#,
        listen = at(&address),
        port = address.port(),
        endpoints = endpoints.join(", "),
    )
}

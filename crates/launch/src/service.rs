//! What is served to instances: the metadata service, and the API within their namespaces. One thread with a runtime.

use crate::errors::Tried as _;
use crate::imds::{self, Tokens};
use crate::launcher::Facts;
use crate::metadata::{Metadata, RoleKeys};
use crate::network::{METADATA, Networks};
use forebay_control::fleet::WantedInstance;
use forebay_units::lock::{read, write};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

/// Port of the metadata service at the address of an instance without a namespace. Port 80 is for applications.
const SHARED_PORT: u16 = 16_254;
/// Most connections of one instance to the metadata service at once.
const METADATA_CONNECTIONS: usize = 64;
/// Most connections of one instance to the API at once.
const API_CONNECTIONS: usize = 256;
/// Most time for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// Most time of a connection to the metadata service.
const CONNECTION: Duration = Duration::from_secs(60);
/// Longest head of a request in bytes.
const HEAD_LIMIT: usize = 16 << 10;
/// Most time to wait until listeners are closed.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves instances.
pub(crate) struct Service {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

struct Shared {
    facts: Facts,
    tokens: Tokens,
    instances: RwLock<BTreeMap<String, Arc<WantedInstance>>>,
}

enum Order {
    Serve(String, Vec<(StdListener, Served)>),
    End(String, std::sync::mpsc::Sender<()>),
}

/// The service behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// The metadata service. A private one can be reached by its instance only.
    Metadata {
        is_private: bool,
    },
    Api,
}

impl Service {
    /// Starts the thread.
    pub(crate) fn start(facts: Facts) -> Result<Service, String> {
        let shared = Arc::new(Shared {
            facts,
            tokens: Tokens::new()?,
            instances: RwLock::default(),
        });
        let (orders, taken) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .tried(|| "start a runtime".to_owned())?;
        let service = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("metadata".to_owned())
            .spawn(move || runtime.block_on(obey(taken, service)))
            .tried(|| "start a thread".to_owned())?;
        Ok(Service { orders, shared })
    }

    /// The URL of an instance's metadata service.
    pub(crate) fn endpoint(has_network: bool, address: Ipv4Addr) -> String {
        if has_network {
            format!("http://{METADATA}")
        } else {
            format!("http://{address}:{SHARED_PORT}")
        }
    }

    /// Sets all current instances.
    pub(crate) fn know(&self, instances: &[WantedInstance]) {
        let mut known = write(&self.shared.instances);
        // Unchanged ones are kept.
        let mut new = BTreeMap::new();
        for instance in instances {
            let kept = known.remove(&instance.id).filter(|kept| **kept == *instance);
            new.insert(
                instance.id.clone(),
                kept.unwrap_or_else(|| Arc::new(instance.clone())),
            );
        }
        *known = new;
    }

    /// Serves an instance, and ends what was served to an earlier run of it.
    pub(crate) fn serve(&self, instance: &WantedInstance, networks: Option<&Networks>) {
        self.end(&instance.id);
        let id = &instance.id;
        let listeners = match networks {
            Some(networks) => {
                let api = self.shared.facts.local_api().port();
                vec![
                    (
                        networks.listen(id, (METADATA, 80).into()),
                        Served::Metadata { is_private: true },
                    ),
                    (
                        networks.listen(id, (Ipv4Addr::LOCALHOST, api).into()),
                        Served::Api,
                    ),
                ]
            }
            None => {
                let shared = SocketAddr::from((instance.address, SHARED_PORT));
                vec![(StdListener::bind(shared), Served::Metadata { is_private: false })]
            }
        };
        let mut open = Vec::new();
        for (listener, served) in listeners {
            match listener {
                Ok(listener) => open.push((listener, served)),
                Err(error) => tracing::warn!(instance = id, %error, ?served, "cannot serve an instance"),
            }
        }
        let mut known = write(&self.shared.instances);
        known
            .entry(id.clone())
            .or_insert_with(|| Arc::new(instance.clone()));
        drop(known);
        let _ = self.orders.send(Order::Serve(id.clone(), open));
    }

    /// Stops serving an instance; its listeners are closed when this returns.
    pub(crate) fn end(&self, id: &str) {
        let (done, is_done) = std::sync::mpsc::channel();
        if self.orders.send(Order::End(id.to_owned(), done)).is_ok() {
            let _ = is_done.recv_timeout(CLOSING);
        }
    }
}

async fn obey(mut orders: mpsc::UnboundedReceiver<Order>, shared: Arc<Shared>) {
    let mut serving: HashMap<String, Vec<JoinHandle<()>>> = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Serve(id, listeners) => {
                let tasks = listeners.into_iter().map(|(listener, served)| {
                    let (id, shared) = (id.clone(), Arc::clone(&shared));
                    tokio::spawn(listen(listener, served, id, shared))
                });
                serving.entry(id.clone()).or_default().extend(tasks);
            }
            Order::End(id, done) => {
                for task in serving.remove(&id).into_iter().flatten() {
                    task.abort();
                    let _ = task.await;
                }
                let _ = done.send(());
            }
        }
    }
}

/// Serves one listener. If aborted, its connections end, too.
async fn listen(listener: StdListener, served: Served, id: String, shared: Arc<Shared>) {
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener));
    let Ok(listener) = listener else { return };
    let places = Arc::new(Semaphore::new(match served {
        Served::Metadata { .. } => METADATA_CONNECTIONS,
        Served::Api => API_CONNECTIONS,
    }));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Perhaps out of descriptors; others must end first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let (id, shared) = (id.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match served {
                Served::Metadata { is_private } => tell(stream, &id, &shared, is_private).await,
                Served::Api => relay(stream, &shared).await,
            }
            drop(place);
        });
    }
}

async fn relay(mut stream: TcpStream, shared: &Shared) {
    if let Ok(mut api) = TcpStream::connect(shared.facts.local_api()).await {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut api).await;
    }
}

async fn tell(stream: TcpStream, id: &str, shared: &Shared, is_private: bool) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(shared.answer(&request, id, is_private))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(CONNECTION, connection).await;
}

impl Shared {
    fn answer(
        &self,
        request: &Request<Incoming>,
        id: &str,
        is_private: bool,
    ) -> hyper::Response<http_body_util::Full<bytes::Bytes>> {
        let instance = {
            let instances = read(&self.instances);
            instances.get(id).cloned()
        };
        let Some(instance) = instance else {
            let mut gone = hyper::Response::default();
            *gone.status_mut() = hyper::StatusCode::NOT_FOUND;
            return gone;
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let asked = (request.method(), request.uri().path(), request.headers());
        imds::answer(asked, &instance, &self.tokens, now, || {
            // Where others could ask too, keys are given in the environment only.
            let profile = instance.profile.as_ref().filter(|_| is_private);
            let keys = profile.and_then(|profile| (self.facts.keys)(profile).ok());
            let keys = keys.map(|keys| RoleKeys {
                id: keys.id,
                secret: keys.secret,
            });
            Metadata::new(&instance, &self.facts.account, keys.as_ref(), now)
        })
    }
}

//! A harness of the API alone, against a journal in memory.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_awswire::{Service, sigv4};
use forebay_control::{Journal, JournalError, NothingObserved, Publish, State};
use forebay_gateway::{
    ApiContext, ApiOptions, Beside, Bounds, Credentials, SharedPorts, Writer, credentials, serve,
};
use forebay_units::Wall;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Counts commits, fails when told to, and waits for a token per commit if it has a gate.
#[derive(Clone, Default)]
pub struct Disk {
    pub full: Arc<AtomicBool>,
    pub commits: Arc<AtomicU64>,
    pub gate: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
}

impl Journal for Disk {
    fn commit(&mut self, _old: &State, _new: &State) -> Result<(), JournalError> {
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv();
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(JournalError {
                cause: "no space left on device".into(),
            });
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[derive(Clone, Default)]
pub struct Published(pub Arc<AtomicU64>);

impl Publish for Published {
    fn publish(&self, state: &Arc<State>) {
        self.0.store(state.generation(), Ordering::SeqCst);
    }
}

pub struct Harness {
    pub address: String,
    pub client: Client<HttpConnector, Full<Bytes>>,
    pub key: credentials::Key,
    pub folder: PathBuf,
    pub disk: Disk,
    pub published: Published,
    pub context: Arc<ApiContext>,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: String,
}

/// The content type of a form.
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

impl Harness {
    pub fn open(name: &str, check_signatures: bool, allow_reset: bool, disk: Disk) -> Harness {
        Harness::bounded(name, check_signatures, allow_reset, disk, Bounds::default())
    }

    pub fn bounded(
        name: &str,
        check_signatures: bool,
        allow_reset: bool,
        disk: Disk,
        bounds: Bounds,
    ) -> Harness {
        let folder = std::env::temp_dir().join(format!("forebay-gateway-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("credentials");
        let key = credentials::create(&path, "default").unwrap();
        let published = Published::default();
        let state = State::new("local-1", "127.64.0.0/10".parse().unwrap());
        let (writer, _thread) = Writer::start(
            state,
            disk.clone(),
            published.clone(),
            SharedPorts::observing(Arc::new(NothingObserved)),
            1,
        )
        .unwrap();
        let options = ApiOptions {
            hosts: Default::default(),
            account: "000000000000".to_owned(),
            region: "local-1".to_owned(),
            check_signatures,
            allow_reset,
        };
        let context = Arc::new(ApiContext::new(
            options,
            Credentials::new(&path),
            writer,
            Beside::default(),
            1,
        ));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(
            listener,
            bounds,
            Arc::clone(&context),
            std::future::pending(),
        ));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Harness {
            address,
            client,
            key,
            folder,
            disk,
            published,
            context,
        }
    }

    pub fn request(&self, body: &str) -> Request<Full<Bytes>> {
        self.signed(&[FORM], body.as_bytes().to_vec())
    }

    /// Like `call`, with a body that its client has compressed.
    pub fn compressed(&self, body: &[u8]) -> Request<Full<Bytes>> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(body).unwrap();
        self.signed(&[FORM, ("content-encoding", "gzip")], packed.finish().unwrap())
    }

    pub fn signed(&self, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Request<Full<Bytes>> {
        let url = format!("http://{}/", self.address);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signer = sigv4::Signer {
            access_key: &self.key.access_key,
            secret: &self.key.secret,
            region: "local-1",
            service: Service::Elbv2,
        };
        let now = Wall::from_seconds(i64::try_from(now).unwrap());
        let signed = sigv4::sign(signer, "POST", &url, headers, &body, now).unwrap();
        let mut request = Request::post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        request.body(Full::from(body)).unwrap()
    }

    /// A signed call in RPC v2 CBOR.
    pub async fn call_cbor(
        &self,
        service: Service,
        path: &str,
        body: &'static [u8],
    ) -> (StatusCode, http::HeaderMap, Bytes) {
        let url = format!("http://{}{path}", self.address);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signer = sigv4::Signer {
            access_key: &self.key.access_key,
            secret: &self.key.secret,
            region: "local-1",
            service,
        };
        let headers = [
            ("smithy-protocol", "rpc-v2-cbor"),
            ("content-type", "application/cbor"),
        ];
        let now = Wall::from_seconds(i64::try_from(now).unwrap());
        let signed = sigv4::sign(signer, "POST", &url, &headers, body, now).unwrap();
        let mut request = Request::post(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        self.receive(request.body(Full::from(body)).unwrap()).await
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let (status, headers, body) = self.receive(request).await;
        let body = String::from_utf8(body.to_vec()).unwrap();
        Reply {
            status,
            headers,
            body,
        }
    }

    async fn receive(&self, request: Request<Full<Bytes>>) -> (StatusCode, http::HeaderMap, Bytes) {
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, body)
    }

    pub async fn call(&self, rest: &str) -> Reply {
        self.send(self.request(&format!("Version=2015-12-01&{rest}")))
            .await
    }

    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

//! Fake functions, and clients for them.

use super::*;
use forebay_functions::{Done, FunctionError, Invocation, InvokeError, Invoked};
use serde_json::{Value, json};

pub(crate) type Answer = Result<Invoked, InvokeError>;

type Answering = Box<dyn Fn(&Value) -> Option<Answer> + Send + Sync>;

/// Runs nothing: gives fixed answers, or holds invocations until they are released.
pub(crate) struct Fake {
    answer: Answering,
    pub(crate) asked: Mutex<Vec<Invocation>>,
    held: Mutex<Vec<Done>>,
}

impl Functions for Fake {
    fn invoke(&self, invocation: Invocation, done: Done) {
        let event = serde_json::from_slice(&invocation.payload).unwrap();
        self.asked.lock().unwrap().push(invocation);
        match (self.answer)(&event) {
            // From another thread, as the real engine does.
            Some(answer) => drop(std::thread::spawn(move || done(answer))),
            None => self.held.lock().unwrap().push(done),
        }
    }
}

impl Fake {
    pub(crate) fn new(answer: impl Fn(&Value) -> Option<Answer> + Send + Sync + 'static) -> Arc<Fake> {
        Arc::new(Fake {
            answer: Box::new(answer),
            asked: Mutex::default(),
            held: Mutex::default(),
        })
    }

    /// Gives this answer to every invocation.
    pub(crate) fn says(answer: Answer) -> Arc<Fake> {
        Fake::new(move |_| Some(answer.clone()))
    }

    /// Answers with the event.
    pub(crate) fn echo() -> Arc<Fake> {
        Fake::new(|event| Some(said(&json!({"statusCode": 200, "body": event.to_string()}))))
    }

    /// Answers only when `release` is called.
    pub(crate) fn holding() -> Arc<Fake> {
        Fake::new(|_| None)
    }

    pub(crate) fn holds(&self, count: usize) -> bool {
        self.held.lock().unwrap().len() == count
    }

    /// Answers the oldest invocation.
    pub(crate) fn release(&self) {
        let done = self.held.lock().unwrap().remove(0);
        done(said(&json!({"statusCode": 200, "body": "late"})));
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

pub(crate) fn said(answer: &Value) -> Answer {
    invoked(answer.to_string().into_bytes(), None)
}

pub(crate) fn invoked(payload: Vec<u8>, error: Option<FunctionError>) -> Answer {
    Ok(Invoked {
        payload,
        error,
        request_id: "id".into(),
        log: None,
    })
}

pub(crate) fn serve(functions: &Arc<Fake>) -> Balancer {
    start(functions, BalancerSettings::default())
}

pub(crate) fn start(functions: &Arc<Fake>, settings: BalancerSettings) -> Balancer {
    Balancer::of_function(Arc::clone(functions) as _, settings, None, usize::MAX)
}

/// An HTTP/1.1 connection.
pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

impl Client {
    pub(crate) fn of(balancer: &Balancer) -> Client {
        Client(BufReader::new(balancer.connect()))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub(crate) fn ask(&mut self, request: &str) -> (String, Vec<u8>) {
        self.send(request.as_bytes());
        read_answer(&mut self.0)
    }
}

pub(crate) fn event_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// The status of the answer to a request on a new connection.
pub(crate) fn status_of(balancer: &Balancer, request: &str) -> String {
    let (head, _) = Client::of(balancer).ask(request);
    head.split(' ').nth(1).unwrap().to_owned()
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

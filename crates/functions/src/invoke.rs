//! How a function is asked, and what comes of it. Whoever asks (the API, a load balancer, a queue's poller) sees only this.

/// Asked in the moment in which a function is about to get its event; it says whether the function is to have it.
pub type Begin = Box<dyn FnOnce(Box<dyn FnOnce(bool) + Send>) + Send>;

/// What is asked.
#[derive(Default)]
pub struct Invocation {
    /// The function's ARN, without a qualifier.
    pub function: String,
    /// The event: JSON, of at most 6 MB.
    pub payload: Vec<u8>,
    /// The header `X-Amzn-Trace-Id` of what led here.
    pub trace: Option<String>,
    /// The client context of the API's caller: JSON.
    pub client_context: Option<String>,
    /// Whether the last 4 KiB of its log are wanted.
    pub wants_log: bool,
    /// Asked before the function gets the event, by whoever must know what has begun. It must not block: it is told when it is decided.
    pub begin: Option<Begin>,
}

impl core::fmt::Debug for Invocation {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Invocation")
            .field("function", &self.function)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// How a function failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionError {
    /// It said so: the handler threw, or the runtime reported an error.
    Unhandled,
    /// It took longer than it may, and was killed.
    TimedOut,
    /// It ended, could not be started, or used more memory than it may.
    Crashed,
}

/// What came of an invocation that a function got, or was to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// Its answer, or a JSON document about the error (`errorType`, `errorMessage`).
    pub payload: Vec<u8>,
    /// How it failed; none if it answered.
    pub error: Option<FunctionError>,
    /// The invocation's id: a UUID.
    pub request_id: String,
    /// The end of its log, if that was wanted.
    pub log: Option<Vec<u8>>,
}

/// Why a function was not asked at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Nobody knows it.
    #[error("there is no such function")]
    NotFound,
    /// As many of its invocations run as it has reserved.
    #[error("the function's reserved concurrency is used up")]
    ReservedConcurrency,
    /// As many invocations run as there may be of all functions.
    #[error("the concurrency of all functions is used up")]
    Concurrency,
    /// The event is larger than 6 MB.
    #[error("the event is larger than {0} bytes")]
    TooLarge(usize),
    /// Whoever was asked before it began did not want it any more.
    #[error("it was not wanted any more when it was to begin")]
    Unwanted,
    /// Functions are not run here, or no more.
    #[error("functions are not run here: {0}")]
    Unavailable(String),
}

/// Told once, on any thread. It must not block.
pub type Done = Box<dyn FnOnce(Result<Invoked, InvokeError>) + Send>;

/// Who runs functions.
pub trait Functions: Send + Sync {
    /// Runs a function once. `done` is called exactly once, perhaps before this returns, on any thread. Never blocks.
    fn invoke(&self, invocation: Invocation, done: Done);
}

/// Nobody runs functions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctions;

impl Functions for NoFunctions {
    fn invoke(&self, _: Invocation, done: Done) {
        done(Err(InvokeError::Unavailable("this program runs none".to_owned())));
    }
}

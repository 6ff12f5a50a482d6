//! The port through which a function is invoked. Its callers (the API, a load balancer, a queue's poller) see nothing
//! else.

/// Called when a function is about to get its event; the callback says whether the function may have it.
pub type Begin = Box<dyn FnOnce(Box<dyn FnOnce(bool) + Send>) + Send>;

/// An invocation.
#[derive(Default)]
pub struct Invocation {
    /// The function's ARN, without a qualifier.
    pub function: String,
    /// The event: JSON, of at most 6 MB.
    pub payload: Vec<u8>,
    /// The `X-Amzn-Trace-Id` header of the request that led to it.
    pub trace: Option<String>,
    /// The client context of the API's caller, as JSON.
    pub client_context: Option<String>,
    /// Whether the last 4 KiB of its log must be returned.
    pub wants_log: bool,
    /// The id that the function gets; `None` for a new one.
    pub request_id: Option<String>,
    /// Called before the function gets the event, for callers that must record the start first. It must not block; it
    /// answers through its callback.
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
    /// It reported an error: the handler threw, or the runtime did.
    Unhandled,
    /// It exceeded its time and was killed.
    TimedOut,
    /// It exited, could not be started, or exceeded its memory.
    Crashed,
}

/// The result of an invocation that a function got, or was to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// Its answer, or a JSON document about the error (`errorType`, `errorMessage`).
    pub payload: Vec<u8>,
    /// How it failed; `None` if it answered.
    pub error: Option<FunctionError>,
    /// The invocation's id: a UUID.
    pub request_id: String,
    /// The end of its log, if requested.
    pub log: Option<Vec<u8>>,
}

/// Why a function was not invoked at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// There is no such function.
    #[error("there is no such function")]
    NotFound,
    /// All of its reserved concurrency is in use.
    #[error("the function's reserved concurrency is used up")]
    ReservedConcurrency,
    /// All of the concurrency shared by functions is in use.
    #[error("the concurrency of all functions is used up")]
    Concurrency,
    /// The event is larger than 6 MB.
    #[error("the event is larger than {0} bytes")]
    TooLarge(usize),
    /// The `begin` callback declined it.
    #[error("the invocation was no longer wanted when it was about to begin")]
    Unwanted,
    /// Functions are not run here, or no longer.
    #[error("functions are not run here: {0}")]
    Unavailable(String),
}

/// Called once, on any thread. It must not block.
pub type Done = Box<dyn FnOnce(Result<Invoked, InvokeError>) + Send>;

/// Runs functions.
pub trait Functions: Send + Sync {
    /// Runs a function once. `done` is called exactly once, on any thread, possibly before this returns. Never blocks.
    fn invoke(&self, invocation: Invocation, done: Done);
}

/// An implementation that runs no functions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctions;

impl Functions for NoFunctions {
    fn invoke(&self, _: Invocation, done: Done) {
        done(Err(InvokeError::Unavailable("this program runs none".to_owned())));
    }
}

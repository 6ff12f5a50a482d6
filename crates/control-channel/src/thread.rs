//! A thread with its own runtime, for one end of the channels.

use std::io;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A thread that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Thread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Runs the future that `make` returns, on a new thread, until it completes or this is dropped.
    pub(crate) fn start<F: Future<Output = ()>>(
        name: &str,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Thread> {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(Default::default())
            {
                Ok(runtime) => runtime.block_on(async {
                    tokio::select! {
                        () = make() => {}
                        _ = stopped => {}
                    }
                }),
                Err(error) => tracing::error!(%error, "the runtime of the control channels cannot start"),
            }
        })?;
        Ok(Thread {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

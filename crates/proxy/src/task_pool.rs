//! Pooled tasks, which serve the requests of one connection after another. Their state, some kilobytes, is kept by the
//! worker: idle connections hold none, and active ones do not allocate for each request.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Free pooled tasks that a worker keeps for each kind of connection.
const KEPT: usize = 64;

/// A worker's free pooled tasks for jobs of type `G`; `D` is the result of a job.
pub(crate) struct TaskPool<G, D>(RefCell<Vec<PooledTask<G, D>>>);

impl<G, D> Default for TaskPool<G, D> {
    fn default() -> TaskPool<G, D> {
        TaskPool(RefCell::default())
    }
}

/// The loop of a pooled task. It is polled by the tasks of its jobs, so no wake-up is needed when a job comes or goes.
pub(crate) type Work = Pin<Box<dyn Future<Output = Infallible>>>;

struct PooledTask<G, D> {
    handoff: Rc<Handoff<G, D>>,
    work: Work,
}

/// The cells through which a job and its result are passed.
pub(crate) struct Handoff<G, D> {
    come: Cell<Option<G>>,
    done: Cell<Option<D>>,
}

impl<G, D> Handoff<G, D> {
    /// The next job, once it has come.
    pub(crate) async fn job(&self) -> G {
        poll_fn(|_| self.come.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Returns the result of the job.
    pub(crate) fn part(&self, done: D) {
        self.done.set(Some(done));
    }
}

/// Has a job served by a free pooled task, or by a new one that `work` makes; resolves to the job's result. If it is
/// dropped earlier, its pooled task is dropped with it.
pub(crate) fn serve<G, D>(
    task_pool: &Rc<TaskPool<G, D>>,
    job: G,
    work: impl FnOnce(Rc<Handoff<G, D>>) -> Work,
) -> Service<G, D> {
    let free = task_pool.0.borrow_mut().pop();
    let pooled_task = free.unwrap_or_else(|| {
        let handoff = Rc::new(Handoff {
            come: Cell::new(None),
            done: Cell::new(None),
        });
        PooledTask {
            work: work(Rc::clone(&handoff)),
            handoff,
        }
    });
    pooled_task.handoff.come.set(Some(job));
    Service {
        pooled_task: Some(pooled_task),
        task_pool: Rc::clone(task_pool),
    }
}

/// The future of [`serve`].
pub(crate) struct Service<G, D> {
    /// None once it is over.
    pooled_task: Option<PooledTask<G, D>>,
    task_pool: Rc<TaskPool<G, D>>,
}

impl<G, D> Future for Service<G, D> {
    type Output = D;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D> {
        let service = self.get_mut();
        let Some(pooled_task) = &mut service.pooled_task else {
            return Poll::Pending;
        };
        let Poll::Pending = pooled_task.work.as_mut().poll(cx);
        let Some(done) = pooled_task.handoff.done.take() else {
            return Poll::Pending;
        };
        if let Some(pooled_task) = service.pooled_task.take() {
            let mut free = service.task_pool.0.borrow_mut();
            if free.len() < KEPT {
                free.push(pooled_task);
            }
        }
        Poll::Ready(done)
    }
}

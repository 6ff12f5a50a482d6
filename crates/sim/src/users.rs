//! The present users, and what each requests next.

use crate::crowd::{Client, Crowd, Kind};
use crate::scene::Scene;
use forebay_units::Rng;

/// Where a user comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    Crowd(usize),
    Client(usize),
    /// An independent request; how long it takes if that is known, in nanoseconds.
    Flow(Option<u64>),
}

/// A user's request, and its worker; how long it takes if that is known, in nanoseconds.
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) worker: usize,
    pub(crate) takes: Option<u64>,
}

struct User {
    source: Source,
    asked: usize,
    worker: usize,
}

/// All users, by number; they are assigned to the workers in turn.
pub(crate) struct Users {
    crowds: Vec<Crowd>,
    clients: Vec<Client>,
    workers: usize,
    users: Vec<User>,
}

impl Users {
    pub(crate) fn of(scene: &Scene) -> Users {
        Users {
            crowds: scene.crowds.clone(),
            clients: scene.clients.clone(),
            workers: scene.workers,
            users: Vec::new(),
        }
    }

    /// Adds a user; returns its number.
    pub(crate) fn enter(&mut self, source: Source) -> usize {
        let worker = self.users.len() % self.workers;
        let asked = 0;
        self.users.push(User {
            source,
            asked,
            worker,
        });
        self.users.len() - 1
    }

    /// When the next user of a crowd arrives, in nanoseconds; none if no more come.
    pub(crate) fn next_of(&self, crowd: usize, now: u64, rng: &mut Rng) -> Option<u64> {
        let crowd = self.crowds[crowd];
        let next = now + crowd.gap(rng);
        (next < crowd.until.as_nanos() as u64).then_some(next)
    }

    /// The kind of a user's next request; none if that was all.
    pub(crate) fn wish(&self, user: usize, now: u64) -> Option<Kind> {
        let User { source, asked, .. } = self.users[user];
        match source {
            Source::Crowd(crowd) => self.crowds[crowd].visit.get(asked).copied(),
            Source::Flow(_) => (asked == 0).then_some(Kind::Get),
            Source::Client(client) => {
                let client = &self.clients[client];
                (now < client.until.as_nanos() as u64).then_some(client.kind)
            }
        }
    }

    /// A user's next request; none if that was all.
    pub(crate) fn ask(&mut self, user: usize, now: u64) -> Option<Ask> {
        let kind = self.wish(user, now)?;
        let User { source, worker, .. } = self.users[user];
        self.users[user].asked += 1;
        Some(Ask {
            kind,
            worker,
            takes: if let Source::Flow(takes) = source {
                takes
            } else {
                None
            },
        })
    }

    /// The time from an answer to a user's next request, in nanoseconds.
    pub(crate) fn turn(&self, user: usize, rng: &mut Rng) -> u64 {
        match self.users[user].source {
            Source::Crowd(crowd) => self.crowds[crowd].turn(rng),
            Source::Client(client) => self.clients[client].turn(rng),
            Source::Flow(_) => 0,
        }
    }
}

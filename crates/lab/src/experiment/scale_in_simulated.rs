//! The scale-in experiment in virtual time: targets that are killed, compared with targets that are deregistered.

use super::scale_in_args::{ScaleInArgs, Turn};
use super::statuses::Played;
use forebay_model::Algorithm;
use forebay_sim::{Act, Behaviour, Client, Kind, Scene, Span};
use std::time::Duration;

/// A server works on any number of requests at a time.
const THREADS: u32 = 100_000;

/// Plays one turn.
pub(crate) fn turn(args: &ScaleInArgs, turn: Turn) -> Played {
    let steps = args.steps();
    let (shortest, longest) = args.request.bounds();
    let behaviour = Behaviour {
        threads: THREADS,
        post: Span::Uniform(shortest, longest),
        ..Behaviour::single_threaded()
    };
    let at = |step: usize| args.step() * step as u32;
    let mut scene = Scene::new(args.seed, steps[0].servers, behaviour, Algorithm::RoundRobin);
    // The newest servers go first, so the present ones are always the first few.
    for (step, pair) in (1..).zip(steps.windows(2)) {
        let (before, now) = (pair[0].servers, pair[1].servers);
        let comes = at(step) + Duration::from_secs_f64(args.boot);
        let joins = (before..now).map(|server| (comes, Act::Join(server, behaviour)));
        let goes = (now..before).map(|server| match turn {
            Turn::Before => (at(step), Act::Kill(server)),
            Turn::After => (at(step), Act::Leave(server)),
        });
        scene.acts.extend(joins.chain(goes));
    }
    for client in 0..args.clients {
        let is_there = |step: &usize| steps[*step].clients > client;
        let there: Vec<usize> = (0..steps.len()).filter(is_there).collect();
        // Half a sine rises once, so each client comes and goes once.
        if let (Some(&first), Some(&last)) = (there.first(), there.last()) {
            scene.clients.push(Client {
                kind: Kind::Post,
                pause: (args.pause(), args.pause()),
                from: at(first),
                until: at(last + 1),
            });
        }
    }
    let mut played = Played::new(turn, &steps);
    for seen in scene.play().seen {
        let step = (seen.at + seen.took).div_duration_f64(args.step()) as usize;
        // The last answers come shortly after the last step.
        played.count(step.min(steps.len() - 1), Some(seen.status));
    }
    played
}

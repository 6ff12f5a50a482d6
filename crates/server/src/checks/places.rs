//! Checks where traffic would be served: the address pool, exposed addresses, and listeners on both.

use super::findings::Report;
use super::sockets;
use crate::backup::RunningProcess;
use crate::flags::UpArgs;
use forebay_control::State;
use forebay_model::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Most warnings of one kind that are listed one by one.
const TOLD: usize = 20;

pub(super) fn pool(state: &State, running: Option<&RunningProcess>, report: &mut Report) {
    for pool in crate::places::pools(state) {
        let first = pool.hosts().nth(3).unwrap_or(pool.network());
        if running.is_some() || sockets::has(first) {
            report.ok("address pool", format!("{pool}: its addresses can be bound here"));
        } else {
            report.warning(
                "address pool",
                format!("{pool}: this machine has no address {first}, so no load balancer could be served there. Use a pool within 127.0.0.0/8, or add its addresses to the machine"),
            );
        }
    }
}

/// The addresses with listeners, and listeners that are not served for other reasons.
#[derive(Default)]
struct Wanted {
    /// The description of the listener at an address.
    places: BTreeMap<SocketAddr, String>,
    count: usize,
    wrong: Vec<String>,
}

impl Wanted {
    fn of(state: &State, exposed: &[IpAddr]) -> Wanted {
        let mut wanted = Wanted::default();
        let mut first_on: BTreeMap<u16, (Protocol, String)> = BTreeMap::new();
        for balancer in &state.blueprint().balancers {
            let name = balancer
                .arn
                .rsplit_once("loadbalancer/")
                .map_or(&*balancer.arn, |(_, name)| name);
            for listener in &balancer.listeners {
                let (protocol, port) = (listener.protocol, listener.port);
                let called = format!("{} {port} of {name}", word(protocol));
                wanted.count += 1;
                if protocol == Protocol::Https && listener.tls.is_none() {
                    let text = format!("{called} has no usable certificate, and is not served");
                    wanted.wrong.push(text);
                    continue;
                }
                for node in &balancer.nodes {
                    wanted.add(SocketAddr::new(node.address, port), &called);
                }
                match first_on.get(&port) {
                    Some((other, first)) if *other != protocol => wanted.wrong.push(format!(
                        "{called} is not reachable at exposed addresses: {first} uses the port there with another protocol"
                    )),
                    Some(_) => {}
                    None => {
                        for address in exposed {
                            wanted.add(SocketAddr::new(*address, port), &called);
                        }
                        first_on.insert(port, (protocol, called));
                    }
                }
            }
        }
        wanted
    }

    fn add(&mut self, address: SocketAddr, called: &str) {
        self.places.entry(address).or_insert_with(|| called.to_owned());
    }
}

/// Checks where which listeners cannot be served, and why. Returns the number of addresses with listeners.
pub(super) fn listeners(
    args: &UpArgs,
    state: &State,
    exposed: &[IpAddr],
    running: Option<&RunningProcess>,
    report: &mut Report,
) -> usize {
    let theirs = running
        .map(|running| sockets::of_process(running.process))
        .unwrap_or_default();
    let Wanted {
        places,
        count,
        mut wrong,
    } = Wanted::of(state, exposed);
    for (address, called) in &places {
        if [args.api, args.admin].contains(address) {
            wrong.push(format!(
                "{called} is not served at {address}: --api or --admin uses it"
            ));
        } else if !theirs.contains(address)
            && let Err(error) = sockets::bind(*address)
        {
            let why = sockets::why(&error, *address);
            wrong.push(format!("{called} cannot be served at {address}: {why}"));
        }
    }
    let held = places.keys().filter(|address| theirs.contains(address)).count();
    if count == 0 {
        report.ok("listeners", "there are none");
    } else if wrong.is_empty() {
        let by = match running {
            Some(running) if held > 0 => {
                format!(
                    ", {held} of them held by process {}, which hands them over",
                    running.process
                )
            }
            _ => String::new(),
        };
        let text = format!(
            "{count} at {} addresses, all of which can be served{by}",
            places.len()
        );
        report.ok("listeners", text);
    }
    let more = wrong.len().saturating_sub(TOLD);
    for text in wrong.into_iter().take(TOLD) {
        report.warning("listeners", text);
    }
    if more > 0 {
        report.warning("listeners", format!("and {more} more like these"));
    }
    places.len()
}

/// The exposed addresses that this machine has; none if a start would fail because of them.
pub(super) fn exposed(args: &UpArgs, report: &mut Report) -> Option<Vec<IpAddr>> {
    let addresses = match args.exposed() {
        Ok(addresses) => addresses,
        Err(error) => {
            report.error("exposed addresses", format!("{error:#}"));
            return None;
        }
    };
    let (here, absent): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) =
        addresses.iter().partition(|address| sockets::has(**address));
    for address in absent {
        report.warning(
            "exposed addresses",
            format!("this machine has no address {address}: nothing can be reached there. Change --expose"),
        );
    }
    let listed: Vec<String> = here.iter().map(ToString::to_string).collect();
    if !listed.is_empty() {
        report.ok("exposed addresses", listed.join(", "));
    }
    Some(here.into_iter().collect())
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Https => "HTTPS",
    }
}

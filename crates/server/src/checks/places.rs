//! Where traffic would be served: the address pool, exposed addresses, and listeners at both.

use super::findings::Report;
use super::sockets;
use crate::backup::RunningProcess;
use crate::flags::UpArgs;
use forebay_control::State;
use forebay_model::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Warnings of one kind that are told one by one.
const TOLD: usize = 20;

pub(super) fn pool(state: &State, running: Option<&RunningProcess>, report: &mut Report) {
    for pool in crate::places::pools(state) {
        let first = pool.hosts().nth(3).unwrap_or(pool.network());
        if running.is_some() || sockets::has(first) {
            report.ok("address pool", format!("{pool}: its addresses can be bound here"));
        } else {
            report.warning(
                "address pool",
                format!("{pool}: this machine has no address {first}, so no load balancer would be served at its own. Use a pool out of 127.0.0.0/8, or give the machine its addresses"),
            );
        }
    }
}

/// Which listeners could not be served where, and why. Returns at how many addresses there are listeners.
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
    let own = [args.api, args.admin];
    let blueprint = state.blueprint();
    let mut places: BTreeMap<SocketAddr, String> = BTreeMap::new();
    let mut protocols: BTreeMap<u16, (Protocol, String)> = BTreeMap::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for balancer in &blueprint.balancers {
        let name = balancer
            .arn
            .rsplit_once("loadbalancer/")
            .map_or(&*balancer.arn, |(_, name)| name);
        for listener in &balancer.listeners {
            count += 1;
            let called = format!("{} {} of {name}", word(listener.protocol), listener.port);
            if listener.protocol == Protocol::Https && listener.tls.is_none() {
                wrong.push(format!(
                    "{called} has no certificate that can be used, and is not served"
                ));
                continue;
            }
            for node in &balancer.nodes {
                places
                    .entry(SocketAddr::new(node.address, listener.port))
                    .or_insert_with(|| called.clone());
            }
            match protocols.get(&listener.port) {
                Some((protocol, first)) if *protocol != listener.protocol => wrong.push(format!(
                    "{called} is not reached at exposed addresses: {first} has the port there, and another protocol"
                )),
                Some(_) => {}
                None => {
                    protocols.insert(listener.port, (listener.protocol, called.clone()));
                    for address in exposed {
                        places.entry(SocketAddr::new(*address, listener.port)).or_insert_with(|| called.clone());
                    }
                }
            }
        }
    }
    for (address, called) in &places {
        if own.contains(address) {
            wrong.push(format!(
                "{called} is not served at {address}: --api or --admin is there"
            ));
        } else if !theirs.contains(address)
            && let Err(error) = sockets::bind(*address)
        {
            wrong.push(format!(
                "{called} cannot be served at {address}: {}",
                sockets::why(&error, *address)
            ));
        }
    }
    let held = places.keys().filter(|address| theirs.contains(address)).count();
    if count == 0 {
        report.ok("listeners", "there are none");
    } else if wrong.is_empty() {
        let by = match running {
            Some(running) if held > 0 => format!(
                ", {held} of them held by process {}, which hands them over",
                running.process
            ),
            _ => String::new(),
        };
        report.ok(
            "listeners",
            format!(
                "{count} at {} addresses, all of which can be served{by}",
                places.len()
            ),
        );
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

/// The exposed addresses that this machine has; none if a start would fail over them.
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
            format!("this machine has no address {address}: nothing is reached there. Give another --expose"),
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

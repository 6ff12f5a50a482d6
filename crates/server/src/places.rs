//! The places of load balancers' nodes: zones, address pools, and addresses of the machine that were given to nodes.

use crate::flags::UpArgs;
use crate::place_args::{SUBNET_ADDRESSES, ZoneAddresses};
use anyhow::{Context as _, bail};
use forebay_control::records::NodeAddresses;
use forebay_control::{Move, State};
use forebay_proxy::is_routed_here;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};

/// The default address pool.
const ADDRESS_POOL: &str = "127.64.0.0/10";
/// Most lines about nodes that moved; the rest is counted. The log itself accepts no more lines of a kind per second.
const LINES: usize = 10;

/// The address pools of a state.
pub(crate) fn pools(state: &State) -> Vec<IpNet> {
    let settings = state.settings();
    let pool6 = settings.pool6.map(IpNet::V6);
    core::iter::once(IpNet::V4(settings.pool)).chain(pool6).collect()
}

/// The stored state or a fresh one, with zones, pools and nodes as the flags set them.
pub(crate) fn placed(args: &UpArgs, kept: Option<State>) -> anyhow::Result<State> {
    let is_fresh = kept.is_none();
    // Impossible flags are reported before anything is claimed or bound.
    let exposed = args.exposed()?;
    let state = with_pool(args, kept)?;
    let state = with_zones(args, state, is_fresh)?;
    let pool6 = pool6(args, &state)?;
    let given = given(args, &state, &exposed, pool6)?;
    let settled = state.with_nodes_at(pool6, given);
    let (state, moves) = settled.context(
        "nodes cannot have the addresses that --address-pool and --node-addresses say; start it as it was, and delete load balancers or \
         take another --data-dir",
    )?;
    tell(&moves);
    Ok(state)
}

/// The stored state or a fresh one, with its IPv4 pool.
fn with_pool(args: &UpArgs, kept: Option<State>) -> anyhow::Result<State> {
    let wanted = args.places.address_pool.iter().find_map(|pool| match pool {
        IpNet::V4(pool) => Some(*pool),
        IpNet::V6(_) => None,
    });
    let Some(state) = kept else {
        let pool: Ipv4Net = match wanted {
            Some(pool) => pool,
            None => ADDRESS_POOL.parse().context("the default address pool")?,
        };
        return Ok(State::new(&args.region, pool));
    };
    let pool = state.settings().pool;
    match wanted {
        Some(wanted) if wanted != pool => bail!(
            "{} was made with --address-pool {pool}, and its load balancers have addresses from that pool: leave the flag out, or use a new --data-dir",
            args.data.data_dir.display()
        ),
        _ => Ok(state),
    }
}

fn with_zones(args: &UpArgs, state: State, is_fresh: bool) -> anyhow::Result<State> {
    let Some(count) = args.places.zones else {
        return Ok(state);
    };
    let (before, pool) = (state.settings().zones, state.settings().pool);
    let slices = (1_u64 << (32 - pool.prefix_len())) / SUBNET_ADDRESSES;
    if u64::from(count) > slices {
        bail!(
            "--zones {count} need a larger --address-pool: {pool} has room for {slices} subnets, and each zone has one"
        );
    }
    let changed = state.with_zones(count).with_context(|| {
        format!(
            "--zones {count} would end zones of {}, which has {before}, and something is in them: delete it, or give --zones {before}",
            args.data.data_dir.display()
        )
    })?;
    if !is_fresh && before != count {
        tracing::info!(before, now = count, "the number of zones per region has changed");
    }
    Ok(changed)
}

/// The IPv6 pool: the flag's; without any such flag, the stored one.
fn pool6(args: &UpArgs, state: &State) -> anyhow::Result<Option<Ipv6Net>> {
    let wanted = args.places.address_pool.iter().find_map(|pool| match pool {
        IpNet::V4(_) => None,
        IpNet::V6(pool) => Some(pool.trunc()),
    });
    let pool = if args.places.address_pool.is_empty() {
        state.settings().pool6
    } else {
        wanted
    };
    let Some(pool) = pool else {
        return Ok(None);
    };
    let pool4 = state.settings().pool;
    if 128 - pool.prefix_len() < 32 - pool4.prefix_len() {
        bail!(
            "--address-pool {pool} is too small beside {pool4}: use at least a /{}",
            128 - (32 - pool4.prefix_len())
        );
    }
    if !has(IpAddr::V6(pool.network())) || !has(IpAddr::V6(pool.broadcast())) {
        bail!(
            "--address-pool {pool} is no prefix of this machine. Make it one with 'ip -6 route add local {pool} dev lo', after each start of \
             the machine, or start without it: --address-pool {pool4} alone"
        );
    }
    Ok(Some(pool))
}

/// Whether a socket of this machine can be bound to this address.
fn has(address: IpAddr) -> bool {
    let is_routed = || match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => is_routed_here(address),
    };
    UdpSocket::bind((address, 0)).is_ok() || is_routed()
}

/// The addresses given to nodes, all of which must be usable.
fn given(
    args: &UpArgs,
    state: &State,
    exposed: &[IpAddr],
    pool6: Option<Ipv6Net>,
) -> anyhow::Result<NodeAddresses> {
    let mut given = NodeAddresses::new();
    let mut seen = BTreeSet::new();
    if args.places.node_addresses.is_empty() {
        return Ok(given);
    }
    let default_region = &state.settings().default_region;
    let regions = state
        .regions()
        .map(|(name, _)| name)
        .chain([default_region.as_str()]);
    let zones: BTreeSet<String> = regions.flat_map(|region| state.zones(region)).collect();
    for ZoneAddresses { zone, addresses } in &args.places.node_addresses {
        if !zones.contains(zone) {
            let all: Vec<&str> = zones.iter().map(String::as_str).collect();
            bail!(
                "--node-addresses {zone}=...: there is no such zone, but {} (--zones says how many)",
                all.join(", ")
            );
        }
        for &address in addresses {
            if !seen.insert(address) {
                bail!("--node-addresses contains {address} twice: each node needs an address of its own");
            }
            if let Some(fault) = fault(state, pool6, exposed, address) {
                bail!("--node-addresses {zone}={address}: {fault}");
            }
        }
        given.entry(zone.clone()).or_default().extend(addresses);
    }
    Ok(given)
}

/// Why a node cannot have this address.
fn fault(state: &State, pool6: Option<Ipv6Net>, exposed: &[IpAddr], address: IpAddr) -> Option<String> {
    let pool = match address {
        IpAddr::V4(address) => Some(state.settings().pool)
            .filter(|pool| pool.contains(&address))
            .map(IpNet::V4),
        IpAddr::V6(address) => pool6.filter(|pool| pool.contains(&address)).map(IpNet::V6),
    };
    if let Some(pool) = pool {
        return Some(format!(
            "it belongs to the address pool {pool}, whose addresses Forebay assigns itself"
        ));
    }
    if exposed.contains(&address) {
        return Some(
            "it is exposed too, and would be all load balancers': leave it out of --expose, where 0.0.0.0 and :: leave more exact \
             addresses alone"
                .to_owned(),
        );
    }
    (!has(address)).then(|| format!("this machine has no such address, but {}", own_addresses()))
}

/// The addresses of this machine that are worth naming.
fn own_addresses() -> String {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    let mut all: Vec<String> = all.iter().map(|one| one.ip().to_string()).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(LINES);
    all.join(", ")
}

/// Logs which nodes have new addresses.
fn tell(moves: &[Move]) {
    let text =
        |address: Option<IpAddr>| address.map_or_else(|| "none".to_owned(), |address| address.to_string());
    for one in moves.iter().take(LINES) {
        let (balancer, zone, from, to) = (&one.balancer, &one.zone, text(one.from), text(one.to));
        if one.is_left_over {
            tracing::warn!(%balancer, %zone, address = %to, "all addresses of --node-addresses for this zone are in use: this node got none of them");
        } else {
            tracing::info!(%balancer, %zone, %from, %to, "a node has a new address");
        }
    }
    if moves.len() > LINES {
        tracing::info!(more = moves.len() - LINES, "more nodes have new addresses");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposure::Exposure;
    use crate::place_args::PlaceArgs;
    use std::path::Path;

    fn args(pools: &[&str], given: &[&str]) -> UpArgs {
        let scratch = UpArgs::scratch(Path::new("/nowhere"), "127.64.0.0/10".parse().unwrap());
        UpArgs {
            places: PlaceArgs {
                address_pool: pools.iter().map(|pool| pool.parse().unwrap()).collect(),
                zones: None,
                node_addresses: given.iter().map(|one| one.parse().unwrap()).collect(),
            },
            ..scratch
        }
    }

    fn refused(args: &UpArgs, kept: Option<State>) -> String {
        let checked = args.places.check();
        let error = checked.and_then(|()| placed(args, kept)).unwrap_err();
        format!("{error:#}")
    }

    #[test]
    fn what_cannot_be_is_said() {
        let four = "127.64.0.0/10";
        for (pools, given, said) in [
            (vec![four, "127.128.0.0/10"], vec![], "given twice"),
            (vec!["127.64.0.0/25"], vec![], "at least a /24"),
            (vec!["fd00::/121"], vec![], "at least a /120"),
            (vec![four, "fd00::/112"], vec![], "at least a /106"),
            (
                vec![four, "2001:db8:99::/64"],
                vec![],
                "ip -6 route add local 2001:db8:99::/64 dev lo",
            ),
            (
                vec![four],
                vec!["local-1d=127.0.0.2"],
                "no such zone, but local-1a, local-1b, local-1c",
            ),
            (
                vec![four],
                vec!["local-1a=127.0.0.2", "local-1b=127.0.0.2"],
                "twice",
            ),
            (
                vec![four],
                vec!["local-1a=127.64.0.2"],
                "belongs to the address pool",
            ),
            (vec![four], vec!["local-1a=203.0.113.7"], "no such address, but"),
            (vec![four], vec!["local-1a=127.0.0.1"], "exposed too"),
        ] {
            let text = refused(&args(&pools, &given), None);
            assert!(text.contains(said), "{pools:?} {given:?}: {text}");
        }
        let mut everywhere = args(&[four], &["local-1d=127.0.0.1"]);
        everywhere.places.zones = Some(4);
        everywhere.expose = vec![Exposure::parse("0.0.0.0").unwrap()];
        let state = placed(&everywhere, None).unwrap();
        assert_eq!(state.zones("local-1").len(), 4);
        assert_eq!(state.settings().node_addresses["local-1d"].len(), 1);
    }

    #[test]
    fn what_the_data_directory_was_made_with_stays() {
        let mut made = args(&["127.128.0.0/10"], &[]);
        made.places.zones = Some(5);
        let kept = placed(&made, None).unwrap();
        let same = placed(&args(&[], &[]), Some(kept.clone())).unwrap();
        assert_eq!(same, kept);
        assert!(
            refused(&args(&["127.64.0.0/10"], &[]), Some(kept.clone()))
                .contains("was made with --address-pool 127.128.0.0/10")
        );
        let mut fewer = args(&[], &[]);
        fewer.places.zones = Some(2);
        assert_eq!(placed(&fewer, Some(kept)).unwrap().zones("local-1").len(), 2);
        let mut many = args(&["127.64.0.0/24"], &[]);
        many.places.zones = Some(9);
        assert!(refused(&many, None).contains("has room for 8 subnets"));
    }
}

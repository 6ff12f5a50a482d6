//! The addresses at which load balancers are exposed to other machines: given directly, or by an interface's name.

use anyhow::{Context as _, bail};
use std::net::IpAddr;

/// A value of `--expose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// This address; an unspecified one stands for all of its family.
    Address(IpAddr),
    /// All addresses that an interface has at start.
    Interface(String),
}

impl Exposure {
    /// Parses an address, with or without brackets, or an interface's name.
    pub(crate) fn parse(text: &str) -> Result<Exposure, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse() {
            return Ok(Exposure::Address(address));
        }
        // The kernel's rule for names: at most fifteen bytes, no slash and no white space.
        let is_name = (1..=15).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'[' | b']'));
        if is_name {
            Ok(Exposure::Interface(text.to_owned()))
        } else {
            Err(format!(
                "'{text}' is neither an IP address, such as 192.0.2.7, 0.0.0.0 or [::], nor the name of an interface, such as eth0"
            ))
        }
    }
}

/// All addresses of these exposures, each once.
pub(crate) fn addresses(exposures: &[Exposure]) -> anyhow::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut add = |address: IpAddr| {
        if !found.contains(&address) {
            found.push(address);
        }
    };
    for exposure in exposures {
        match exposure {
            Exposure::Address(address) => add(*address),
            Exposure::Interface(name) => {
                let all = if_addrs::get_if_addrs().context("cannot list the interfaces of this machine")?;
                let of_it = all.iter().filter(|interface| interface.name == *name);
                // A link-local address needs its interface, which no client's URL names.
                let usable: Vec<IpAddr> = of_it
                    .map(if_addrs::Interface::ip)
                    .filter(|address| !is_link_local(address))
                    .collect();
                if usable.is_empty() {
                    bail!("--expose {name}: {}", missing(name, &all));
                }
                usable.into_iter().for_each(&mut add);
            }
        }
    }
    Ok(found)
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn missing(name: &str, all: &[if_addrs::Interface]) -> String {
    let mut names: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&name) {
        "the interface has no address that other machines can use".to_owned()
    } else {
        format!(
            "this machine has no interface of that name with an address, but {}",
            names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_interfaces_are_told_apart() {
        let address = |text: &str| Ok(Exposure::Address(text.parse().unwrap()));
        assert_eq!(Exposure::parse("192.0.2.7"), address("192.0.2.7"));
        assert_eq!(Exposure::parse("[::]"), address("::"));
        assert_eq!(Exposure::parse("::1"), address("::1"));
        assert_eq!(
            Exposure::parse("eth0"),
            Ok(Exposure::Interface("eth0".to_owned()))
        );
        for wrong in ["", "a b", "[eth0]", "192.0.2.7:80", "far-too-long-a-name"] {
            assert!(Exposure::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn interfaces_become_addresses_once_each() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let both = [Exposure::Address(local), Exposure::Interface("lo".to_owned())];
        let found = addresses(&both).unwrap();
        assert_eq!(found.iter().filter(|address| **address == local).count(), 1);
        let error = addresses(&[Exposure::Interface("no-such0".to_owned())]).unwrap_err();
        assert!(
            error.to_string().contains("no-such0") && error.to_string().contains("lo"),
            "{error}"
        );
    }
}

//! The users that instances and functions run as.

use core::str::FromStr;
use nix::unistd::User;

/// User and group id of nobody.
const NOBODY: u32 = 65534;

/// The user that instances or functions run as.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RunAs {
    /// User and group 65534.
    #[default]
    Nobody,
    /// This user and its group.
    User(String),
    /// Forebay's own user. Its files, including the keys of the API, are then open to them.
    Own,
}

/// What runs as another user, and the flag that sets the user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose {
    /// A plural.
    pub(crate) what: &'static str,
    /// With its dashes.
    pub(crate) flag: &'static str,
}

impl Whose {
    /// Of instances.
    pub(crate) const INSTANCES: Whose = Whose {
        what: "instances",
        flag: "--instance-user",
    };
    /// Of functions.
    pub(crate) const FUNCTIONS: Whose = Whose {
        what: "functions",
        flag: "--function-user",
    };
}

impl FromStr for RunAs {
    type Err = String;

    fn from_str(text: &str) -> Result<RunAs, String> {
        match text {
            "" => Err("a user's name is missing".to_owned()),
            "nobody" => Ok(RunAs::Nobody),
            "own" => Ok(RunAs::Own),
            name => Ok(RunAs::User(name.to_owned())),
        }
    }
}

impl RunAs {
    /// The user and group to change to; none to keep the own ones. An error names the flag that helps.
    pub(crate) fn resolve(&self, whose: Whose) -> Result<Option<(u32, u32)>, String> {
        let Whose { what, flag } = whose;
        let ids = match self {
            RunAs::Own => return Ok(None),
            RunAs::Nobody => (NOBODY, NOBODY),
            RunAs::User(name) => match User::from_name(name) {
                Ok(Some(user)) => (user.uid.as_raw(), user.gid.as_raw()),
                Ok(None) => return Err(format!("there is no user '{name}': give another {flag}")),
                Err(error) => return Err(format!("cannot look up the user '{name}': {error}")),
            },
        };
        let own = rustix::process::geteuid();
        if own.is_root() || own.as_raw() == ids.0 {
            return Ok((own.as_raw() != ids.0).then_some(ids));
        }
        Err(format!(
            "only root can start {what} as another user: run Forebay as root, or give {flag} own to have \
             {what} run as Forebay's own user, who can read its keys"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(
            "own".parse::<RunAs>().unwrap().resolve(Whose::INSTANCES),
            Ok(None)
        );
        if rustix::process::geteuid().is_root() {
            assert_eq!(
                RunAs::default().resolve(Whose::INSTANCES),
                Ok(Some((NOBODY, NOBODY)))
            );
        }
        for whose in [Whose::INSTANCES, Whose::FUNCTIONS] {
            let unknown = RunAs::User("no-such-user".to_owned()).resolve(whose).unwrap_err();
            assert!(unknown.contains(whose.flag), "{unknown}");
        }
    }
}

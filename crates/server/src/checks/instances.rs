//! Checks what instances need, if there are to be any.

use super::findings::Report;
use crate::flags::{LauncherKind, UpArgs};
use crate::service_manager;
use forebay_control::State;
use forebay_launch::{Images, NetworkMode, RunAs, ShapeFile};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(super) fn look(args: &UpArgs, state: &State, report: &mut Report) {
    if let Some(path) = &args.shapes {
        match ShapeFile::open(path) {
            Ok(shapes) => report.ok(
                "shapes",
                format!("{} has {}", path.display(), shapes.shapes().len()),
            ),
            Err(error) => report.error("shapes", format!("--shapes: {error}")),
        }
    }
    images(&args.data.data_dir, report);
    let wanted = state.fleet().len();
    let groups: usize = state
        .regions()
        .map(|(_, region)| region.scaling_groups.len())
        .sum();
    if wanted == 0 && groups == 0 {
        return report.ok("instances", "none are wanted");
    }
    let said = format!("{wanted} instances wanted by {groups} Auto Scaling groups");
    match &args.launcher {
        LauncherKind::Process => processes(args, &said, report),
        LauncherKind::Command(path) if !is_program(path) => report.warning(
            "instances",
            format!(
                "{said}; --launcher command={} is not a program that this user may run",
                path.display()
            ),
        ),
        LauncherKind::Command(path) => {
            report.ok("instances", format!("{said}; {} starts them", path.display()))
        }
        LauncherKind::Simulated(_) => report.ok("instances", format!("{said}; they are simulated")),
    }
}

fn processes(args: &UpArgs, said: &str, report: &mut Report) {
    let is_root = rustix::process::geteuid().is_root();
    let mut wrong = false;
    let mut warn = |report: &mut Report, text: String| {
        wrong = true;
        report.warning("instances", text);
    };
    if !is_root && args.instance_user != RunAs::Own {
        warn(
            report,
            format!(
                "{said}; only root can start them as another user: run as root, or give --instance-user own (docs/instances.md)"
            ),
        );
    }
    let (ip, run) = (is_installed("ip"), is_installed("systemd-run"));
    match args.instance_network {
        NetworkMode::Always if !ip || !is_root => report.error(
            "instances",
            "--instance-network always needs root and iproute2's program ip: install it, or give auto or never",
        ),
        NetworkMode::Auto if !ip || !is_root => warn(
            report,
            format!("{said}; they share the machine's network, because a namespace needs root and iproute2's program ip"),
        ),
        _ => {}
    }
    let scopes = match args.instance_scope {
        NetworkMode::Auto => service_manager::is_system_service(),
        NetworkMode::Always => true,
        NetworkMode::Never => false,
    };
    if scopes && !run {
        warn(
            report,
            format!(
                "{said}; they cannot be started: --instance-scope needs systemd-run, which is not installed"
            ),
        );
    }
    if !wrong {
        report.ok("instances", said.to_owned());
    }
}

/// Checks that each directory of an image can be read as one.
fn images(data_dir: &Path, report: &mut Report) {
    let entries = fs::read_dir(data_dir.join("images"))
        .into_iter()
        .flatten()
        .flatten();
    let ids: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|id| !id.starts_with('.'))
        .collect();
    let images = Images::new(data_dir);
    let (good, bad): (Vec<&String>, Vec<&String>) = ids.iter().partition(|id| images.find(id).is_some());
    for id in bad {
        report.warning(
            "images",
            format!("{id} cannot be read: add it again, or remove images/{id} from the data directory"),
        );
    }
    if !good.is_empty() {
        report.ok("images", format!("{} can be read", good.len()));
    }
}

fn is_program(path: &Path) -> bool {
    let found = path.metadata();
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain([
            "/usr/sbin".into(),
            "/sbin".into(),
            "/usr/bin".into(),
            "/bin".into(),
        ])
        .any(|path| is_program(&path.join(program)))
}

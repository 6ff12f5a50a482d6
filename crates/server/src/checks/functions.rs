//! Checks what functions need, if there are any.

use super::findings::Report;
use crate::flags::UpArgs;
use forebay_control::State;
use forebay_functions::{FunctionSpec, Runtime};
use forebay_launch::RunAs;
use std::process::{Command, Stdio};

pub(super) fn look(args: &UpArgs, state: &State, report: &mut Report) {
    let functions = state.functions();
    if functions.is_empty() {
        return report.ok("functions", "there are none");
    }
    let mut problems = Vec::new();
    if !rustix::process::geteuid().is_root() && args.functions.function_user != RunAs::Own {
        problems.push(
            "only root can start them as another user: run as root, or give --function-user own (docs/functions.md)"
                .to_owned(),
        );
    }
    let code = args.data.data_dir.join("functions/code");
    for function in &functions {
        if !code.join(format!("{}.zip", function.code_sha256)).is_file() {
            problems.push(format!(
                "the code of {} is not in {}: upload it again with `forebay function add`",
                function.name,
                code.display()
            ));
        }
    }
    let has = |runtime: &Runtime| {
        functions
            .iter()
            .any(|function: &FunctionSpec| function.runtime == *runtime)
    };
    let python = &args.functions.function_python;
    if has(&Runtime::Python) && !succeeds(python, &["-c", "import awslambdaric"]) {
        problems.push(format!(
            "{python} does not find awslambdaric, which Python's need: `{python} -m pip install awslambdaric`, or name another with \
             --function-python"
        ));
    }
    let node = &args.functions.function_node;
    if has(&Runtime::Node) && !succeeds(node, &["--version"]) {
        problems.push(format!(
            "{node}, which functions of the Node runtimes need, does not run: install it, or set --function-node"
        ));
    }
    if problems.is_empty() {
        return report.ok("functions", format!("all {} can run", functions.len()));
    }
    for problem in problems {
        report.warning("functions", format!("there are {}; {problem}", functions.len()));
    }
}

/// Whether a program ends with success. Its output is not of interest.
fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

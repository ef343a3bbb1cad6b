//! The binary `rynxs`, also installed as `kubectl-rynxs`.

fn main() -> std::process::ExitCode {
    rynxs::cli::main()
}

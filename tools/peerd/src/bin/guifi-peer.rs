//! The transport's command; all of it is in the library.

fn main() -> std::process::ExitCode {
    guifi_peerd::command_main()
}

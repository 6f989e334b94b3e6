//! `man` and `completions`: the flags as other programs want them, which are man(1) and shells.

use super::{Exit, Failure, print};
use clap::{Args, Command};
use clap_complete::Shell;
use std::fs;
use std::path::PathBuf;

/// Flags of `man`.
#[derive(Args, Debug)]
pub(super) struct ManFlags {
    /// The folder; it is made. What is there of the same names is written over.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Flags of `completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionFlags {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl ManFlags {
    /// Writes a page of each command of the program.
    pub(super) fn run(&self, program: Command) -> Result<Exit, Failure> {
        let folder = self.folder.display();
        let refused = |error: std::io::Error| {
            let text = format!("cannot write {folder}: {error}; try: another folder");
            Failure::Run(text)
        };
        fs::create_dir_all(&self.folder).map_err(refused)?;
        clap_mangen::generate_to(program, &self.folder).map_err(refused)?;
        print::line(format_args!(
            "wrote {folder}: man {folder}/ringstorm-serve.1"
        ))?;
        Ok(Exit::Pass)
    }
}

impl CompletionFlags {
    /// Prints a script for the shell.
    pub(super) fn run(&self, mut program: Command) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "ringstorm", &mut script);
        print::line(String::from_utf8_lossy(&script).trim_end())?;
        Ok(Exit::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Flags;
    use crate::cli::scratch::ScratchFolder;
    use clap::CommandFactory as _;

    #[test]
    fn each_command_has_a_page_with_its_flags_and_each_shell_a_script() {
        let scratch = ScratchFolder::new("man");
        let folder = scratch.path().join("man1");
        let flags = ManFlags {
            folder: folder.clone(),
        };
        assert_eq!(flags.run(Flags::command()).ok(), Some(Exit::Pass));
        let page = fs::read_to_string(folder.join("ringstorm-serve.1")).unwrap();
        assert!(
            page.starts_with(".ie") && page.contains("\\-\\-admin\\-token"),
            "{page}"
        );
        for command in Flags::command().get_subcommands() {
            let name = format!("ringstorm-{}.1", command.get_name());
            assert!(folder.join(&name).exists(), "{name}");
        }
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Flags::command(), "ringstorm", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("admin-token"), "{shell}");
        }
    }
}

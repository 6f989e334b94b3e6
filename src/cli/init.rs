//! `init`: a folder with a configuration, a page whose visitors count each other, and how to
//! go on. It runs at once.

use super::{Exit, Failure, print};
use clap::Args;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Flags of `init`.
#[derive(Args, Debug)]
pub(super) struct InitFlags {
    /// The folder; it is made. What is there already stays as it is.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
}

/// Files that are the same for everyone.
const FILES: [(&str, &str); 3] = [
    ("ringstorm.toml", include_str!("init/ringstorm.toml")),
    ("index.html", include_str!("init/index.html")),
    ("README.md", include_str!("init/README.md")),
];
/// The file with the key of the API.
const KEY: &str = "api.key";

/// Writes the folder, and says how to go on.
pub(super) fn run(flags: &InitFlags) -> Result<Exit, Failure> {
    write(&flags.folder)?;
    let folder = flags.folder.display();
    print::line(format_args!(
        "wrote {folder}: ringstorm.toml, index.html, README.md, api.key\n\
         now:  ringstorm serve --config {folder}/ringstorm.toml\n\
         then: open {folder}/index.html in two tabs"
    ))?;
    Ok(Exit::Pass)
}

/// Writes the folder.
pub(super) fn write(folder: &Path) -> Result<(), Failure> {
    let names = FILES.iter().map(|(name, _)| *name).chain([KEY]);
    if let Some(name) = names.into_iter().find(|name| folder.join(name).exists()) {
        let path = folder.join(name);
        let shown = path.display();
        let text = format!("{shown} is there already, and stays; try: another folder");
        return Err(Failure::Usage(text));
    }
    let refused = |error: std::io::Error| {
        let folder = folder.display();
        Failure::Run(format!(
            "cannot write {folder}: {error}; try: another folder"
        ))
    };
    fs::create_dir_all(folder).map_err(refused)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text).map_err(refused)?;
    }
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Failure::Run("the system gives no random bytes".to_owned()))?;
    let key = format!("{:032x}\n", u128::from_be_bytes(bytes));
    // Nobody else reads it.
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let mut file = file.open(folder.join(KEY)).map_err(refused)?;
    file.write_all(key.as_bytes()).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::rules::RuleFile;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_is_written_once_with_rules_that_are_rules_and_a_key_of_its_own() {
        let base = std::env::temp_dir().join(format!("ringstorm-init-{}", std::process::id()));
        let (one, two) = (base.join("one"), base.join("two/deeper"));
        write(&one).unwrap();
        write(&two).unwrap();
        let rules = fs::read_to_string(one.join("ringstorm.toml")).unwrap();
        let hidden = ["[[", "on", "action", "rate", "channel"];
        let opened = hidden.iter().fold(rules.clone(), |text, begin| {
            text.replace(&format!("\n# {begin}"), &format!("\n{begin}"))
        });
        for (text, count) in [(&rules, 3), (&opened, 5)] {
            assert_eq!(
                RuleFile::parse_among(text).map(|file| file.rules.len()),
                Ok(count)
            );
        }
        let key = |folder: &Path| fs::read_to_string(folder.join(KEY)).unwrap();
        assert!(key(&one).len() == 33 && key(&one) != key(&two));
        let mode = fs::metadata(one.join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        fs::write(one.join("index.html"), "mine").unwrap();
        let again = write(&one).unwrap_err();
        assert_eq!(again.exit(), Exit::Usage, "{again}");
        assert_eq!(fs::read_to_string(one.join("index.html")).unwrap(), "mine");
        fs::remove_dir_all(&base).unwrap();
    }
}

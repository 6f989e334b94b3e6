//! A host made of texts: in memory for the rules, in a folder for the program and the script.

use ringstorm::tune::HostTexts;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PERFECT: &str = include_str!("perfect.txt");

/// Files by their path from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host(pub(crate) BTreeMap<String, String>);

impl Host {
    /// A host with nothing to find, for 1,000,000 connections and 16 source addresses.
    pub(crate) fn perfect() -> Self {
        let sections = PERFECT.split("== ").skip(1);
        let files = sections.map(|section| {
            let (path, text) = section.split_once('\n').expect("a path, then the text");
            (path.to_owned(), text.to_owned())
        });
        Self(files.collect())
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), text.to_owned());
        self
    }

    /// A host as a kernel leaves it.
    pub(crate) fn fresh() -> Self {
        Self::perfect()
            .with("proc/sys/net/core/somaxconn", "4096\n")
            .with("proc/sys/net/core/netdev_max_backlog", "1000\n")
            .with("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
            .with("proc/sys/net/ipv4/tcp_max_syn_backlog", "2048\n")
            .with("proc/sys/net/ipv4/tcp_tw_reuse", "2\n")
            .with("proc/sys/net/ipv4/tcp_max_tw_buckets", "262144\n")
            .with("proc/sys/net/ipv4/tcp_slow_start_after_idle", "1\n")
            .with("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
            .with("proc/sys/net/ipv4/tcp_mem", "383000\t511000\t766000\n")
    }

    /// The host as a folder; it goes when the value does.
    pub(crate) fn folder(&self, name: &str) -> Folder {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = root.join(format!("tune-{name}-{}", std::process::id()));
        for (path, text) in &self.0 {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
            fs::write(path, text).expect("a file is written");
        }
        Folder(root)
    }
}

impl HostTexts for Host {
    fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let below = format!("{folder}/");
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(&below));
        let mut names: Vec<String> = inside
            .filter_map(|path| path.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        names
    }
}

/// A host in a folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// A setting as it is now, its fields one space apart.
    pub(crate) fn setting(&self, name: &str) -> String {
        let path = self.0.join("proc/sys").join(name.replace('.', "/"));
        let text = fs::read_to_string(path).expect("a setting");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Every setting, by its path.
    pub(crate) fn settings(&self, host: &Host) -> BTreeMap<String, String> {
        let paths = host.0.keys().filter_map(|it| it.strip_prefix("proc/sys/"));
        paths
            .map(|path| (path.to_owned(), self.setting(&path.replace('/', "."))))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

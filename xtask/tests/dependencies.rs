//! The invariants of `ARCHITECTURE.md` about who depends on whom.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Libraries that a user of metrics, files or scenarios compiles.
const WITHOUT_BURN: [&str; 7] = ["tn-sentence", "tn-spatial", "tn-io", "tn-eval", "tn-perturb", "data-fixtures", "tissuenarrator"];

/// What each library may depend on among the crates of the workspace.
const DIRECTIONS: [(&str, &[&str]); 6] = [
    ("tn-sentence", &[]),
    ("tn-spatial", &["tn-sentence"]),
    ("tn-io", &["tn-sentence"]),
    ("tn-model", &["tn-sentence"]),
    ("tn-eval", &["tn-sentence", "tn-spatial"]),
    ("tn-perturb", &["tn-sentence", "tn-spatial"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the names of all packages that a package is built with, itself among them.
fn dependencies(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["tree", "--edges", "normal,build", "--prefix", "none", "--package"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn is_tensor_library(name: &str) -> bool {
    ["burn", "cubecl", "cudarc"].iter().any(|prefix| name == *prefix || name.starts_with(&format!("{prefix}-")))
}

#[test]
fn no_library_but_the_model_compiles_a_tensor_library() {
    for package in WITHOUT_BURN {
        let found: Vec<String> = dependencies(&[package]).into_iter().filter(|name| is_tensor_library(name)).collect();
        assert!(found.is_empty(), "{package} depends on {found:?}");
    }
    // The check sees what it looks for.
    assert!(dependencies(&["tn-model"]).iter().any(|name| is_tensor_library(name)));
}

#[test]
fn the_facade_compiles_a_tensor_library_for_the_model_only() {
    let facade = |features| dependencies(&["tissuenarrator", "--no-default-features", "--features", features]);
    assert!(!facade("sentence,spatial,eval,io,perturb,serde").iter().any(|name| is_tensor_library(name)));
    assert!(facade("model").iter().any(|name| is_tensor_library(name)));
}

#[test]
fn only_the_model_names_a_tensor_library() {
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut keys = manifest.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        assert_eq!(keys.any(is_tensor_library), name == "tn-model", "{name}");
    }
}

#[test]
fn libraries_depend_on_each_other_in_one_direction() {
    for (package, allowed) in DIRECTIONS {
        let found = dependencies(&[package]).into_iter().filter(|name| name != package && name.starts_with("tn-"));
        for name in found {
            assert!(allowed.contains(&name.as_str()), "{package} depends on {name}");
        }
    }
}

#[test]
fn no_library_is_built_with_the_fixtures() {
    for package in WITHOUT_BURN.into_iter().filter(|package| *package != "data-fixtures").chain(["tn-model"]) {
        assert!(!dependencies(&[package]).contains("data-fixtures"), "{package}");
    }
}

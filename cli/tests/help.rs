//! The help, the completions and the manual page.

use expect_test::expect_file;

use crate::world::World;

#[test]
fn the_help_is_what_people_read() {
    let world = World::new();
    expect_file!["help/thistle.txt"].assert_eq(&world.thistle(&["--help"]).ok());
    for command in [
        "write", "query", "import", "audit", "backup", "restore", "compact", "doctor", "listen",
        "sync",
    ] {
        let out = world.thistle(&[command, "--help"]).ok();
        expect_file![format!("help/{command}.txt")].assert_eq(&out);
    }
    let out = world.thistle(&["bundle", "create", "--help"]).ok();
    expect_file!["help/bundle-create.txt"].assert_eq(&out);
}

#[test]
fn a_wrong_command_line_is_told_with_the_right_one() {
    let world = World::new();
    let err = world.thistle(&["wirte"]).fails(2);
    assert!(err.contains("'write'"), "{err}");
    let err = world.thistle(&["init"]).fails(2);
    assert!(err.contains("--name <NAME>"), "{err}");
    let err = world.thistle(&[]).fails(2);
    assert!(err.contains("Usage: thistle"), "{err}");
}

#[test]
fn the_version_is_printed() {
    let world = World::new();
    let version = format!("thistle {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(world.thistle(&["--version"]).ok(), version);
}

#[test]
fn completions_and_manual_know_every_command() {
    let world = World::new();
    let man = world.thistle(&["man"]).ok();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.thistle(&["completions", shell]).ok();
        assert!(script.contains("retract") && script.contains("max-bytes"), "{shell}");
    }
    for words in [
        "init",
        "write",
        "listen",
        "sync",
        "bundle create",
        "bundle show",
        "debug decode",
        "quota",
        "man",
    ] {
        assert!(man.contains(&format!(".SS \"thistle {words}\"")), "{words}");
    }
    assert!(man.contains(".SH \"EXIT STATUS\"") && man.contains("THISTLE_HOME"));
}

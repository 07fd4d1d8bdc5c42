//! What keeps a home from being used: clear words, the documented exit code, nothing changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use expect_test::expect;
use redb::{Database, TableDefinition};

use crate::world::{World, parse};

#[test]
fn without_a_home_the_way_to_one_is_told() {
    let world = World::new();
    let said = "error: there is no home in `[DIR]/ana`\n\
                hint: make one: `thistle init --name NAME`\n\
                hint: or say where it is with `--home DIR` or `THISTLE_HOME`\n";
    for words in [&["query"][..], &["write", "x"], &["feeds"], &["doctor"], &["import", "x"]] {
        assert_eq!(world.at("ana", words).fails(3), said, "{words:?}");
    }
    assert!(!world.path("ana").exists());
}

#[test]
fn the_home_is_where_it_is_said_to_be() {
    let world = World::new();
    let at = |words: &[&str]| world.thistle(words);
    at(&["init", "--name", "A", "--home", "given"]).env("THISTLE_HOME", world.path("told")).ok();
    assert!(world.path("given").exists() && !world.path("told").exists());
    at(&["init", "--name", "B"]).env("THISTLE_HOME", "told").ok();
    assert!(world.path("told/store.redb").exists());
    at(&["init", "--name", "C"]).env("XDG_DATA_HOME", world.path("data")).ok();
    assert!(world.path("data/thistle/store.redb").exists());
    at(&["init", "--name", "D"]).ok();
    assert!(world.path(".local/share/thistle/store.redb").exists());
}

#[test]
fn a_foreign_an_empty_and_a_cut_off_store_are_told_apart_and_left_alone() {
    let world = World::new();
    let whole = fs::read(world.home("whole").path().join("store.redb")).unwrap();
    let foreign = b"this is somebody's diary, not a store".repeat(100);
    for (bytes, says) in [
        (&b""[..], "the store is an empty file"),
        (&foreign, "the file is not a store of this program"),
        (&whole[..2000], "the file is not a store of this program"),
    ] {
        let store = world.folder("ana").join("store.redb");
        fs::write(&store, bytes).unwrap();
        let err = world.at("ana", &["query"]).fails(3);
        assert!(err.contains(says) && err.contains("hint: "), "{says}: {err}");
        assert_eq!(fs::read(&store).unwrap(), bytes, "{says}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let world = World::new();
    let home = world.home("ana");
    let meta: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let db = Database::open(home.path().join("store.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(meta).unwrap().insert("version", 7_u64.to_be_bytes().as_slice()).unwrap();
    txn.commit().unwrap();
    drop(db);
    expect![[r#"
        error: cannot use the store in `[DIR]/ana`
          because: the store has version 7; this program reads up to version 5
        hint: use the newer `thistle` that wrote it; it was not changed
    "#]]
    .assert_eq(&home.call(&["write", "x"]).fails(3));
}

#[test]
fn a_folder_that_takes_no_changes_is_told() {
    let world = World::new();
    let folder = world.folder("locked");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.join("probe"), "").is_ok() {
        // Root may write anywhere; `tests/` mounts a real read-only disk.
        return;
    }
    let err = world.at("locked/ana", &["init", "--name", "Ana"]).fails(3);
    assert!(err.contains("must be yours to read and write"), "{err}");
    let home = world.home("ana");
    fs::set_permissions(home.path().join("store.redb"), fs::Permissions::from_mode(0o400)).unwrap();
    let err = home.call(&["write", "x"]).fails(3);
    assert!(err.contains("Permission denied"), "{err}");
}

#[test]
fn a_home_that_is_a_file_is_told() {
    let world = World::new();
    world.file("ana", "x");
    let err = world.at("ana", &["query"]).fails(3);
    assert!(err.contains("hint: a home is a folder"), "{err}");
    let err = world.at("ana", &["init", "--name", "Ana"]).fails(3);
    assert!(err.contains("error: cannot"), "{err}");
}

#[test]
fn output_that_finds_no_room_is_an_error_and_no_crash() {
    let world = World::new();
    let home = world.home("ana");
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let err = home.call(&["feeds"]).out(full).fails(1);
    assert!(err.starts_with("error: cannot write the output\n"), "{err}");
}

#[test]
fn errors_are_json_where_data_is() {
    let world = World::new();
    let err = world.at("ana", &["query", "--json"]).fails(3);
    let said = &parse(&err)[0];
    assert_eq!(
        (&said["code"], &said["hints"][0]),
        (&3.into(), &"make one: `thistle init --name NAME`".into())
    );
}

#[test]
fn a_test_clock_that_is_no_number_is_refused() {
    let world = World::new();
    let err = world.at("ana", &["query"]).env("THISTLE_NOW", "noon").fails(2);
    assert_eq!(err, "error: `THISTLE_NOW` is not a whole number\n");
}

#[test]
fn a_damaged_store_does_not_pass_the_doctor() {
    let world = World::new();
    let home = world.home("ana");
    home.ok(&["write", "a text that rots on the disk"]);
    assert!(home.ok(&["doctor"]).ends_with("All is sound.\n"));
    let records: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("records");
    let db = Database::open(home.path().join("store.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(records).unwrap();
        let (key, mut bytes) = {
            let (key, bytes) = redb::ReadableTable::last(&table).unwrap().unwrap();
            (key.value(), bytes.value().to_vec())
        };
        let at = bytes.windows(4).position(|part| part == b"rots").unwrap();
        bytes[at] = b'R';
        table.insert(key, bytes.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(db);
    let run = home.call(&["doctor", "--json"]).run();
    assert_eq!(run.code, 3);
    let rows = parse(&run.out);
    assert_eq!(rows[0]["finding"], "a signature does not fit");
    assert_eq!((&rows[0]["feed"], &rows[0]["at"]), (&home.feed.clone().into(), &3.into()));
    assert_eq!(rows.last().unwrap()["sound"], false);
    assert_eq!(parse(&run.err)[0]["code"], 3);
}

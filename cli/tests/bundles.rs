//! `bundle create`, `read` and `show`.

use expect_test::expect;

use crate::world::{World, parse, without_ids};

#[test]
fn a_bundle_is_sealed_unless_plain_is_said_and_for_nobody_it_is_not_made() {
    let world = World::new();
    let ana = world.home("ana");
    expect![[r#"
        error: you have no contacts, so nobody could open a sealed bundle
          because: a plain bundle shows everything in it to whoever finds it
        hint: add people first: `thistle contact add CARD`
        hint: or say `--plain`, if that is what you want
    "#]]
    .assert_eq(&ana.call(&["bundle", "create", "x.thistle"]).fails(2));
    assert!(!world.path("x.thistle").exists());
}

#[test]
fn a_bundle_goes_into_a_file_or_under_a_random_name_into_a_folder() {
    let world = World::new();
    let ana = world.home("ana");
    world.folder("stick");
    for path in ["any name", "stick", "stick/"] {
        let out = ana.ok(&["bundle", "create", "--plain", path]);
        assert!(out.contains(": 1 entry of 1 feed, "), "{out}");
        assert!(out.ends_with("It is not sealed: whoever finds it can read it.\n"), "{out}");
    }
    assert!(world.path("any name").is_file());
    let names = world.path("stick").read_dir().unwrap();
    let names: Vec<_> =
        names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() == 24 && name.ends_with(".thistle")), "{names:?}");
    let err = ana.call(&["bundle", "create", "--plain", "gone/"]).fails(1);
    assert!(err.ends_with("hint: is the stick plugged in and mounted?\n"), "{err}");
    let err = ana.call(&["bundle", "create", "--plain", "gone/x.thistle"]).fails(1);
    assert!(err.contains("No such file"), "{err}");
}

#[test]
fn what_was_carried_is_there_once_however_often_it_comes() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    for text in ["one", "two", "three"] {
        ana.ok(&["write", text]);
    }
    ana.bundle(&world.folder("stick"));
    let said = bo.json(&["bundle", "read", "stick"]);
    assert_eq!(
        (&said["entries_new"], &said["refused"], &said["fault"]),
        (&5.into(), &0.into(), &().into())
    );
    assert_eq!(said["maker"], *ana.feed);
    let before = bo.ok(&["export", &ana.feed]);
    let said = bo.json(&["bundle", "read", "stick"]);
    assert_eq!(said["entries_new"], 0);
    assert_eq!(bo.ok(&["export", &ana.feed]), before);
    assert_eq!(before, ana.ok(&["export", &ana.feed]));
}

#[test]
fn a_bundle_for_a_peer_holds_what_it_lacks() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    ana.ok(&["follow", &bo.feed]);
    bo.ok(&["follow", &ana.feed]);
    ana.ok(&["write", "one"]);
    ana.bundle(&world.folder("there"));
    bo.ok(&["bundle", "read", "there"]);
    bo.ok(&["write", "back"]);
    bo.ok(&["bundle", "create", "--plain", &world.folder("back").display().to_string()]);
    ana.ok(&["bundle", "read", "back"]);
    ana.ok(&["write", "two"]);
    let said = ana.json(&["bundle", "create", "--plain", "delta.thistle", "--for", "bo"]);
    assert_eq!(said["entries"], 1, "only what is new since bo's bundle");
    assert_eq!(bo.json(&["bundle", "read", "delta.thistle"])["entries_new"], 1);
    assert_eq!(bo.ok(&["export", &ana.feed]), ana.ok(&["export", &ana.feed]));
    let said = ana.json(&["bundle", "create", "--plain", "small.thistle", "--max-bytes", "700"]);
    assert!(
        said["bytes"].as_u64().unwrap() <= 700 && said["left_out"].as_u64().unwrap() > 0,
        "{said}"
    );
    let err = ana.call(&["bundle", "create", "--plain", "x", "--max-bytes", "lots"]).fails(2);
    assert!(err.starts_with("error: `lots` is not a size\n"), "{err}");
}

#[test]
fn a_torn_bundle_gives_what_is_whole_and_says_so() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let text = "x".repeat(800);
    for _ in 0..60 {
        ana.ok(&["write", &text]);
    }
    let bytes = std::fs::read(ana.bundle(&world.folder("stick"))).unwrap();
    world.file("torn", &bytes[..bytes.len() * 2 / 3]);
    let run = bo.call(&["bundle", "read", "torn", "--json"]).run();
    assert_eq!(run.code, 4);
    let said = &parse(&run.out)[0];
    assert_eq!(said["entries_new"], 32, "the first two windows are whole");
    let fault = said["fault"].as_str().unwrap();
    assert!(fault.starts_with("torn at byte "), "{fault}");
    assert_eq!(run.err, format!("refused: [DIR]/torn: {fault}\n"));
    bo.ok(&["doctor"]);
    bo.ok(&["bundle", "read", "stick"]);
    assert_eq!(bo.ok(&["export", &ana.feed]), ana.ok(&["export", &ana.feed]));
}

#[test]
fn a_changed_byte_costs_its_piece_and_is_named() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    ana.ok(&["write", "a text that somebody changes on the way"]);
    let file = ana.bundle(&world.folder("stick"));
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(8).position(|part| part == b"somebody").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let run = bo.call(&["bundle", "read", "stick"]).run();
    assert_eq!(run.code, 4);
    assert!(
        run.err.contains(" at byte ") && run.err.contains("the signature does not fit"),
        "{}",
        run.err
    );
    assert!(run.out.contains(": 1 new entry, 1 piece refused\n"), "{}", run.out);
    let run = bo.call(&["bundle", "show", "stick"]).run();
    assert_eq!(run.code, 4);
    assert!(run.err.contains("the signature does not fit"), "{}", run.err);
    bo.ok(&["doctor"]);
}

#[test]
fn what_is_no_bundle_is_told_apart() {
    let world = World::new();
    let ana = world.home("ana");
    world.file("empty", "");
    world.file("photo", b"\xff\xd8\xff\xe0 not ours");
    for (file, says) in [("empty", "the file is empty"), ("photo", "not a bundle")] {
        let err = ana.call(&["bundle", "read", file]).fails(1);
        assert_eq!(err, format!("refused: [DIR]/{file}: {says}\n"));
    }
    let err = ana.call(&["bundle", "read", "gone"]).fails(1);
    assert!(err.contains("hint: is the stick plugged in and mounted?"), "{err}");
    world.folder("bare");
    assert_eq!(ana.ok(&["bundle", "read", "bare"]), "There are no bundles in bare\n");
    // Beside a good one, a bad one is refused and the good one read.
    let bo = world.home("bo");
    let stick = world.folder("stick");
    world.file("stick/photo.thistle", "photo");
    bo.bundle(&stick);
    let run = ana.call(&["bundle", "read", "stick"]).run();
    assert_eq!((run.code, run.err.lines().count()), (4, 1), "{}", run.err);
    assert_eq!(ana.feed_row(&bo.feed)["held"], 1);
}

#[test]
fn show_needs_no_home() {
    let world = World::new();
    let ana = world.home("ana");
    ana.ok(&["write", "hello"]);
    ana.ok(&["bundle", "create", "--plain", "a.thistle"]);
    let out = world.thistle(&["bundle", "show", "a.thistle"]).ok();
    expect![[r#"
        [DIR]/a.thistle
          made by [ana]
          holds   3 entries of 1 feed; its maker holds 1 feed and wants 0 things
          [ana]  3 entries, 1 to 3  ana
    "#]]
    .assert_eq(&without_ids(&out, &[(&ana.feed, "ana")]));
    let said = world.thistle(&["bundle", "show", "a.thistle", "--json"]).json();
    assert_eq!((&said["entries"], &said["signed"]), (&3.into(), &true.into()));
    assert_eq!(said["feeds"][0]["name"], "ana");
}

#[test]
fn a_quota_holds_and_what_it_left_out_is_said() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let text = "x".repeat(1000);
    for _ in 0..40 {
        ana.ok(&["write", &text]);
    }
    ana.bundle(&world.folder("stick"));
    bo.ok(&["quota", "stranger", "20K"]);
    let out = bo.ok(&["bundle", "read", "stick"]);
    assert!(out.contains("left out") && out.contains("quota"), "{out}");
    let rows = bo.lines(&["quota"]);
    let row = rows.iter().find(|row| row["class"] == "stranger").unwrap();
    assert_eq!(row["quota"], 20 * 1024);
    assert!(row["bytes"].as_u64().unwrap() <= 20 * 1024, "{row}");
    assert!(bo.json(&["status"])["left_out_entries"].as_u64().unwrap() > 0);
    bo.ok(&["doctor"]);
    let err = bo.call(&["quota", "own", "1M"]).fails(2);
    assert!(err.contains("possible values: followed, stranger"), "{err}");
}

//! `read`, `query` and `export`.

use expect_test::expect;

use crate::world::{NOW, World, texts, without_ids};

/// Two homes that hold each other's feeds, and channels of various sizes.
fn talk(world: &World) -> (crate::world::Home<'_>, crate::world::Home<'_>) {
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let at = |seconds: u64| (NOW + seconds).to_string();
    let stick = world.folder("stick");
    ana.call(&["write", "tea at four?", "--channel", "tea"]).env("THISTLE_NOW", at(0)).ok();
    ana.call(&["write", "the river is high", "--channel", "weather"])
        .env("THISTLE_NOW", at(60))
        .ok();
    ana.bundle(&stick);
    bo.call(&["bundle", "read", "stick"]).env("THISTLE_NOW", at(120)).ok();
    bo.call(&["write", "yes, TEA", "--channel", "tea"]).env("THISTLE_NOW", at(180)).ok();
    bo.call(&["write", "no channel"]).env("THISTLE_NOW", at(240)).ok();
    bo.bundle(&stick);
    ana.call(&["bundle", "read", "stick"]).env("THISTLE_NOW", at(300)).ok();
    (ana, bo)
}

#[test]
fn a_query_answers_with_every_field_and_how_each_entry_came() {
    let world = World::new();
    let (ana, bo) = talk(&world);
    let rows = bo.lines(&["query", "--channel", "tea"]);
    let row = &rows[0];
    assert_eq!(row["feed"], *ana.feed);
    assert_eq!(
        (&row["seq"], &row["name"], &row["type"]),
        (&3.into(), &"ana".into(), &"post".into())
    );
    assert_eq!((&row["author"], &row["time"]), (&().into(), &NOW.into()));
    assert_eq!((&row["channel"], &row["text"]), (&"tea".into(), &"tea at four?".into()));
    assert_eq!(row["received_at"], "2026-11-22T13:32:00+00:00");
    let via = row["via"].as_str().unwrap();
    assert!(via.starts_with("bundle ") && via.ends_with(".thistle"), "{via}");
    assert_eq!((&rows[1]["via"], &rows[1]["lamport"]), (&"own".into(), &2.into()));
}

#[test]
fn a_query_selects_by_each_of_its_flags() {
    let world = World::new();
    let (ana, bo) = talk(&world);
    let select = |words: &[&str]| {
        let rows = ana.lines(&[&["query", "--type", "post", "--type", "reply"], words].concat());
        texts(&rows).join(" | ")
    };
    let (tea, river, yes, none) = ("tea at four?", "the river is high", "yes, TEA", "no channel");
    assert_eq!(select(&["--channel", "tea"]), format!("{tea} | {yes}"));
    assert_eq!(select(&["--channel", "#tea"]), format!("{tea} | {yes}"));
    assert_eq!(select(&["--from", &bo.feed, "--order", "time"]), format!("{yes} | {none}"));
    assert_eq!(select(&["--from", "bo", "--order", "time"]), format!("{yes} | {none}"));
    assert_eq!(select(&["--from", &bo.account, "--text", "tea"]), yes);
    assert_eq!(select(&["--from", &bo.feed[5..13], "--text", "tea"]), yes);
    assert_eq!(select(&["--text", "RIVER"]), river);
    assert_eq!(select(&["--order", "time"]), [tea, river, yes, none].join(" | "));
    assert_eq!(select(&["--order", "time", "--limit", "2"]), [yes, none].join(" | "));
    assert_eq!(
        select(&["--order", "time", "--since", &format!("@{}", NOW + 180)]),
        [yes, none].join(" | ")
    );
    assert_eq!(select(&["--order", "time", "--until", &format!("@{}", NOW + 60)]), tea);
    assert_eq!(
        select(&["--order", "time", "--since", "2026-11-22"]),
        [tea, river, yes, none].join(" | ")
    );
    assert_eq!(select(&["--since", "2026-11-23"]), "");
    assert_eq!(select(&["--author", "nobody"]), "");
    let rows = ana.lines(&["query", "--text", "no channel"]);
    let thread = ana.lines(&["query", "--thread", rows[0]["id"].as_str().unwrap()]);
    assert_eq!(texts(&thread), [none]);
    let kinds = ana.lines(&["query", "--type", "profile", "--from", "ana"]);
    assert_eq!(kinds[0]["content"]["name"], "ana");
}

#[test]
fn people_read_who_where_when_and_how_it_came() {
    let world = World::new();
    let (ana, bo) = talk(&world);
    let rows = bo.lines(&["query", "--channel", "tea"]);
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let via = rows[0]["via"].as_str().unwrap();
    let out = bo.ok(&["read", "tea"]).replace(via, "bundle [FILE]");
    let out = without_ids(&out, &[(ids[0], "tea"), (ids[1], "yes"), (&ana.feed, "ana")]);
    expect![[r#"
        ana  #tea  2026-11-22 14:30 +01:00  [tea~]
          tea at four?
          arrived 2026-11-22 14:32 +01:00 by bundle [FILE]

        bo  #tea  2026-11-22 14:33 +01:00  [yes~]
          yes, TEA
          written here 2026-11-22 14:33 +01:00

    "#]]
    .assert_eq(&out);
    assert_eq!(
        bo.ok(&["read", "--limit", "1"]).matches("arrived").count()
            + bo.ok(&["read", "--limit", "1"]).matches("written").count(),
        1
    );
}

#[test]
fn times_are_shown_where_the_reader_is() {
    let world = World::new();
    let ana = world.home("ana");
    ana.ok(&["write", "x"]);
    let out = ana.call(&["read"]).env("TZ", "UTC").ok();
    assert!(out.contains("2026-11-22 13:30 +00:00"), "{out}");
    let out = ana.call(&["read"]).env("TZ", "ABC+3:30").ok();
    assert!(out.contains("2026-11-22 10:00 -03:30"), "{out}");
}

#[test]
fn an_export_holds_the_entries_and_nothing_of_the_node() {
    let world = World::new();
    let (ana, bo) = talk(&world);
    for feed in [&ana.feed, &bo.feed] {
        let exported = ana.ok(&["export", feed]);
        assert_eq!(exported, bo.ok(&["export", feed]));
        assert_eq!(exported.lines().count(), 4);
        assert!(!exported.contains("signature") && !exported.contains("stick"));
    }
    let rows = crate::world::parse(&ana.ok(&["export", &ana.feed]));
    assert_eq!((&rows[0]["type"], &rows[0]["prev"]), (&"certificate".into(), &().into()));
    assert_eq!(rows[1]["prev"], rows[0]["id"]);
    assert_eq!((&rows[2]["text"], &rows[2]["channel"]), (&"tea at four?".into(), &"tea".into()));
    let err = ana.call(&["export", &world.home("cy").feed]).fails(1);
    assert!(err.contains("is held here\nhint: `thistle feeds`"), "{err}");
}

#[test]
fn a_wrong_time_or_type_is_the_command_lines_fault() {
    let world = World::new();
    let ana = world.home("ana");
    let err = ana.call(&["query", "--since", "yesterday"]).fails(2);
    expect![[r#"
        error: `yesterday` is not a time
        hint: write `2026-11-22 14:30`, `2026-11-22`, `3d` (ago), RFC 3339, or `@` and Unix seconds
    "#]]
    .assert_eq(&err);
    let err = ana.call(&["query", "--type", "poem"]).fails(2);
    assert!(err.contains("possible values: post, reply"), "{err}");
}

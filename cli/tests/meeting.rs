//! Meeting over a network, as far as one home alone can go wrong; the meetings themselves are in
//! the tests of the whole program.

use crate::world::World;

#[test]
fn a_home_has_one_address_before_it_ever_listened() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let address = ana.ok(&["address"]);
    assert!(address.starts_with("node1") && !address.contains('@'), "{address}");
    assert_eq!(ana.ok(&["address"]), address, "it stays the same");
    assert_ne!(bo.ok(&["address"]), address);
    let told = ana.json(&["address"]);
    assert_eq!(
        (told["address"].as_str(), &told["listening"]),
        (Some(address.trim()), &false.into())
    );
}

#[test]
fn what_is_no_address_is_told_with_what_one_looks_like() {
    let world = World::new();
    let ana = world.home("ana");
    let own = ana.ok(&["address"]).trim().to_owned();
    let mistyped = own.replacen(&own[10..11], if &own[10..11] == "q" { "p" } else { "q" }, 1);
    let feed = ana.feed.clone();
    for (typed, because) in [
        ("mill@192.0.2.7:4711".to_owned(), "character 2, `i`, is in no id"),
        (format!("{mistyped}@192.0.2.7:4711"), "the checksum does not fit"),
        (format!("{feed}@192.0.2.7:4711"), "the id of a feed where that of a node is due"),
        (format!("{own}@mill"), "after the `@` stands no IP address with a port"),
        (format!("{own}@192.0.2.7:0"), "port 0 cannot be dialled"),
        (format!("{own}@0.0.0.0:9"), "it says a port, but no machine"),
    ] {
        for words in [&["sync", typed.as_str()][..], &["listen", "--known", typed.as_str()]] {
            let err = ana.call(words).fails(1);
            assert!(err.contains(because) && err.contains("hint: `thistle listen`"), "{err}");
        }
    }
    let err = ana.call(&["listen", "--addr", "mill"]).fails(1);
    assert!(err.contains("`mill` is no IP address with a port\nhint: for instance"), "{err}");
    let err = ana.call(&["listen", "--addr", "192.0.2.7:0"]).fails(1);
    assert!(err.contains("cannot listen at 192.0.2.7:0") && err.contains("hint: say an"), "{err}");
}

#[test]
fn whom_one_cannot_meet_is_told_with_what_to_do() {
    let world = World::new();
    let ana = world.home("ana");
    let own = ana.ok(&["address"]).trim().to_owned();
    let err = ana.call(&["sync", &format!("{own}@127.0.0.1:9")]).fails(1);
    assert!(err.contains("that is the address of this home itself\nhint: "), "{err}");
    let err = ana.call(&["sync", "node1qpzr"]).fails(1);
    assert!(err.contains("no home that begins with `node1qpzr` was met before"), "{err}");
    let err = ana.call(&["sync", &own]).fails(1);
    assert!(err.contains("was met before\nhint: say its whole address"), "{err}");
}

//! Homes that share a folder, with secrets made up for the purpose.

use std::fs;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::Context as Hashed;
use thistle_engine::{InMemoryBackend, Node, Setup};

use super::*;
use crate::args::BundleCreate;
use crate::commands::bundle::{DROP_BYTES, Keys, read_with, seal};
use crate::context::{Shared, Streams};
use crate::facts::Facts;
use crate::host::Host;
use crate::net::Net;
use crate::vault::Access;

/// What a home printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Home {
    number: u8,
    ctx: Context,
    feed: FeedId,
    printed: Printed,
}

/// The secret by which one home leaves something for another.
fn secret(from: u8, to: u8) -> Seed {
    Seed::new([9; 32]).derive(Hashed::Session, &[from, to])
}

impl Home {
    fn new(number: u8) -> Self {
        let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
        let facts = Facts::here().unwrap();
        let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 1 << 20 };
        let seed = Seed::new([number ^ 0x55; 32]);
        let node =
            Node::create(InMemoryBackend::new(), &account, setup, seed, facts.now()).unwrap();
        let feed = node.me().unwrap().feed;
        let (host, _) = Host::start(node, Path::new("home"), Access::Plain).unwrap();
        let printed = Printed::default();
        let (out, err) = (Box::new(printed.clone()), Shared::new(printed.clone()));
        let streams = Streams { out, err, json: false };
        let (input, reading, net, caller) = (None, None, Net::new(), None);
        let ctx = Context { streams, input, facts, host, reading, net, caller };
        Self { number, ctx, feed, printed }
    }

    fn write(&self, text: &str) {
        let text = text.to_owned();
        let content = Content::Post(Post { time: 1, text, ..Post::default() });
        let now = self.ctx.facts.now();
        self.ctx.host.step(move |node| node.write(now, &content, 0).map_err(fault)).unwrap();
    }

    /// Entries of a home that are here.
    fn held(&self, of: &Self) -> u64 {
        let feeds = self.ctx.host.reader().unwrap().feeds().unwrap();
        feeds.iter().find(|info| info.feed == of.feed).map_or(0, |info| info.held)
    }

    /// What this home finds and leaves things by, among these.
    fn keys(&self, others: &[&Self]) -> Keys {
        let held = |other: &&Self| Held {
            of: format!("person {}", other.number),
            secret: secret(other.number, self.number),
        };
        let audience = |other: &&Self| Audience {
            secrets: vec![secret(self.number, other.number)],
            request: BundleRequest { for_peer: Some(other.feed), ..BundleRequest::default() },
            peers: vec![other.feed],
        };
        Keys {
            held: others.iter().map(held).collect(),
            own: Seed::new([self.number; 32]).derive(Hashed::Session, b"own"),
            audiences: others.iter().map(audience).collect(),
        }
    }

    fn take(&mut self, drop: &TempDir, keys: &Keys) -> (u8, String) {
        let paths = [drop.path().to_owned()];
        let code = read_with(&mut self.ctx, &paths, &keys.held).unwrap();
        (code, String::from_utf8(std::mem::take(&mut *self.printed.0.lock().unwrap())).unwrap())
    }

    fn leave(&mut self, drop: &TempDir, keys: &Keys, quota: u64) -> Result<Left, CliError> {
        let folder = Folder::open(drop.path()).unwrap();
        let Keys { held, own, audiences } = keys;
        let reader = self.ctx.reader()?;
        leave(&mut self.ctx, reader, &folder, &Leaving { held, own, audiences, quota })
    }

    /// Takes what is there and leaves what is due.
    fn visit(&mut self, drop: &TempDir, keys: &Keys) -> Left {
        assert_eq!(self.take(drop, keys).0, 0);
        self.leave(drop, keys, DROP_BYTES).unwrap()
    }
}

fn fault(error: thistle_engine::WriteError) -> StoreError {
    match error {
        thistle_engine::WriteError::Store(error) => error,
        other => panic!("{other}"),
    }
}

fn files(drop: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(drop.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn everybody_takes_what_is_theirs_and_what_arrived_goes() {
    let drop = tempfile::tempdir().unwrap();
    let [mut a, mut b, mut c, mut d] = [1, 2, 3, 4].map(Home::new);
    let of_a = a.keys(&[&b, &c]);
    let (of_b, of_c, of_d) = (b.keys(&[&a]), c.keys(&[&a]), d.keys(&[]));
    (0..3).for_each(|n| a.write(&format!("number {n}")));
    let left = a.visit(&drop, &of_a);
    assert_eq!((left.written.len(), left.audiences, left.bytes), (1, 2, 262_144));
    let name = left.written[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!((name.len(), files(&drop)), (20, left.written));
    // Whom it is not for learns nothing, and a stick-finder as little.
    assert_eq!(d.take(&drop, &of_d), (0, "Nothing for you in 1 file\n".to_owned()));
    let kept = a.visit(&drop, &of_a);
    assert_eq!((kept.written.len(), kept.kept, kept.removed), (0, 1, 0), "nothing changed");

    let (code, said) = b.take(&drop, &of_b);
    assert!(
        code == 0 && said.contains(" from person 1: ") && said.contains("new entries"),
        "{said}"
    );
    assert_eq!((b.held(&a), c.held(&a), d.held(&a)), (a.held(&a), 0, 0));
    // B answers, as it has something of its own; A's file stays for C.
    assert_eq!(b.leave(&drop, &of_b, DROP_BYTES).unwrap().written.len(), 1);
    let left = a.visit(&drop, &of_a);
    assert_eq!(a.held(&b), b.held(&b));
    assert_eq!(
        (left.audiences, left.removed),
        (2, 1),
        "C has to be told yet, and B that it arrived"
    );
    c.visit(&drop, &of_c);
    assert_eq!(c.held(&a), a.held(&a));
    // Once everybody has everything and knows it, nothing is left there.
    for _ in 0..4 {
        a.visit(&drop, &of_a);
        b.visit(&drop, &of_b);
        c.visit(&drop, &of_c);
    }
    assert_eq!(files(&drop), Vec::<PathBuf>::new());
    assert_eq!((c.held(&b), b.held(&c)), (b.held(&b), c.held(&c)), "A carries between them");
    // The second trip has what is new and no more.
    a.write("news");
    let left = a.visit(&drop, &of_a);
    assert_eq!((left.gathered.entries, left.audiences), (2, 2), "one for each");
    b.visit(&drop, &of_b);
    assert_eq!(b.held(&a), a.held(&a));
    assert_eq!(d.take(&drop, &of_d).0, 0);
}

#[test]
fn torn_changed_and_foreign_files_are_reported_and_left_alone() {
    let drop = tempfile::tempdir().unwrap();
    let [mut a, mut b, mut c] = [1, 2, 3].map(Home::new);
    let (of_a, of_b) = (a.keys(&[&c]), b.keys(&[&c]));
    let of_c = c.keys(&[&a, &b]);
    // Long enough that the part is cut wherever it stands.
    (0..300).for_each(|n| a.write(&format!("{n}: {}", "words ".repeat(150))));
    b.write("whole");
    let torn = a.visit(&drop, &of_a).written.remove(0);
    b.visit(&drop, &of_b);
    let bytes = fs::read(&torn).unwrap();
    fs::write(&torn, &bytes[..bytes.len() - 150_000]).unwrap();
    fs::write(drop.path().join("photo.jpg"), vec![7; 300_000]).unwrap();
    fs::write(drop.path().join("aaaaaaaaaaaaaaaaaaaa"), vec![7; 262_144]).unwrap();
    let before = files(&drop);
    let (code, said) = c.take(&drop, &of_c);
    assert_eq!(code, Kind::Refused.code());
    assert!(said.contains("refused: ") && said.contains("torn at byte"), "{said}");
    assert_eq!((c.held(&b), said.contains("Nothing for you in 1 file\n")), (b.held(&b), true));
    assert!(c.held(&a) > 0 && c.held(&a) < a.held(&a), "what stands before the tear is there");
    c.leave(&drop, &of_c, DROP_BYTES).unwrap();
    assert_eq!(files(&drop).len(), before.len() + 1);
    assert!(before.iter().all(|path| path.exists()), "others' files stay");
    // A finds its own, damaged as it is, and replaces it once there is something else to say.
    a.write("more");
    let left = a.leave(&drop, &of_a, DROP_BYTES).unwrap();
    assert_eq!((left.written.len(), left.removed, torn.exists()), (1, 1, false));
    assert_eq!(c.take(&drop, &of_c).0, 0);
    assert_eq!(c.held(&a), a.held(&a));
    // A file whose slot was changed is told of as well.
    let own = left.written[0].clone();
    let mut bytes = fs::read(&own).unwrap();
    (0..512).for_each(|slot| bytes[32 + 88 * slot + 20] ^= 1);
    fs::write(&own, bytes).unwrap();
    let (code, said) = c.take(&drop, &of_c);
    assert!(code == Kind::Refused.code() && said.contains("from person 1 was changed"), "{said}");
}

#[test]
fn a_quota_is_kept_with_the_newest_first() {
    let drop = tempfile::tempdir().unwrap();
    let [mut a, mut b, mut c] = [1, 2, 3].map(Home::new);
    let (of_a, of_b) = (a.keys(&[&b, &c]), b.keys(&[&a]));
    (0..400).for_each(|n| a.write(&format!("{n}: {}", "words ".repeat(150))));
    let left = a.leave(&drop, &of_a, 400_000).unwrap();
    assert_eq!((left.bytes, left.written.len()), (393_216, 1), "the largest allowed: {left:?}");
    assert!((400..600).contains(&left.gathered.left_out), "{left:?}");
    assert_eq!(b.take(&drop, &of_b).0, 0);
    assert!(b.held(&a) > 100 && b.held(&a) < 300, "{}", b.held(&a));
    let none = a.leave(&drop, &of_a, 200_000).unwrap_err();
    let mut told = Vec::new();
    none.render(&mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("the smallest for so many takes"), "{told}");
    assert_eq!(files(&drop).len(), 1, "what was there stays");
    // With room for everything, all of it is there, and the smaller file goes.
    let left = a.leave(&drop, &of_a, DROP_BYTES).unwrap();
    assert_eq!((left.gathered.left_out, left.removed, left.written.len()), (0, 1, 1));
    assert_eq!(b.take(&drop, &of_b).0, 0);
    assert_eq!(b.held(&a), a.held(&a));
    assert_eq!(c.take(&drop, &c.keys(&[&a])).0, 0);
    assert_eq!(c.held(&a), a.held(&a));
}

#[test]
fn groups_share_a_part_and_many_readers_take_several_files() {
    let drop = tempfile::tempdir().unwrap();
    let [mut a, mut b, mut c] = [1, 2, 3].map(Home::new);
    let mut of_a = a.keys(&[]);
    let group = Seed::new([77; 32]);
    of_a.audiences.push(Audience {
        secrets: vec![group.clone()],
        request: BundleRequest::default(),
        peers: vec![b.feed, c.feed],
    });
    let strangers = (0..600_u32).map(|n| Audience {
        secrets: vec![group.derive(Hashed::Session, &n.to_be_bytes())],
        request: BundleRequest::default(),
        peers: Vec::new(),
    });
    of_a.audiences.extend(strangers);
    let left = a.leave(&drop, &of_a, DROP_BYTES).unwrap();
    assert_eq!((left.written.len(), left.audiences), (2, 601));
    let held = vec![Held { of: "the group".to_owned(), secret: group }];
    let mut of_others = [b.keys(&[]), c.keys(&[])];
    for (home, keys) in [&mut b, &mut c].into_iter().zip(&mut of_others) {
        keys.held.clone_from(&held);
        assert!(home.take(&drop, keys).1.contains(" from the group: "));
        assert_eq!(home.held(&a), a.held(&a));
    }
    assert_eq!(a.leave(&drop, &of_a, DROP_BYTES).unwrap().kept, 2);
    // Nobody there any more for whom it leaves anything.
    of_a.audiences.clear();
    let left = a.leave(&drop, &of_a, DROP_BYTES).unwrap();
    assert_eq!((left.removed, files(&drop).len()), (2, 0));
}

#[test]
fn a_file_of_ones_own_choice_holds_a_part_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let [mut a, mut b] = [1, 2].map(Home::new);
    let path = folder.path().join("for everybody");
    let args = |reader| BundleCreate { path: path.clone(), plain: false, reader, max_bytes: None };
    let keys = a.keys(&[&b]);
    let reader = a.ctx.tidy_reader().unwrap();
    assert_eq!(seal(&mut a.ctx, &args(None), reader, keys).unwrap(), 0);
    let with_b = fs::read(&path).unwrap();
    // For nobody there is a file of the same size.
    let keys = a.keys(&[]);
    let reader = a.ctx.tidy_reader().unwrap();
    seal(&mut a.ctx, &args(None), reader, keys).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), with_b.len() as u64);
    let held = b.keys(&[&a]).held;
    let read = |b: &mut Home| {
        let code = read_with(&mut b.ctx, std::slice::from_ref(&path), &held).unwrap();
        (code, b.held(&a))
    };
    assert_eq!(read(&mut b), (0, 0));
    fs::write(&path, with_b).unwrap();
    assert_eq!(read(&mut b), (0, a.held(&a)));
    assert_eq!(read(&mut b), (0, a.held(&a)));
}

//! What the fuzz targets have in common: the laws by name, and the program's reader of imports.
//!
//! The laws themselves are also compiled into the engine's and the program's own tests, where a
//! seeded loop tries them on a stable compiler; so nothing here may need a fuzzer.

mod import;
mod laws;

// The program is no library, so the files that its reader of imports needs are compiled here.
#[path = "../../cli/src/mailbox.rs"]
mod mailbox;
#[path = "../../cli/src/outcome.rs"]
mod outcome;
#[path = "../../cli/src/text.rs"]
mod text;
#[path = "../../cli/src/when.rs"]
mod when;

/// Fails unless the law of that name holds of these bytes.
///
/// # Panics
///
/// If it does not, or if there is no such law.
pub fn obey(name: &str, bytes: &[u8]) {
    if name == "import" {
        return import::files(bytes);
    }
    let law = laws::LAWS.iter().find(|law| law.0 == name);
    law.expect("each target has a law of its name").1(bytes);
}

//! Header blocks, and what a stream reads in them.

use relevo_protocol::headers::{HeaderBlock, HeaderBuilder};
use relevo_protocol::jetstream::publish::PublishOptions;
use relevo_protocol::jetstream::status::Status;

/// A header block: what can be read can be built, and then says the same.
pub fn fuzz_headers(data: &[u8]) {
    let Ok(block) = HeaderBlock::parse(data) else {
        return;
    };
    let built = match block.status() {
        Some(status) => HeaderBuilder::with_status(status.code, status.description),
        None => Ok(HeaderBuilder::new()),
    };
    let mut built = built.expect("a status that was read can be written");
    for (name, value) in block.iter() {
        assert!(block.get_all(name).any(|other| other == value));
        built
            .append(name, value)
            .expect("a header that was read can be written");
    }
    let built = built.finish();
    let again = HeaderBlock::parse(&built).expect("what was built can be read");
    assert!(again.iter().eq(block.iter()));
    assert_eq!(again.status(), block.status());

    if let Err(error) = PublishOptions::from_headers(&block) {
        assert!(!error.to_string().is_empty());
    }
    if let Some(line) = data.split(|byte| *byte == b'\n').next()
        && let Ok(line) = std::str::from_utf8(line)
        && let Some(status) = Status::parse(line)
    {
        HeaderBlock::parse(&status.header_block(&[])).expect("a status block can be read");
    }
}

//! Which stream configurations this version serves, and how what was left open is filled in.

use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::stream::StreamConfig;

/// The configuration as it is kept and shown.
///
/// # Errors
/// [`JetStreamError`] for values that make no sense, and for options that this version does not serve.
pub fn settle(config: StreamConfig) -> Result<StreamConfig, JetStreamError> {
    Ok(config.with_defaults())
}

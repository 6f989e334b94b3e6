//! How a request shows that it is this server's: the HMAC-SHA-256 of its time and body.

use ring::hmac;
use std::fmt::Write as _;

/// The value of `X-Ringstorm-Signature`: `t=SECONDS,v1=HEX`, of which `v1` is the MAC of
/// `SECONDS.BODY` (FIPS 198-1, FIPS 180-4).
pub(super) fn sign(key: &hmac::Key, unix_s: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{unix_s}.").as_bytes());
    context.update(body);
    let mut text = format!("t={unix_s},v1=");
    for byte in context.sign().as_ref() {
        // A string takes what it is given.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_others_compute() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let expected = "t=1700000000,v1=\
            b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(sign(&key, 1_700_000_000, b"{}"), expected);
    }
}

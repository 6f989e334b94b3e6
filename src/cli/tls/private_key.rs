//! A private key out of a PEM file, decrypted where it has a passphrase (RFC 5958, 3).

use super::unreadable;
use crate::cli::Failure;
use crate::cli::tokens::secret_at;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::SecretDocument;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use std::fs;
use std::path::Path;

/// RFC 7468, 11.
const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// What OpenSSL wrote before PKCS #8: a header of RFC 1421 in the PEM of a plain key.
const OLD: &str = "Proc-Type: 4,ENCRYPTED";
const CONVERT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW";
const PASSWORD: &str = "--tls-key-password";

/// Reads the key that `flag` names. `password` is where its passphrase is, if it has one.
///
/// # Errors
/// There is none in it, it is encrypted in a way that is not read, or the passphrase is another.
pub(super) fn read(
    flag: &str,
    path: &Path,
    password: Option<&str>,
) -> Result<PrivateKeyDer<'static>, Failure> {
    let text = fs::read(path)
        .map_err(|error| unreadable(flag, path, &pem::Error::Io(error), "a private key"))?;
    let shown = path.display();
    let usage = |what: String| Err(Failure::Usage(format!("{flag}: {shown}: {what}")));
    let lossy = String::from_utf8_lossy(&text);
    if lossy.contains(OLD) {
        return usage(format!(
            "it is encrypted as OpenSSL did before PKCS #8; try: {CONVERT}"
        ));
    }
    let Some(found) = block(&lossy) else {
        return PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| unreadable(flag, path, &error, "a private key"));
    };
    let Some(place) = password else {
        let with = match flag {
            "--tls-key" => format!("{PASSWORD} file:PATH or env:NAME"),
            _ => "openssl pkcs8 -in OLD -out NEW, which makes one without".to_owned(),
        };
        return usage(format!("it has a passphrase; try: {with}"));
    };
    let password = secret_at(PASSWORD, place)?;
    let Ok((_, der)) = SecretDocument::from_pem(found) else {
        return usage(format!(
            "its {LABEL} is no PEM; try: the file as it was made"
        ));
    };
    let Ok(encrypted) = EncryptedPrivateKeyInfoRef::try_from(der.as_bytes()) else {
        return usage(format!(
            "it is encrypted in a way that is not read here; try: {CONVERT}"
        ));
    };
    let key = match encrypted.decrypt(&password) {
        Ok(key) => PrivateKeyDer::try_from(key.as_bytes().to_vec()),
        Err(pkcs8::Error::EncryptedPrivateKey(error)) if is_unknown(&error) => {
            return usage(format!("{error}, which is not read here; try: {CONVERT}"));
        }
        Err(_) => Err("another passphrase"),
    };
    key.map_err(|_| {
        let text = format!("{PASSWORD}: {place} is not the passphrase of {shown}");
        Failure::Usage(format!(
            "{text}; try: openssl pkey -in {shown} -noout, which asks for it"
        ))
    })
}

/// The encrypted key of a text.
fn block(text: &str) -> Option<&str> {
    let start = text.find(&format!("-----BEGIN {LABEL}-----"))?;
    let from = text.get(start..)?;
    let end = format!("-----END {LABEL}-----");
    let length = from.find(&end)? + end.len();
    from.get(..length)
}

/// Whether it is not the passphrase that is wrong, but what it was encrypted with unknown.
fn is_unknown(error: &pkcs8::pkcs5::Error) -> bool {
    use pkcs8::pkcs5::Error;
    matches!(
        error,
        Error::NoPbes1CryptSupport | Error::UnsupportedAlgorithm { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl pkcs8 -topk8 -passout 'pass:a secret'` of a P-256 key.
    const ENCRYPTED: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgiz26azQRR1wICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGHsfUwAXCVfE6wV3Lrvj2kEgZCF
276ZmPLjQ4BtcPyd7qQb1BILe7QUHcRGGMd23gmYy4blqUgogSsrT6u9uk2aLEVj
irDJU7kNrS3ncsBsapFVjsfsHSOaPsBsFVf23k4nQ90K7Je4uj7sYbIuEjQHMe4b
HTrDhS1JDwq7ywoNPBwCiTfeZqlEc5DOaF285/+7AwNcZtBgzXzk5Pne9cNXxwY=
-----END ENCRYPTED PRIVATE KEY-----
";
    /// The same key with `-v2prf hmacWithSHA1`.
    const BY_SHA1: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAj6c+Vn58ut5AICCAAw
HQYJYIZIAWUDBAEqBBB6rAH+olTH3y2D7MJpaqC3BIGQcS0exLKbbnseF9KrcqO1
dd9lxVsWXhxE7tk3BZRP30RBT8lbre68nYWqmOdW9oaSDG+70UIflt96s4gRDoRW
JOSTfWsZsJmvdZkOBgcMivZ7Zo6XCyhW+LoWsE7QWSicVmP45x+Qh2CYApUSjt0X
20PAqM9oka3CHyLlpBIXxcHfyruMrm6xo5K4zhYVlsvw
-----END ENCRYPTED PRIVATE KEY-----
";

    /// What becomes of a file with that text and of that passphrase.
    fn became(name: &str, text: &str, password: Option<&str>) -> Result<Vec<u8>, String> {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("{}-{name}.key", std::process::id()));
        let secret = folder.join(format!("{}-{name}.secret", std::process::id()));
        fs::write(&path, text).unwrap();
        fs::write(&secret, password.unwrap_or_default()).unwrap();
        let place = format!("file:{}", secret.display());
        let found = read("--tls-key", &path, password.map(|_| &*place));
        fs::remove_file(path).unwrap();
        fs::remove_file(secret).unwrap();
        let der = found.map(|key| key.secret_der().to_vec());
        der.map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_key_with_a_passphrase_is_read_with_it() {
        let key = became("right", ENCRYPTED, Some("a secret\n")).unwrap();
        assert!(rcgen::KeyPair::try_from(key).is_ok());
        // Behind the certificate in one file, as some tools write it.
        let both = format!("# of a.test\n{ENCRYPTED}-----BEGIN CERTIFICATE-----\n");
        assert!(became("both", &both, Some("a secret")).is_ok());
        // A key without one is read whatever passphrase is there.
        let plain = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(became("plain", &plain, Some("a secret")).is_ok());
    }

    #[test]
    fn a_key_that_is_not_read_says_what_would_do() {
        let old = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        let cut = ENCRYPTED.replace("MIHsMF", "MIHsM");
        for (name, text, password, said) in [
            (
                "none",
                ENCRYPTED,
                None,
                "it has a passphrase; try: --tls-key-password file:PATH",
            ),
            (
                "other",
                ENCRYPTED,
                Some("a secret "),
                "is not the passphrase of",
            ),
            ("empty", ENCRYPTED, Some(""), "is not the passphrase of"),
            ("old", old, Some("a secret"), "try: openssl pkcs8 -topk8"),
            (
                "sha1",
                BY_SHA1,
                Some("a secret"),
                "try: openssl pkcs8 -topk8",
            ),
            ("cut", &cut, Some("a secret"), "is no PEM"),
        ] {
            let error = became(name, text, password).unwrap_err();
            assert!(error.contains(said), "{name}: {error}");
        }
    }
}

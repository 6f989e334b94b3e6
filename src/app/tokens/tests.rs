//! Tokens as applications sign them, with keys made here.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret of more than sixteen bytes";

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn with_secret(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    signed(Algorithm::HS256, &key, claims)
}

fn book(fill: impl FnOnce(&mut TokenKeys)) -> TokenBook {
    let mut keys = TokenKeys::default();
    fill(&mut keys);
    let wall = WallClock {
        unix: Duration::from_secs(1000),
        at: Instant::default(),
    };
    TokenBook::new(Arc::new(keys), wall)
}

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

#[test]
fn a_token_says_who_it_is_and_what_it_may_until_it_expires() {
    let mut book = book(|keys| keys.add_secret(SECRET).unwrap());
    let token = with_secret(&json!({
        "sub": "ann", "exp": 1010, "info": {"name": "Ann"}, "meta": {"a": 1},
        "channels": ["news"], "subs": {"news": {}, "own": {"data": 1}},
    }));
    let claims = book.read(&token, at(9)).unwrap();
    assert_eq!((&*claims.user, &*claims.info), ("ann", r#"{"name":"Ann"}"#));
    assert_eq!(&*claims.meta, r#"{"a":1}"#);
    assert_eq!(claims.channels, [Box::from("news"), Box::from("own")]);
    assert!(claims.takes("own") && !claims.takes("other"));
    assert_eq!(book.read(&token, at(10)), Err(TokenFault::Expired));
    assert_eq!(book.verified(), 1, "a known token costs no signature");
    let early = with_secret(&json!({"sub": "ann", "nbf": 1005.5}));
    assert_eq!(book.read(&early, at(4)), Err(TokenFault::Invalid));
    assert!(book.read(&early, at(5)).is_ok());
}

#[test]
fn each_kind_of_key_takes_its_own_signatures_and_no_other() {
    let claims = json!({"sub": "ann"});
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let by_ed = signed(
        Algorithm::EdDSA,
        &EncodingKey::from_ed_der(&ed.serialize_der()),
        &claims,
    );
    let by_ec = signed(
        Algorithm::ES256,
        &EncodingKey::from_ec_der(&ec.serialize_der()),
        &claims,
    );
    let by_secret = with_secret(&claims);
    let all = [&by_ed, &by_ec, &by_secret];
    let pem = |pair: &KeyPair| {
        let pem = pair.public_key_pem();
        book(|keys| keys.add_pem(pem.as_bytes()).unwrap())
    };
    let books = [
        pem(&ed),
        pem(&ec),
        book(|keys| keys.add_secret(SECRET).unwrap()),
    ];
    for (own, mut book) in books.into_iter().enumerate() {
        for (which, token) in all.into_iter().enumerate() {
            let read = book.read(token, at(0));
            assert_eq!(read.is_ok(), own == which, "key {own}, token {which}");
        }
    }
    // The public key as the secret of an HMAC: the classic confusion of algorithms.
    let confused = EncodingKey::from_secret(ed.public_key_pem().as_bytes()).unwrap();
    let confused = signed(Algorithm::HS256, &confused, &claims);
    assert_eq!(pem(&ed).read(&confused, at(0)), Err(TokenFault::Invalid));
}

#[test]
fn a_set_of_keys_is_chosen_from_by_name() {
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(ed.der_bytes());
    let secret = URL_SAFE_NO_PAD.encode(SECRET);
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x},
        {"kty": "oct", "kid": "two", "k": secret},
    ]});
    let mut book = book(|keys| keys.add_jwks(set.to_string().as_bytes()).unwrap());
    let key = EncodingKey::from_ed_der(&ed.serialize_der());
    for (kid, is_good) in [(None, true), (Some("one"), true), (Some("two"), false)] {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(Algorithm::EdDSA)
        };
        let token = encode(&header, &json!({"sub": "ann"}), &key).unwrap();
        assert_eq!(book.read(&token, at(0)).is_ok(), is_good, "{kid:?}");
    }
    assert!(book.read(&with_secret(&json!({})), at(0)).is_ok());
}

#[test]
fn what_is_no_token_is_invalid() {
    let mut book = book(|keys| keys.add_secret(SECRET).unwrap());
    let good = with_secret(&json!({"sub": "ann"}));
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"bob"}"#);
    for bad in [
        String::new(),
        "x".into(),
        "..".into(),
        format!("{none}.{body}."),
        format!("{head}.{other}.{signature}"),
        format!("{head}.{body}."),
        good.get(..good.len() - 2).unwrap().to_owned(),
        "x".repeat(limits::TOKEN_BYTES + 1),
        with_secret(&json!({"sub": 7})),
        with_secret(&json!({"channels": ["\n"]})),
        with_secret(&json!({"channels": (0..200).map(|it| it.to_string()).collect::<Vec<_>>()})),
    ] {
        assert_eq!(book.read(&bad, at(0)), Err(TokenFault::Invalid), "{bad}");
    }
    assert!(book.read(&good, at(0)).is_ok());
}

#[test]
fn fixed_tokens_have_claims_from_a_list() {
    let list = br#"{"a token of some length":{"sub":"robot","channels":["jobs"]}}"#;
    let mut book = book(|keys| keys.add_fixed(list).unwrap());
    let claims = book.read("a token of some length", at(0)).unwrap();
    assert!(&*claims.user == "robot" && claims.takes("jobs"));
    assert!(book.read("a token of some lengtH", at(0)).is_err());
    let mut keys = TokenKeys::default();
    for wrong in [
        &b"[]"[..],
        b"{\"short\":{}}",
        b"{\"a token of some length\":7}",
    ] {
        assert_eq!(keys.add_fixed(wrong), Err(TokenKeyError::List));
    }
}

#[test]
fn what_is_no_key_says_what_is_wanted() {
    let mut keys = TokenKeys::default();
    assert_eq!(keys.add_secret(b"short"), Err(TokenKeyError::Short));
    assert_eq!(keys.add_pem(b"-----BEGIN"), Err(TokenKeyError::Pem));
    assert_eq!(keys.add_jwks(b"{\"keys\":[]}"), Err(TokenKeyError::Jwks));
    for _ in 0..limits::TOKEN_KEYS {
        keys.add_secret(SECRET).unwrap();
    }
    assert_eq!(keys.add_secret(SECRET), Err(TokenKeyError::Many));
}

#[test]
fn no_more_tokens_are_known_than_there_is_room_for() {
    let mut book = book(|keys| keys.add_secret(SECRET).unwrap());
    let claims = Arc::new(TokenClaims {
        info: "x".repeat(1 << 20).into(),
        ..TokenClaims::default()
    });
    for number in 0..200_u8 {
        book.keep([number; 32], claims.clone());
    }
    assert!(book.bytes <= limits::TOKENS_KNOWN_BYTES && book.order.len() < 200);
    assert_eq!(book.order.len(), book.known.len());
    assert!(book.known.contains_key(&[199; 32]) && !book.known.contains_key(&[0; 32]));
}

/// RFC 7519, 4.1.1 and 4.1.3: `aud` is one text or several.
#[test]
fn where_audience_and_issuer_are_expected_a_token_has_to_name_them() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let mut book = book(|keys| {
        keys.add_secret(SECRET).unwrap();
        keys.expect(&names(&["chat", "news"]), &names(&["https://issuer"]));
    });
    for (claims, is_good) in [
        (json!({"aud": "chat", "iss": "https://issuer"}), true),
        (json!({"aud": ["x", "news"], "iss": "https://issuer"}), true),
        (json!({"aud": "x", "iss": "https://issuer"}), false),
        (json!({"aud": "chat", "iss": "https://other"}), false),
        (json!({"aud": "chat"}), false),
        (json!({"iss": "https://issuer"}), false),
    ] {
        let read = book.read(&with_secret(&claims), at(0));
        assert_eq!(read.is_ok(), is_good, "{claims}");
    }
}

#[test]
fn other_claims_are_kept_where_somebody_asks_for_them() {
    let token = with_secret(&json!({"sub": "ann", "role": ["a", "b"]}));
    for keeps in [false, true] {
        let mut book = book(|keys| {
            if keeps {
                keys.keep_facts();
            }
            keys.add_secret(SECRET).unwrap();
        });
        let claims = book.read(&token, at(0)).unwrap();
        assert_eq!(claims.facts.of("role").len(), if keeps { 2 } else { 0 });
    }
}

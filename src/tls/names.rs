//! The names of a client's certificate, once rustls has found that somebody trusted has signed it.

use crate::limits;
use crate::shard::{PeerNameKind, PeerNames};
use rustls::pki_types::CertificateDer;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Those of the first certificate, which is the client's own; `None` if it has shown none.
pub(super) fn of(shown: Option<&[CertificateDer<'_>]>) -> Option<Arc<PeerNames>> {
    let own = shown?.first()?;
    // rustls has read it; whatever is not read here has no names, and rules find none.
    Some(Arc::new(PeerNames::new(read(own).unwrap_or_default())))
}

type Named = (PeerNameKind, Box<str>);

fn read(der: &[u8]) -> Option<Vec<Named>> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let mut all = subject(certificate.subject());
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.iter().flat_map(|it| &it.value.general_names);
    all.extend(alternatives.filter_map(alternative));
    all.truncate(limits::CERTIFICATE_NAMES);
    Some(all)
}

fn subject(name: &X509Name<'_>) -> Vec<Named> {
    let text = |kind| {
        move |part: &AttributeTypeAndValue<'_>| part.as_str().ok().map(|text| (kind, text.into()))
    };
    let commons = name.iter_common_name();
    let commons = commons.filter_map(text(PeerNameKind::CommonName));
    let organizations = name.iter_organization();
    let organizations = organizations.filter_map(text(PeerNameKind::Organization));
    let units = name.iter_organizational_unit();
    let units = units.filter_map(text(PeerNameKind::Unit));
    commons.chain(organizations).chain(units).collect()
}

fn alternative(name: &GeneralName<'_>) -> Option<Named> {
    Some(match name {
        // RFC 5280, 7.2: names of hosts are the same in either case.
        GeneralName::DNSName(name) => (PeerNameKind::Dns, name.to_ascii_lowercase().into()),
        GeneralName::RFC822Name(name) => (PeerNameKind::Email, (*name).into()),
        GeneralName::URI(name) => (PeerNameKind::Uri, (*name).into()),
        GeneralName::IPAddress(bytes) => (PeerNameKind::Ip, address(bytes)?.into()),
        _ => return None,
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    let six = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(six).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    #[test]
    fn names_of_the_subject_and_its_alternatives_are_read() {
        let mut params = CertificateParams::new(vec!["A.test".to_owned()]).unwrap();
        let names = &mut params.distinguished_name;
        names.push(DnType::CommonName, "worker 1");
        names.push(DnType::OrganizationName, "ours");
        names.push(DnType::OrganizationalUnitName, "back");
        let uri = SanType::URI("spiffe://a/b".try_into().unwrap());
        let address = SanType::IpAddress("2001:db8::1".parse().unwrap());
        params.subject_alt_names.extend([uri, address]);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = of(Some(&[made.der().clone()])).unwrap();
        for (kind, name) in [
            (PeerNameKind::CommonName, "worker 1"),
            (PeerNameKind::Organization, "ours"),
            (PeerNameKind::Unit, "back"),
            (PeerNameKind::Dns, "a.test"),
            (PeerNameKind::Uri, "spiffe://a/b"),
            (PeerNameKind::Ip, "2001:db8::1"),
        ] {
            assert_eq!(names.of(kind).collect::<Vec<_>>(), [name]);
        }
        assert_eq!(names.of(PeerNameKind::Email).count(), 0);
    }

    #[test]
    fn what_is_no_certificate_has_no_names_and_none_is_none() {
        assert_eq!(of(None), None);
        assert_eq!(of(Some(&[])), None);
        let garbage = CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 0]);
        assert_eq!(of(Some(&[garbage])).as_deref(), Some(PeerNames::NONE));
    }

    #[test]
    fn a_certificate_of_very_many_names_has_the_first() {
        let many = limits::CERTIFICATE_NAMES + 10;
        let names: Vec<String> = (0..many).map(|at| format!("n{at}.test")).collect();
        let params = CertificateParams::new(names).unwrap();
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = of(Some(&[made.der().clone()])).unwrap();
        let all = PeerNameKind::ALL
            .into_iter()
            .map(|kind| names.of(kind).count());
        assert_eq!(all.sum::<usize>(), limits::CERTIFICATE_NAMES);
    }
}

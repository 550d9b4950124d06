use serde_json::Value;

use super::*;

const ID: TransactionId = TransactionId([7; 12]);

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// RFC 5769: every vector is read, and its integrity is right with its password only.
#[test]
fn published_vectors_are_read() {
    let folder = std::env::var("OFFHOOK_DATA").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned()
    });
    let text = std::fs::read_to_string(format!("{folder}/stun/rfc5769.json")).unwrap();
    let data: Value = serde_json::from_str(&text).unwrap();
    let vectors = data["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 3);
    for vector in vectors {
        let bytes = bytes_of(vector["hex"].as_str().unwrap());
        let message = Message::parse(&bytes).unwrap();
        let expect = &vector["expect"];
        if let Some(mapped) = expect["xor_mapped"].as_str() {
            assert_eq!(message.mapped_address(), Some(mapped.parse().unwrap()));
        }
        if let Some(priority) = expect["priority"].as_u64() {
            let read = message.number(Attribute::Priority).map(u64::from);
            assert_eq!(read, Some(priority));
        }
        if let Some(username) = expect["username"].as_str() {
            assert_eq!(message.text(Attribute::Username), Some(username));
        }
        // The long-term vector has a key of its own (section 9.2.2).
        if vector["id"].as_str().unwrap().starts_with("2.4") {
            continue;
        }
        let password = vector["password"].as_str().unwrap();
        assert!(
            message.is_signed_by(password.as_bytes()),
            "{}",
            vector["id"]
        );
        assert!(!message.is_signed_by(b"another"));
    }
}

#[test]
fn what_is_written_is_read_again() {
    for address in ["192.0.2.1:32853", "[2001:db8::7]:9"] {
        let address: SocketAddr = address.parse().unwrap();
        let bytes = Writer::new(Method::Binding, Class::Success, ID)
            .address(Attribute::XorMappedAddress, address)
            .attribute(Attribute::Username, b"odd")
            .finish(Some(b"key"));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.method, message.class),
            (Method::Binding, Class::Success)
        );
        assert_eq!(message.mapped_address(), Some(address));
        assert_eq!(message.text(Attribute::Username), Some("odd"));
        assert!(message.is_signed_by(b"key") && !message.is_signed_by(b"kex"));
    }
    for (method, _) in Method::ALL {
        for class in [
            Class::Request,
            Class::Indication,
            Class::Success,
            Class::Error,
        ] {
            let bytes = Writer::new(method, class, ID)
                .error(438, "Stale")
                .finish(None);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!((message.method, message.class), (method, class));
            assert_eq!(message.error_code(), Some(438));
            assert!(!message.is_signed() && !message.is_signed_by(b""));
        }
    }
}

#[test]
fn one_changed_bit_is_noticed() {
    let bytes = Writer::new(Method::Binding, Class::Request, ID)
        .attribute(Attribute::Username, b"a:b")
        .finish(Some(b"key"));
    // What follows the signature is not signed, and not looked at.
    for at in 0..(bytes.len() - 8) * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let believed = Message::parse(&changed).is_some_and(|m| m.is_signed_by(b"key"));
        assert!(!believed, "bit {at}");
    }
}

#[test]
fn attributes_after_the_signature_are_not_seen() {
    let mut bytes = Writer::new(Method::Binding, Class::Request, ID)
        .attribute(Attribute::Username, b"a:b")
        .finish(Some(b"key"));
    // In place of FINGERPRINT: an attribute no one signed.
    bytes.truncate(bytes.len() - 8);
    bytes.extend([0, Attribute::UseCandidate as u8, 0, 0]);
    let length = (bytes.len() - HEADER) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_signed_by(b"key"));
    assert!(message.attribute(Attribute::UseCandidate).is_none());
}

#[test]
fn required_attributes_are_known_or_named() {
    let bytes = Writer::new(Method::Binding, Class::Request, ID)
        .attribute(Attribute::Username, b"a:b")
        .attribute(Attribute::ChannelNumber, &[0; 4])
        .attribute(Attribute::IceControlled, &[0; 8])
        .finish(None);
    let unknown = Message::parse(&bytes).unwrap().unknown_attributes();
    assert_eq!(unknown, [Attribute::ChannelNumber as u16]);
}

#[test]
fn damaged_messages_are_refused() {
    let whole = Writer::new(Method::Binding, Class::Request, ID)
        .attribute(Attribute::Username, b"abc")
        .finish(None);
    assert!(Message::parse(&whole).is_some());
    for length in 0..whole.len() {
        assert!(Message::parse(&whole[..length]).is_none(), "{length}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(Message::parse(&longer).is_none());
}

//! What the network may set, and layers above each other.

use super::*;

fn from_network(text: &str) -> Result<Config, Errors> {
    load_layers(&[Layer {
        name: "network",
        bytes: text.as_bytes(),
        remote: true,
    }])
}

#[test]
fn the_network_may_not_set_local_keys() {
    let (mut refused, mut taken) = (0, 0);
    for setting in settings() {
        let (_, path, _) = SECTIONS
            .iter()
            .find(|(section, ..)| *section == setting.section)
            .unwrap();
        let open = match setting.section {
            Section::Account | Section::TlsPin => format!("[[{path}]]"),
            _ => format!("[{path}]"),
        };
        let errors = from_network(&format!("{open}\n{} = {}\n", setting.name, setting.example))
            .err()
            .map_or(String::new(), |errors| errors.to_string());
        let named = errors.contains(&format!(
            "network:2:1: `{path}.{}` is only allowed on the card; remove it here",
            setting.name
        ));
        assert_eq!(
            named,
            setting.is_local(),
            "{path}.{}: {errors}",
            setting.name
        );
        *(if named { &mut refused } else { &mut taken }) += 1;
    }
    assert!(
        refused > 10 && taken > 50,
        "{refused} refused, {taken} taken"
    );
}

#[test]
fn pins_of_a_layer_replace_those_below_it() {
    let pins = |name: &str| {
        format!(
            "[[tls.pin]]\nname = \"{name}\"\naddress = \"10.0.0.1\"\nfingerprint = \"{}\"\n",
            "ab".repeat(32)
        )
    };
    let (below, above) = (pins("below") + &pins("second"), pins("above"));
    let layer = |bytes| Layer {
        name: "card",
        bytes,
        remote: false,
    };
    let names = |layers: &[Layer<'_>]| {
        let config = load_layers(layers).unwrap();
        config
            .tls
            .pins
            .into_iter()
            .map(|pin| pin.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&[layer(below.as_bytes()), layer(above.as_bytes())]),
        ["above"]
    );
    assert_eq!(
        names(&[layer(below.as_bytes()), layer(b"")]),
        ["below", "second"]
    );
}

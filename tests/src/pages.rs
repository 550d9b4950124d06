//! Pages of `docs/` that tests write.

/// Replaces what stands between `<!-- table: NAME -->` and `<!-- end -->`.
pub fn with_table(page: &str, name: &str, table: &str) -> String {
    let start = format!("<!-- table: {name} -->\n");
    let Some((head, rest)) = page.split_once(&start) else {
        panic!("no marker {start}")
    };
    let Some((_, tail)) = rest.split_once("<!-- end -->") else {
        panic!("no end marker after {start}")
    };
    format!("{head}{start}{table}<!-- end -->{tail}")
}

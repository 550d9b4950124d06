//! The page of recipes in Markdown.

use std::fmt::Write as _;

use super::{Evidence, Kind, Recipe, all, unsupported};

/// The page of recipes in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# PBXs and providers\n\n\
         `offhook setup --provider ID` writes these settings; this page is generated from\n\
         `firmware/config/src/providers`. Each recipe names the public page its facts are from and \
         when\n\
         that page was read. *Tried* means that a test of this repository registers and calls by \
         it.\n\
         What your provider says counts more than any of these. A provider that is not here: \
         choose\n\
         *another PBX or provider* and give its SIP domain. A part of a name is enough for \
         `--provider`.\n",
    );
    for (kind, title) in [(Kind::Pbx, "PBXs"), (Kind::Provider, "Providers")] {
        let _ = writeln!(page, "\n## {title}");
        for recipe in all().iter().filter(|recipe| recipe.kind == kind) {
            section(&mut page, recipe);
        }
    }
    page.push_str("\n## Without a recipe\n\n");
    for one in unsupported::all() {
        let _ = writeln!(page, "- **{}**: {}", one.name, one.sentence());
    }
    page
}

fn section(page: &mut String, recipe: &Recipe) {
    let _ = writeln!(page, "\n### {}\n\n| | |\n|---|---|", recipe.name);
    let mut row = |what: &str, value: &str| {
        let _ = writeln!(page, "| {what} | {value} |");
    };
    let code = |text: &str| format!("`{text}`");
    row("id", &code(&recipe.id));
    match &recipe.domain {
        Some(domain) => {
            let help = recipe.domain_help.as_deref();
            row("domain", &with_help(&code(domain), help));
        }
        None => row(
            "domain",
            recipe
                .domain_help
                .as_deref()
                .unwrap_or("the PBX's own domain or address"),
        ),
    }
    if let Some(registrar) = &recipe.registrar {
        row("registrar", &code(registrar));
    }
    if let Some(help) = &recipe.outbound_proxy_help {
        row("outbound_proxy", help);
    }
    if let Some(transport) = &recipe.transport {
        row("transport", &code(transport));
    }
    if let Some(expires) = recipe.expires_s {
        row("expires_s", &expires.to_string());
    }
    row("user", &recipe.user);
    if let Some(auth_user) = &recipe.auth_user {
        row("auth_user", auth_user);
    }
    if let Some(password) = &recipe.password {
        row("password", password);
    }
    if !recipe.codecs.is_empty() {
        row("codecs", &recipe.codecs.join(", "));
    }
    if let Some(voicemail) = &recipe.voicemail {
        row("voicemail", &code(voicemail));
    }
    for note in &recipe.notes {
        row("note", note);
    }
    let dated = recipe.source_date.as_ref();
    let dated = dated.map_or_else(String::new, |date| format!(", of {date}"));
    let source = match recipe.evidence {
        Evidence::Tried => format!("`{}`", recipe.source),
        Evidence::Provider | Evidence::Public => format!("<{}>", recipe.source),
    };
    let evidence = recipe.evidence.as_str();
    let source = format!("{evidence}: {source}{dated}, read {}", recipe.read);
    row("source", &source);
}

fn with_help(value: &str, help: Option<&str>) -> String {
    help.map_or_else(|| value.to_owned(), |help| format!("{value} ({help})"))
}

//! `offhook fetch`: one file over the network.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::net::fetch::{self, Fetched, Trust};

use super::origin::Origin;
use super::{ConfigPaths, ProvisionError, load};

/// Fetches a file, whole or not at all; whether there was anything new.
pub(crate) fn download(
    paths: &ConfigPaths,
    max_bytes: u64,
    url: &str,
    file: &Path,
) -> Result<bool, ProvisionError> {
    let config = load(paths, false)?.config;
    let beside = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (part, origin) = (beside(".part"), beside(".etag"));
    let request = fetch::FetchRequest {
        url: url.to_owned(),
        allow_http: config.provision.allow_http,
        etag: Origin::read(&origin).and_then(|origin| origin.etag_for(url)),
        max_bytes,
    };
    let trust = Trust::load(paths.authority(&config).as_deref());
    let wrong = |path: &Path, source| ProvisionError::Store {
        path: path.to_owned(),
        source,
    };
    let mut out = fs::File::create(&part).map_err(|error| wrong(&part, error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProvisionError::System)?;
    let fetched = runtime.block_on(fetch::fetch(&request, &trust, &mut |bytes| {
        out.write_all(bytes)
    }));
    // A lookup that still waits for its answer is not waited for.
    runtime.shutdown_background();
    let new = match fetched {
        Ok(Fetched::New { etag }) => {
            out.sync_all().map_err(|error| wrong(&part, error))?;
            fs::rename(&part, file).map_err(|error| wrong(file, error))?;
            fs::write(&origin, Origin::new(url, etag).text())
                .map_err(|error| wrong(&origin, error))?;
            return Ok(true);
        }
        Ok(Fetched::NotModified) => Ok(false),
        Err(error) => Err(error.into()),
    };
    // A part is of no use.
    let _ = fs::remove_file(&part);
    new
}

//! Puts the static files into the program, each also in the encodings that browsers take: they are packed once, here, as
//! small as they get, and never while somebody waits.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("static");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=static");
    // Those who embed them notice no folder that is new.
    println!("cargo::rerun-if-changed=migrations");
    let mut paths =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    let mut files = String::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name that isn't UTF-8")?;
        let bytes = fs::read(&path)?;
        let (brotli, gzip) = (out.join(format!("{name}.br")), out.join(format!("{name}.gz")));
        fs::write(&brotli, packed_by_brotli(&bytes)?)?;
        fs::write(&gzip, packed_by_gzip(&bytes)?)?;
        let include = |path: &Path| format!("include_bytes!({path:?})");
        writeln!(
            files,
            "File {{ name: {name:?}, plain: {}, brotli: {}, gzip: {} }},",
            include(&path),
            include(&brotli),
            include(&gzip)
        )?;
    }
    fs::write(out.join("static.rs"), format!("&[{files}]"))?;
    Ok(())
}

fn packed_by_brotli(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    // The highest quality, in the largest window that every browser has.
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &parameters)?;
    Ok(packed)
}

fn packed_by_gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes)?;
    packer.finish()
}

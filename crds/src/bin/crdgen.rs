//! Writes the CRDs' YAML into a folder: `crdgen charts/p861-crds/templates`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?);
    std::fs::create_dir_all(&folder)?;
    for (name, text) in p861_crds::generate::documents()? {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

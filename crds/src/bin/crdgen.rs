//! Writes what is generated from the kinds: `crdgen charts/p861-crds/templates` the CRDs' YAML, `crdgen --docs docs/API.md` the reference of all fields.

use std::path::PathBuf;

const USAGE: &str = "usage: crdgen FOLDER, or crdgen --docs FILE";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().ok_or(USAGE)?.as_str() {
        "--docs" => {
            let file = PathBuf::from(arguments.next().ok_or(USAGE)?);
            std::fs::write(file, p861_crds::reference::markdown()?)?;
        }
        folder => {
            let folder = PathBuf::from(folder);
            std::fs::create_dir_all(&folder)?;
            for (name, text) in p861_crds::generate::documents()? {
                std::fs::write(folder.join(name), text)?;
            }
        }
    }
    Ok(())
}

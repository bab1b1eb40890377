//! What `AnnDataWriter` writes, opened by anndata and scanpy, and what anndata makes of it, read again.
//!
//! Needs a Python with scanpy, named by `TN_PYTHON`; without it the test is skipped by name.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tn_io::{AnnData, AnnDataRow, AnnDataWriter, Provenance, SectionReader};
use tn_sentence::Position;

const SCRIPT: &str = r#"
import json, sys
import numpy as np, scipy.sparse as sp
import anndata, scanpy as sc

source, again = sys.argv[1:]
data = anndata.read_h5ad(source)
backed = anndata.read_h5ad(source, backed="r")
assert isinstance(data.X, sp.csr_matrix) and data.X.dtype == np.float32 and data.X.has_canonical_format
assert (backed[3:9].to_memory().X != data.X[3:9]).nnz == 0
found = {
    "shape": list(data.shape),
    "names": list(data.obs_names),
    "genes": list(data.var_names),
    "columns": list(data.obs.columns),
    "class": [None if value != value else value for value in data.obs["class"]],
    "categories": list(data.obs["class"].cat.categories),
    "ordered": bool(data.obs["class"].cat.ordered),
    "x": data.obs["x"].tolist(),
    "spatial": data.obsm["spatial"].tolist(),
    "counts": data.X.toarray().tolist(),
    "provenance": json.loads(str(data.uns["tissuenarrator"]["provenance"])),
    "note": str(data.uns["tissuenarrator"]["note"]),
}
for compression in [None, "gzip", "lzf"]:
    data.write_h5ad(f"{again}.{compression}.h5ad", compression=compression)
    data.write_h5ad(f"{again}.{compression}.dense.h5ad", compression=compression, as_dense=["X"])
sc.pp.normalize_total(data, target_sum=1e4)
sc.pp.log1p(data)
sc.tl.rank_genes_groups(data, "class", method="wilcoxon", reference="Oligo", groups=["Astro"])
found["first"] = data.uns["rank_genes_groups"]["names"]["Astro"][0]
print(json.dumps(found))
"#;

#[test]
fn anndata_and_scanpy_open_what_is_written() {
    let Some(python) = std::env::var_os("TN_PYTHON") else {
        eprintln!("skipped anndata_and_scanpy_open_what_is_written: TN_PYTHON names no Python with scanpy");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.h5ad");
    let expected = write(&path);
    let again = folder.path().join("again");
    let output = Command::new(python).args(["-W", "ignore", "-c", SCRIPT]).args([&path, &again]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }

    let written = AnnData::open(&path).unwrap();
    for form in ["None", "gzip", "lzf"] {
        for end in ["h5ad", "dense.h5ad"] {
            let again = AnnData::open(folder.path().join(format!("again.{form}.{end}"))).unwrap();
            assert_eq!(again.rows(0..40).unwrap(), written.rows(0..40).unwrap(), "{form}.{end}");
            assert_eq!(again.columns(), written.columns());
            assert_eq!(again.text_column("class").unwrap(), written.text_column("class").unwrap());
            assert_eq!(again.coordinates().unwrap(), written.coordinates().unwrap());
            let provenance = again.unstructured_text("tissuenarrator/provenance").unwrap().unwrap();
            assert_eq!(Provenance::from_json(&provenance), Some(Provenance::new("simulate").with_seed(7)));
        }
    }
}

/// Writes 40 cells and returns what Python should find.
fn write(path: &Path) -> Value {
    let genes = ["Gfap", "Aqp4", "größe", "MT-ND1"];
    let provenance = Provenance::new("simulate").with_seed(7).to_json();
    let mut writer = AnnDataWriter::create(path, &genes, &["section", "class"])
        .unwrap()
        .with_text("provenance", &provenance)
        .with_text("note", "größer");
    let (mut names, mut classes, mut places, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for cell in 0..40_u16 {
        let name = format!("cell {cell}");
        let class = ["Oligo", "Astro", "", "Micro/glia"][usize::from(cell) % 4];
        // The fourth cell expresses nothing, and astrocytes most of the last gene.
        let row = if cell == 3 { [0; 4] } else { [cell % 3, 0, 1 + cell % 2, if class == "Astro" { 50 + cell } else { 1 }] };
        let stored: Vec<(u32, f32)> =
            (0..).zip(row).filter(|(_, count)| *count > 0).map(|(gene, count)| (gene, f32::from(count))).collect();
        let (indices, values): (Vec<u32>, Vec<f32>) = stored.into_iter().unzip();
        let position = Position::new(f64::from(cell) / 3.0, -f64::from(cell)).unwrap();
        writer.push(&AnnDataRow { name: &name, position, columns: &["s1", class], genes: &indices, values: &values }).unwrap();
        names.push(name);
        classes.push(if class.is_empty() { Value::Null } else { json!(class) });
        places.push([position.x(), position.y()]);
        counts.push(row.map(f64::from));
    }
    writer.finish().unwrap();
    json!({
        "shape": [40, 4],
        "names": names,
        "genes": genes,
        "columns": ["x", "y", "section", "class"],
        "class": classes,
        "categories": ["Astro", "Micro/glia", "Oligo"],
        "ordered": false,
        "x": places.iter().map(|place| place[0]).collect::<Vec<_>>(),
        "spatial": places,
        "counts": counts,
        "provenance": serde_json::from_str::<Value>(&provenance).unwrap(),
        "note": "größer",
        "first": "MT-ND1",
    })
}

//! From expression to statistics and figures, on a tissue whose truth is known.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tissuenarrator::io::{AnnData, SectionReader};

use crate::folder::Folder;

/// Returns a folder with `sections.h5ad`, and the genes that astrocytes near microglia change, with their planted fold changes.
fn planted() -> (Folder, BTreeMap<String, f64>) {
    let folder = Folder::new();
    folder.run("simulate -o sections.h5ad --cells 6000 --genes 150 --sections 4 --classes 12");
    let section = AnnData::open(folder.path("sections.h5ad")).expect("a file");
    let truth: Value = {
        let text = section.unstructured_text("tissuenarrator/truth").expect("a readable file").expect("the truth");
        serde_json::from_str(&text).expect("JSON")
    };
    let effects = truth["effects"].as_array().expect("effects");
    let effect = effects.iter().find(|effect| effect["kind"] == "proximity").expect("a planted effect");
    assert_eq!((effect["focal"].as_str(), effect["partner"].as_str()), (Some("Astro"), Some("Microglia")));
    let genes = effect["genes"].as_array().expect("genes").iter();
    let change = |gene: &Value| (gene["gene"].as_str().expect("a gene").to_owned(), gene["log2_fold_change"].as_f64().expect("a number"));
    (folder, genes.map(change).collect())
}

/// Reads a CSV table by column.
fn column(folder: &Folder, table: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.path(table)).unwrap_or_else(|error| panic!("{table}: {error}"));
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let place = lines.next().expect("a header").iter().position(|column| column == name).unwrap_or_else(|| panic!("{table} has no {name}"));
    lines.map(|line| line[place].clone()).collect()
}

#[test]
fn a_planted_effect_is_found_by_proximity_de_and_gsea() {
    let (folder, planted) = planted();
    let groups = folder.json("proximity sections.h5ad -o groups.csv --focal Astro --partner Microglia --radius 30 --max-controls 400");
    assert!(groups["proximal"].as_u64() > Some(50) && groups["control"].as_u64() > Some(50), "{groups}");
    let result = folder.json("de sections.h5ad -o de.csv --groups groups.csv --group proximal --reference control --tie-correct");
    assert_eq!(result["log_base"], "10"); // counts were brought to log10
    assert_eq!(result["groups"]["proximal"]["cells"], groups["proximal"]);

    // Genes that were planted upwards are ranked above those that were planted downwards.
    let names = column(&folder, "de.csv", "names");
    let rank = |gene: &String| names.iter().position(|name| name == gene).expect("a row") as f64;
    let mean = |up: bool| {
        let of_side: Vec<f64> =
            planted.iter().filter(|(_, change)| change.abs() > 1.0 && (**change > 0.0) == up).map(|(gene, _)| rank(gene)).collect();
        of_side.iter().sum::<f64>() / of_side.len() as f64
    };
    assert!(mean(true) + 60.0 < mean(false), "{} and {}", mean(true), mean(false));

    let set = |name: &str, up: bool| {
        let genes: Vec<&str> = planted.iter().filter(|(_, change)| (**change > 0.0) == up).map(|(gene, _)| gene.as_str()).collect();
        format!("{name}\tplanted\t{}\n", genes.join("\t"))
    };
    let random: Vec<String> = names.iter().step_by(7).cloned().collect();
    let gmt = format!("{}{}RANDOM\tna\t{}\n", set("UP", true), set("DOWN", false), random.join("\t"));
    fs::write(folder.path("sets.gmt"), gmt).expect("a file");
    folder.run("gsea de.csv --gene-sets sets.gmt -o gsea.csv --min-size 5 --permutations 500");
    let header = fs::read_to_string(folder.path("gsea.csv")).expect("a table");
    assert!(header.starts_with("Term,ES,NES,NOM p-val,FDR q-val,Tag %,Gene %,Lead_genes"), "{header}");
    let rates: BTreeMap<String, f64> = column(&folder, "gsea.csv", "Term")
        .into_iter()
        .zip(column(&folder, "gsea.csv", "FDR q-val").iter().map(|rate| rate.parse().unwrap()))
        .collect();
    assert!(rates["UP"] < 0.01 && rates["DOWN"] < 0.01 && rates["RANDOM"] > 0.05, "{rates:?}");

    for figure in ["volcano de.csv -o volcano.svg", "gsea gsea.csv -o sets.png", "lfc de.csv --observed de.csv -o lfc.svg"] {
        folder.run(&format!("plot {figure}"));
    }
    assert!(fs::read_to_string(folder.path("volcano.svg")).expect("a figure").starts_with("<svg"));
    assert_eq!(fs::read(folder.path("sets.png")).expect("a figure")[1..4], *b"PNG");
}

#[test]
fn generated_cells_become_expression_that_statistics_read() {
    let (folder, _) = planted();
    folder.run("encode sections.h5ad -o cells.parquet");
    folder.run("prompts cells.parquet -o tasks.parquet --neighbors 8 --targets-per-class 10");
    folder.run("baseline tasks.parquet -o generated.parquet --method same-class");
    let fit = folder.json("express fit sections.h5ad -o fit.json --cells 500 --split train");
    assert!(fit["slope"].as_f64() < Some(0.0) && fit["n_cells"] == 500, "{fit}");
    let result = folder.json("express apply generated.parquet --fit fit.json -o generated.h5ad");
    let section = AnnData::open(folder.path("generated.h5ad")).expect("a file");
    assert_eq!((result["cells"].as_u64(), result["genes"].as_u64()), (Some(section.n_cells() as u64), Some(150)));
    assert_eq!(section.genes().len(), 150);
    let highest = section.rows(0..1).expect("a row").values().iter().copied().fold(0.0, f32::max);
    assert!((f64::from(highest) - fit["intercept"].as_f64().expect("a number")).abs() < 1e-6);
    folder.run("de generated.h5ad -o classes.csv --group-by class --test t-test");
    assert!(column(&folder, "classes.csv", "group").iter().any(|group| group == "Astro"));

    let markers = r#"{"Astro": ["GFAP", "AQP4", "NOT_A_GENE"]}"#;
    fs::write(folder.path("markers.json"), markers).expect("a file");
    let auroc = folder.json("auroc generated.h5ad --markers markers.json");
    assert!(auroc["Astro"]["mean"].as_f64() > Some(0.5) && auroc["Astro"]["unmeasured"][0] == "NOT_A_GENE", "{auroc}");
    for figure in ["map cells.parquet -o map.svg", "neighborhood tasks.parquet -o near.svg", "bars generated.parquet -o bars.svg"] {
        folder.run(&format!("plot {figure}"));
    }
}

#[test]
fn groups_speak_and_those_near_each_other() {
    let (folder, _) = planted();
    let section = AnnData::open(folder.path("sections.h5ad")).expect("a file");
    let genes = section.genes();
    let pairs = format!("ligand,receptor,pathway\n{},{},P\n{},NOT_A_GENE,P\n", genes[0], genes[1], genes[2]);
    fs::write(folder.path("pairs.csv"), pairs).expect("a file");
    let options = "--pairs pairs.csv --permutations 20 --average mean";
    let all = folder.json(&format!("communicate sections.h5ad -o all.csv {options}"));
    assert_eq!((all["layout"].as_str(), all["pairs_not_measured"].as_u64()), (Some("LIANA"), Some(1)), "{all}");
    assert!(column(&folder, "all.csv", "contacts").iter().all(String::is_empty));
    folder.run(&format!("communicate sections.h5ad -o near.csv {options} --radius 30"));
    assert!(column(&folder, "near.csv", "contacts").iter().all(|contacts| contacts.parse::<f64>().is_ok_and(|contacts| contacts > 0.0)));
    folder.run("plot communication all.csv -o heat.svg --max-p 1");
    folder.run(&format!("communicate sections.h5ad -o again.csv {options} --threads 1"));
    assert_eq!(fs::read(folder.path("all.csv")).expect("a table"), fs::read(folder.path("again.csv")).expect("a table"));
}

#[test]
fn mistakes_are_named_with_what_helps() {
    let (folder, _) = planted();
    folder.fail("de sections.h5ad -o de.csv --group-by klass", 3, &["no column \"klass\"", "columns are", "--group-by"]);
    folder.fail("de sections.h5ad -o de.csv --group-by class --group Nobody", 3, &["no group \"Nobody\"", "Astro", "--group"]);
    folder.fail("de sections.h5ad -o de.csv", 2, &["--group-by"]);
    folder.fail("de sections.h5ad -o de.csv --group-by class --test t-test --tie-correct", 2, &["--tie-correct", "--test wilcoxon"]);
    folder.fail("proximity sections.h5ad -o groups.csv --focal Nobody --partner Astro", 3, &["class \"Nobody\"", "Microglia", "--focal"]);
    fs::write(folder.path("flat.csv"), "names,scores\nA,1\nB,1\n").expect("a file");
    fs::write(folder.path("sets.gmt"), "S\tna\tA\tB\n").expect("a file");
    folder.fail("gsea flat.csv --gene-sets sets.gmt -o out.csv", 3, &["all 2 scores are 1"]);
    fs::write(folder.path("bad.gmt"), "S\n").expect("a file");
    folder.fail("gsea flat.csv --gene-sets bad.gmt -o out.csv", 3, &["bad.gmt", "line 1 has 1 fields"]);
    fs::write(folder.path("pairs.csv"), "a,b\n1,2\n").expect("a file");
    folder.fail("communicate sections.h5ad --pairs pairs.csv -o out.csv", 3, &["pairs.csv", "columns a, b are of no known layout"]);
    folder.fail("plot volcano flat.csv -o out.jpg", 2, &[".svg", ".png"]);
    folder.fail("plot volcano flat.csv -o out.svg", 3, &["the figure cannot be drawn"]);
    assert!(["de.csv", "groups.csv", "out.csv", "out.svg"].iter().all(|name| !folder.path(name).exists()));
}

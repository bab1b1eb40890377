//! What a simulated tissue promises.

use std::collections::{BTreeMap, HashSet};

use data_fixtures::{
    DOMAINS, KNOCKED_OUT_GENE, KNOCKOUT_SOURCE, PROXIMITY_FOCAL, PROXIMITY_PARTNER, SimulatedCell, SimulatedTissue, SimulationConfig,
    Split, TissueTruth,
};

fn tissue(cells: usize, sections: usize) -> SimulatedTissue {
    SimulatedTissue::new(SimulationConfig { cells, sections, ..SimulationConfig::default() }).unwrap()
}

fn share(cells: &[SimulatedCell], of: impl Fn(&SimulatedCell) -> bool) -> f64 {
    cells.iter().filter(|cell| of(cell)).count() as f64 / cells.len() as f64
}

#[test]
fn the_same_seed_gives_the_same_cells_at_any_thread_count() {
    let tissue = tissue(3_000, 3);
    let fingerprint = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tissue.cells().map(|cell| format!("{cell:?}")).collect::<Vec<_>>())
    };
    assert_eq!(fingerprint(1), fingerprint(3));
}

#[test]
fn another_seed_gives_other_cells() {
    let first = tissue(100, 1).cells().next().unwrap();
    let config = SimulationConfig { cells: 100, sections: 1, seed: 43, ..SimulationConfig::default() };
    let second = SimulatedTissue::new(config).unwrap().cells().next().unwrap();
    assert_ne!(first.counts, second.counts);
}

#[test]
fn every_cell_is_made_once_in_section_order() {
    for (cells, sections) in [(8, 8), (1_001, 4), (5_000, 1)] {
        let made: Vec<SimulatedCell> = tissue(cells, sections).cells().collect();
        assert_eq!(made.len(), cells);
        assert_eq!(made.iter().map(|cell| &cell.name).collect::<HashSet<_>>().len(), cells);
        assert!(made.is_sorted_by_key(|cell| cell.section.clone()));
        assert!(made.iter().all(|cell| cell.x > 0.0 && cell.y > 0.0));
    }
}

#[test]
fn every_split_has_cells_with_few_sections_and_with_many() {
    for sections in [1, 2, 3, 10] {
        let cells: Vec<SimulatedCell> = tissue(5_000, sections).cells().collect();
        let train = share(&cells, |cell| cell.split == Split::Train);
        assert!(share(&cells, |cell| cell.split == Split::Test) > 0.04, "{sections} sections");
        assert!(share(&cells, |cell| cell.split == Split::Val) > 0.04, "{sections} sections");
        assert!(sections == 3 || train > 0.7, "{sections} sections: {train}");
    }
}

#[test]
fn neighbor_effects_can_be_recomputed_from_the_coordinates() {
    let cells: Vec<SimulatedCell> = tissue(4_000, 2).cells().collect();
    let has_near = |cell: &SimulatedCell, is_cause: &dyn Fn(&SimulatedCell) -> bool| {
        cells.iter().any(|other| {
            other.section == cell.section
                && other.name != cell.name
                && is_cause(other)
                && (other.x - cell.x).powi(2) + (other.y - cell.y).powi(2) < 900.0
        })
    };
    for cell in &cells {
        let proximal = cell.class == PROXIMITY_FOCAL && has_near(cell, &|other| other.class == PROXIMITY_PARTNER);
        let knockout = cell.class == "Oligo" && has_near(cell, &|other| other.perturbation.is_some());
        assert_eq!((cell.proximal, cell.knockout_neighbor), (proximal, knockout), "{}", cell.name);
    }
}

#[test]
fn focal_cells_are_common_and_about_half_are_proximal() {
    let cells: Vec<SimulatedCell> = tissue(10_000, 3).cells().collect();
    let focal: Vec<SimulatedCell> = cells.iter().filter(|cell| cell.class == PROXIMITY_FOCAL).cloned().collect();
    assert!((0.15..0.21).contains(&(focal.len() as f64 / cells.len() as f64)));
    assert!((0.4..0.6).contains(&share(&focal, |cell| cell.proximal)));
}

#[test]
fn every_domain_has_a_dominant_class() {
    let cells: Vec<SimulatedCell> = tissue(10_000, 3).cells().collect();
    for domain in DOMAINS {
        let inside: Vec<&SimulatedCell> = cells.iter().filter(|cell| cell.spatial_domain == domain).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for cell in &inside {
            *counts.entry(cell.class).or_default() += 1;
        }
        let dominant = *counts.values().max().unwrap() as f64 / inside.len() as f64;
        assert!((0.33..0.52).contains(&dominant), "{domain}: {dominant}");
    }
}

#[test]
fn an_average_cell_shows_the_wanted_share_of_the_panel() {
    for genes in [100, 300, 500, 1_000] {
        let config = SimulationConfig { cells: 2_000, sections: 1, genes, ..SimulationConfig::default() };
        let cells: Vec<SimulatedCell> = SimulatedTissue::new(config).unwrap().cells().collect();
        let seen = cells.iter().map(|cell| cell.counts.len()).sum::<usize>() as f64 / cells.len() as f64;
        let fraction = seen / genes as f64;
        assert!((0.12..0.16).contains(&fraction), "{genes} genes: {fraction}");
    }
}

#[test]
fn planted_changes_are_in_the_true_means() {
    let tissue = tissue(3_000, 1);
    let truth = tissue.truth();
    let cells: Vec<SimulatedCell> = tissue.cells().collect();
    assert_eq!(truth.proximity_genes().len(), 40);
    assert_eq!(truth.knockout_genes().len(), 20);
    assert_eq!(truth.gradient_genes().len(), 75);

    // Two astrocytes of one domain differ by library size, by the gradient (other genes) and by the effect.
    let astrocyte = |proximal| cells.iter().find(|c| c.class == "Astro" && c.spatial_domain == "L1" && c.proximal == proximal);
    let (near, far) = (astrocyte(true).unwrap(), astrocyte(false).unwrap());
    let (near_mean, far_mean) = (tissue.true_mean(near), tissue.true_mean(far));
    for effect in truth.proximity_genes() {
        let gene = tissue.panel().iter().position(|symbol| *symbol == effect.gene).unwrap();
        let ratio = f64::from(near_mean[gene]) / near.library_size() / f64::from(far_mean[gene]) * far.library_size();
        assert!((ratio.log2() - effect.log2_fold_change).abs() < 1e-4, "{}", effect.gene);
    }
}

#[test]
fn a_knocked_out_gene_is_gone_from_its_carriers() {
    let tissue = tissue(5_000, 1);
    let gene = tissue.panel().iter().position(|symbol| symbol == KNOCKED_OUT_GENE).unwrap() as u32;
    let mean_count = |carries: bool| {
        let endothelial: Vec<SimulatedCell> =
            tissue.cells().filter(|cell| cell.class == KNOCKOUT_SOURCE && cell.perturbation.is_some() == carries).collect();
        let total: u32 =
            endothelial.iter().filter_map(|cell| cell.counts.genes.binary_search(&gene).ok().map(|at| cell.counts.counts[at])).sum();
        f64::from(total) / endothelial.len() as f64
    };
    assert!(mean_count(true) < 0.05 * mean_count(false));
}

#[test]
fn the_oracle_beats_a_replicate_and_the_replicate_differs_from_the_cell() {
    let tissue = tissue(300, 1);
    let mut overlaps = (0, 0);
    for cell in tissue.cells() {
        let seen: HashSet<&str> = cell.counts.genes.iter().map(|&gene| tissue.panel()[gene as usize].as_str()).collect();
        let replicate = tissue.replicate(&cell);
        assert_ne!(replicate, cell.counts);
        assert_eq!(replicate, tissue.replicate(&cell));
        let oracle = tissue.true_ranking(&cell, replicate.len());
        overlaps.0 += oracle.iter().filter(|gene| seen.contains(gene.as_str())).count();
        overlaps.1 += replicate.genes.iter().filter(|&&gene| seen.contains(tissue.panel()[gene as usize].as_str())).count();
    }
    assert!(overlaps.0 > overlaps.1, "{overlaps:?}");
}

#[test]
fn the_truth_survives_json() {
    let truth = tissue(100, 1).truth();
    let json = serde_json::to_string(&truth).unwrap();
    assert!(json.contains(r#""kind":"proximity""#));
    assert_eq!(serde_json::from_str::<TissueTruth>(&json).unwrap(), truth);
}

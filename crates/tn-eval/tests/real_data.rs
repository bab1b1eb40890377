//! The published program's results on whole real sections. Skipped where the shared data are absent.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, UInt32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tn_eval::baseline::{ClassMean, ClassMeanTable, NearestNeighbor, UnknownClass};
use tn_eval::{
    DifferentialExpression, DifferentialGene, ExpressionFitter, ExpressionMatrix, ExpressionModel, ExpressionQuality, HighlyVariableGenes,
    RankTableFitter, RankedExpression, expression_quality, ndcg_published, ndcg_published_at, overlap_at, score_cells,
};
use tn_sentence::{CellPredictor, CellSentence, RankEncoder, TaskRecord, Vocabulary};

const DATA_SETS: [&str; 2] = ["merfish_hypothalamus", "merfish_lung_tumour"];

/// The shared data, beside the repository.
fn shared(test: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if shared.is_dir() {
        return Some(shared);
    }
    eprintln!("skipped {test}: ../shared is absent");
    None
}

fn read_parquet(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> ArrayRef {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    cast(column, data_type).unwrap()
}

fn strings(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let of_batch = |batch: &RecordBatch| {
        let column = column(batch, name, &DataType::Utf8);
        column.as_string::<i32>().iter().map(|value| value.unwrap_or_default().to_string()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

fn numbers(batches: &[RecordBatch], name: &str) -> Vec<f64> {
    let of_batch = |batch: &RecordBatch| column(batch, name, &DataType::Float64).as_primitive::<Float64Type>().values().to_vec();
    batches.iter().flat_map(of_batch).collect()
}

/// One measured cell: class, split, and its expressed genes with their values.
struct Cell {
    class: String,
    split: String,
    indices: Vec<u32>,
    values: Vec<f32>,
}

struct Section {
    panel: Vocabulary,
    cells: Vec<Cell>,
}

impl Section {
    fn read(shared: &Path, name: &str) -> Self {
        let folder = shared.join("data").join(name);
        let genes = read_parquet(&folder.join(format!("{name}_genes.parquet")));
        let panel = Vocabulary::new(strings(&genes, "gene")).unwrap();
        let batches = read_parquet(&folder.join(format!("{name}_cells.parquet")));
        let (classes, splits) = (strings(&batches, "class"), strings(&batches, "split"));
        let expressed = batches.iter().flat_map(|batch| {
            let indices = batch.column_by_name("gene_index").unwrap().as_list::<i32>().clone();
            let values = batch.column_by_name("value").unwrap().as_list::<i32>().clone();
            (0..batch.num_rows()).map(move |row| {
                let indices = cast(&indices.value(row), &DataType::UInt32).unwrap();
                let values = values.value(row);
                (indices.as_primitive::<UInt32Type>().values().to_vec(), values.as_primitive::<Float32Type>().values().to_vec())
            })
        });
        let cells = classes
            .into_iter()
            .zip(splits)
            .zip(expressed)
            .map(|((class, split), (indices, values))| Cell { class, split, indices, values })
            .collect();
        Self { panel, cells }
    }

    fn train(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.split == "train")
    }

    fn test(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.split == "test")
    }

    fn class_means(&self) -> ClassMeanTable {
        let mut table = ClassMeanTable::new(self.panel.clone());
        for cell in self.train() {
            table.add(&cell.class, &cell.indices, &cell.values).unwrap();
        }
        table
    }

    /// The stand-in that knows rankings only.
    fn class_means_of_rankings(&self, model: ExpressionModel) -> ClassMeanTable {
        let mut table = ClassMeanTable::new(self.panel.clone());
        let encoder = RankEncoder::new(&self.panel).with_max_genes(100).with_seed(42);
        for (index, cell) in self.train().enumerate() {
            let ranking = encoder.encode_sparse(&cell.indices, &cell.values, &format!("cell-{index}")).unwrap();
            table.add_ranking(&cell.class, &ranking, model);
        }
        table
    }
}

fn read_tasks(shared: &Path, name: &str) -> Vec<TaskRecord> {
    let batches = read_parquet(&shared.join("golden/real").join(format!("{name}_prompts.parquet")));
    let (names, prompts) = (strings(&batches, "cell_name"), strings(&batches, "prompt"));
    let task = |((cell_name, prompt), answer): ((String, String), String)| {
        let target: CellSentence = answer.parse().unwrap();
        TaskRecord {
            cell_name,
            prompt,
            x: target.position().x(),
            y: target.position().y(),
            class: target.class().unwrap_or_default().to_string(),
            answer,
            ..TaskRecord::default()
        }
    };
    names.into_iter().zip(prompts).zip(strings(&batches, "answer")).map(task).collect()
}

fn read_expected(shared: &Path, name: &str) -> Value {
    let path = shared.join("golden/real").join(format!("{name}_expected.json"));
    serde_json::from_reader(File::open(path).unwrap()).unwrap()
}

#[test]
fn baselines_score_as_published_row_by_row() {
    let Some(shared) = shared("baselines_score_as_published_row_by_row") else { return };
    for name in DATA_SETS {
        let section = Section::read(&shared, name);
        let tasks = read_tasks(&shared, name);
        let batches = read_parquet(&shared.join("golden/real").join(format!("{name}_prompt_metrics.parquet")));
        let rows: HashMap<(String, String), usize> =
            strings(&batches, "baseline").into_iter().zip(strings(&batches, "cell_name")).zip(0..).collect();
        let metrics = ["n_pred", "ndcg", "top_10_overlap", "top_10_ndcg", "top_30_overlap", "top_30_ndcg", "top_50_overlap", "top_50_ndcg"];
        let metrics: Vec<(&str, Vec<f64>)> = metrics.iter().map(|&metric| (metric, numbers(&batches, metric))).collect();
        let table = section.class_means();
        let check = |baseline: &str, mut predictor: Box<dyn CellPredictor<Error = _>>| {
            let mut differing = 0;
            for task in &tasks {
                let row = rows[&(baseline.to_string(), task.cell_name.clone())];
                let predicted = predictor.predict(task).unwrap();
                // Where a class has equal means, the reference's order among them is arbitrary.
                let is_tied = baseline.starts_with("class_mean") && has_equal_means(&table, predicted.class().unwrap_or_default());
                let tolerance = if is_tied { 1e-3 } else { 1e-12 };
                let predicted = predicted.into_ranking();
                let truth = task.answer.parse::<CellSentence>().unwrap().into_ranking();
                let (predicted, truth) = (predicted.genes(), truth.genes());
                let actual = [
                    predicted.len() as f64,
                    ndcg_published(predicted, truth),
                    overlap_at(predicted, truth, 10),
                    ndcg_published_at(predicted, truth, 10),
                    overlap_at(predicted, truth, 30),
                    ndcg_published_at(predicted, truth, 30),
                    overlap_at(predicted, truth, 50),
                    ndcg_published_at(predicted, truth, 50),
                ];
                for (actual, (metric, expected)) in actual.iter().zip(&metrics) {
                    if (actual - expected[row]).abs() > tolerance {
                        differing += 1;
                        eprintln!("{name} {baseline} {} {metric}: {actual}, expected {}", task.cell_name, expected[row]);
                    }
                }
            }
            assert_eq!(differing, 0, "{name} {baseline}");
        };
        let published = |baseline: ClassMean| Box::new(baseline.with_unknown_class(UnknownClass::Empty));
        check("nn", Box::new(NearestNeighbor::closest()));
        check("nn_majority", Box::new(NearestNeighbor::majority_within(50.0)));
        check("nn_class", Box::new(NearestNeighbor::same_class()));
        check("class_mean_target", published(ClassMean::of_target(table.clone())));
        check("class_mean_neighbor", published(ClassMean::of_neighbors(table.clone())));
    }
}

/// Whether two of the first 100 genes of a class have the very same mean, as in a class of a few cells.
fn has_equal_means(table: &ClassMeanTable, class: &str) -> bool {
    let ranking = table.ranking(class, 101).unwrap_or_default();
    let means: Vec<f64> = ranking.iter().filter_map(|gene| table.mean(class, gene)).collect();
    means.windows(2).any(|pair| pair[0] - pair[1] <= 1e-12)
}

#[test]
fn score_tables_have_the_published_means() {
    let Some(shared) = shared("score_tables_have_the_published_means") else { return };
    for name in DATA_SETS {
        let expected = &read_expected(&shared, name)["prompts"]["overall"]["nn"];
        let scores = score_cells(&mut NearestNeighbor::closest(), &read_tasks(&shared, name), &[10, 30, 50]).unwrap();
        for k in [10, 30, 50] {
            for (ours, theirs) in [("overlap", "overlap"), ("ndcg_published", "ndcg")] {
                let (ours, theirs) = (format!("{ours}@{k}"), format!("top_{k}_{theirs}"));
                let difference = scores.mean(&ours).unwrap() - expected[&theirs].as_f64().unwrap();
                assert!(difference.abs() < 1e-12, "{name} {ours} differs by {difference}");
            }
        }
        eprintln!("{name}, nearest neighbor: {scores}{}", scores.class_text(&["overlap@10", "overlap@30", "ndcg@30"]));
    }
}

#[test]
fn class_means_rank_genes_as_published() {
    let Some(shared) = shared("class_means_rank_genes_as_published") else { return };
    for name in DATA_SETS {
        let table = Section::read(&shared, name).class_means();
        for (class, ranking) in read_expected(&shared, name)["class_mean_table_train_top20"].as_object().unwrap() {
            let expected = ranking.as_str().unwrap().to_uppercase();
            let actual = table.ranking(class, 20).unwrap();
            // Genes whose means agree to the rounding of 32 bits may stand in either order.
            for (actual, expected) in actual.iter().zip(expected.split(' ')) {
                let (a, b) = (table.mean(class, actual).unwrap(), table.mean(class, expected).unwrap());
                assert!((a - b).abs() <= 1e-5 * b, "{name} {class}: {actual} ({a}) where {expected} ({b}) was expected");
            }
        }
    }
}

#[test]
fn the_fit_of_expression_on_rank_equals_the_published_one() {
    let Some(shared) = shared("the_fit_of_expression_on_rank_equals_the_published_one") else { return };
    for name in DATA_SETS {
        let mut fitter = ExpressionFitter::new();
        for cell in Section::read(&shared, name).train() {
            fitter.add(cell.values.iter().map(|&value| f64::from(value))).unwrap();
        }
        let fit = fitter.fit().unwrap();
        let expected = &read_expected(&shared, name)["linear_fit_all_train_cells_all_genes"];
        for (actual, key) in [
            (fit.model.slope, "slope"),
            (fit.model.intercept, "intercept"),
            (fit.r_squared, "r_squared"),
            (fit.pearson, "pearson_r_statistic"),
            (fit.spearman, "spearman_r_statistic"),
        ] {
            let expected = expected[key].as_f64().unwrap();
            assert!((actual - expected).abs() < 1e-6, "{name} {key}: {actual}, expected {expected}");
        }
    }
}

/// The numbers that the documentation of `ClassMeanTable::add_ranking` quotes.
#[test]
fn class_means_of_rankings_come_close_to_those_of_expression() {
    let Some(shared) = shared("class_means_of_rankings_come_close_to_those_of_expression") else { return };
    for name in DATA_SETS {
        let section = Section::read(&shared, name);
        let tasks = read_tasks(&shared, name);
        let overlap = |table: &ClassMeanTable| {
            let scores = score_cells(&mut ClassMean::of_target(table.clone()), &tasks, &[10, 30, 50]).unwrap();
            [10, 30, 50].map(|k| scores.mean(&format!("overlap@{k}")).unwrap())
        };
        let exact = section.class_means();
        let expected = overlap(&exact);
        for model in [ExpressionModel::MERFISH_BRAIN, ExpressionModel::new(1.0, -0.5), ExpressionModel::new(1.0, 0.0)] {
            let ranked = section.class_means_of_rankings(model);
            let share = |class| overlap_at(ranked.ranking(class, 30).unwrap().genes(), exact.ranking(class, 30).unwrap().genes(), 30);
            let shares: Vec<f64> = exact.classes().map(share).collect();
            let shared_genes = shares.iter().sum::<f64>() / shares.len() as f64;
            let actual = overlap(&ranked);
            eprintln!("{name} {model:?}: overlap {actual:.4?} against {expected:.4?}, {shared_genes:.3} of the top 30 in common");
            if model.slope < 0.0 {
                assert!(shared_genes > 0.95);
                assert!(actual.iter().zip(&expected).all(|(actual, expected)| (actual - expected).abs() < 0.003));
            }
        }
    }
}

/// The expression of all cells as a matrix: logarithms from the column `value`, or counts from `count`.
fn read_matrix(shared: &Path, name: &str, layer: &str) -> ExpressionMatrix {
    let folder = shared.join("data").join(name);
    let genes = read_parquet(&folder.join(format!("{name}_genes.parquet")));
    let mut matrix = ExpressionMatrix::new(strings(&genes, "gene")).unwrap();
    for batch in read_parquet(&folder.join(format!("{name}_cells.parquet"))) {
        let (indices, values) = (batch.column_by_name("gene_index").unwrap(), batch.column_by_name(layer).unwrap());
        for cell in 0..batch.num_rows() {
            let indices = cast(&indices.as_list::<i32>().value(cell), &DataType::UInt32).unwrap();
            let values = cast(&values.as_list::<i32>().value(cell), &DataType::Float32).unwrap();
            matrix.push(indices.as_primitive::<UInt32Type>().values(), values.as_primitive::<Float32Type>().values()).unwrap();
        }
    }
    matrix
}

/// Labels cells of the focal class by whether a cell of the partner class is closer than the radius in their section.
fn proximity_labels(shared: &Path, name: &str, focal: &str, partner: &str, radius: f64) -> Vec<&'static str> {
    let batches = read_parquet(&shared.join("data").join(name).join(format!("{name}_cells.parquet")));
    let (x, y) = (numbers(&batches, "x"), numbers(&batches, "y"));
    let (sections, classes) = (strings(&batches, "section"), strings(&batches, "class"));
    let partners: Vec<usize> = (0..classes.len()).filter(|&cell| classes[cell] == partner).collect();
    let is_near = |cell: usize, other: usize| {
        sections[cell] == sections[other] && (x[cell] - x[other]).powi(2) + (y[cell] - y[other]).powi(2) < radius * radius
    };
    let label = |cell: usize| match classes[cell] == focal {
        false => "other",
        true if partners.iter().any(|&other| is_near(cell, other)) => "proximal",
        true => "control",
    };
    (0..classes.len()).map(label).collect()
}

#[test]
fn rank_sums_of_proximity_groups_equal_scanpy() {
    let Some(shared) = shared("rank_sums_of_proximity_groups_equal_scanpy") else { return };
    for name in DATA_SETS {
        let cells = read_matrix(&shared, name, "value");
        for case in read_expected(&shared, name)["proximity"].as_array().unwrap() {
            let (focal, partner) = (case["focal"].as_str().unwrap(), case["partner"].as_str().unwrap());
            let labels = proximity_labels(&shared, name, focal, partner, case["radius"].as_f64().unwrap());
            for (test, key) in [
                (DifferentialExpression::wilcoxon_uncorrected(), "wilcoxon_tie_correct_false"),
                (DifferentialExpression::wilcoxon(), "wilcoxon_tie_correct_true"),
            ] {
                let table = test.with_reference("control").with_min_cells(10).compare(&cells, &labels, "proximal").unwrap();
                let expected = &case[key];
                let names = expected["names"].as_array().unwrap();
                assert_eq!(table.n_group() as u64, case["n_proximal"].as_u64().unwrap());
                assert_eq!(table.n_reference() as u64, case["n_control"].as_u64().unwrap());
                assert_eq!(table.genes().len(), names.len());
                let check = |column: &str, tolerance: f64, value: fn(&DifferentialGene) -> f64| {
                    let mut worst = 0.0_f64;
                    for (gene, expected) in names.iter().zip(expected[column].as_array().unwrap()) {
                        let gene = table.gene(gene.as_str().unwrap()).unwrap();
                        let (actual, expected) = (value(gene), expected.as_f64().unwrap());
                        let size = if column.starts_with("pvals") { expected } else { expected.abs().max(1.0) };
                        worst = worst.max((actual - expected).abs() / size);
                        assert!(worst <= tolerance, "{name} {focal} {} {column}: {actual}, expected {expected}", gene.gene);
                    }
                    eprintln!("{name}, {focal} near {partner}, {key} {column}: {worst:.1e} off");
                };
                check("scores", 1e-5, |row| row.score);
                check("pvals", 1e-6, |row| row.p_value);
                check("pvals_adj", 1e-6, |row| row.adjusted_p_value);
                check("logfoldchanges", 1e-4, |row| row.log2_fold_change);
            }
        }
    }
}

#[test]
fn highly_variable_genes_equal_scanpy() {
    let Some(shared) = shared("highly_variable_genes_equal_scanpy") else { return };
    for name in DATA_SETS {
        let genes = HighlyVariableGenes::seurat_v3(&read_matrix(&shared, name, "count")).unwrap();
        let expected = &read_expected(&shared, name)["hvg_seurat_v3_counts"];
        let mut worst = 0.0_f64;
        for gene in genes.genes() {
            let expected = expected["variances_norm"][&gene.gene].as_f64().unwrap();
            worst = worst.max((gene.variability - expected).abs() / expected.max(1.0));
        }
        eprintln!("{name}: normalized variances {worst:.1e} off");
        assert!(worst < 1e-6, "{name}: {worst}");
        let ranked = expected["genes_by_rank"].as_array().unwrap();
        let top = genes.top(ranked.len());
        assert_eq!(top.len(), ranked.len());
        for (gene, place) in top.into_iter().zip(ranked) {
            // Genes with the same counts in other cells may stand in either order.
            let variance = |gene: &str| expected["variances_norm"][gene].as_f64().unwrap();
            let (actual, expected) = (variance(gene), variance(place.as_str().unwrap()));
            assert!((actual - expected).abs() < 1e-9, "{name}: {gene} ({actual}) where {place} ({expected}) was expected");
        }
    }
}

/// Fits on the training cells, compares on the test cells; the numbers stand in the documentation of `GeneTable`.
#[test]
fn tables_and_genes_tell_held_out_expression_better_than_a_line() {
    let Some(shared) = shared("tables_and_genes_tell_held_out_expression_better_than_a_line") else { return };
    for name in DATA_SETS {
        let section = Section::read(&shared, name);
        let mut line = ExpressionFitter::new();
        let mut tables = RankTableFitter::new(section.panel.clone());
        for cell in section.train() {
            line.add(cell.values.iter().map(|&value| f64::from(value))).unwrap();
            tables.add(&cell.indices, &cell.values).unwrap();
        }
        let line = line.fit().unwrap().model;
        let quality = |model: &dyn Fn(usize, &str) -> f64| quality_of(&section, model);
        let (table, genes) = (tables.rank_table().unwrap(), tables.gene_table().unwrap());
        let [line, table, genes] = [
            quality(&|rank, _| line.at_rank(rank)),
            quality(&|rank, _| table.at_rank(rank)),
            quality(&|rank, gene| genes.expression(rank, gene)),
        ];
        eprintln!("{name}: line {line:?}, table {table:?}, genes {genes:?}");
        assert!(line.r_squared < table.r_squared && table.r_squared < genes.r_squared, "{name}: {line:?} {table:?} {genes:?}");
        assert!(genes.root_mean_square_error < table.root_mean_square_error && table.spearman <= genes.spearman);
    }
}

fn quality_of(section: &Section, model: &dyn Fn(usize, &str) -> f64) -> ExpressionQuality {
    struct Model<'m>(&'m dyn Fn(usize, &str) -> f64);
    impl RankedExpression for Model<'_> {
        fn expression(&self, rank: usize, gene: &str) -> f64 {
            self.0(rank, gene)
        }
    }
    let cells = section.test().map(|cell| {
        let genes = cell.indices.iter().map(|&index| section.panel.symbol(index as usize));
        genes.zip(cell.values.iter().map(|&value| f64::from(value))).collect()
    });
    expression_quality(&Model(model), cells).unwrap()
}

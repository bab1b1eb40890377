//! Head and cross-entropy with all logits at once, in plain tensor operations.

use burn::tensor::{Tensor, TensorData, activation::log_softmax};

use super::{HeadGradient, HeadLoss};

pub(crate) fn loss_and_gradients(
    rows: Tensor<2>,
    head: Tensor<2>,
    targets: &[Option<u32>],
    weights: &[f32],
    trained: HeadGradient,
) -> HeadLoss {
    let [n, _] = rows.dims();
    let [vocabulary, _] = head.dims();
    let (selected, wanted) = one_hot(targets, vocabulary);
    let selected = Tensor::<2>::from_data(TensorData::new(selected, [n, 1]), &rows.device());
    let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [n, vocabulary]), &rows.device());
    let weights = Tensor::<2>::from_data(TensorData::new(weights.to_vec(), [n, 1]), &rows.device());
    let log_probabilities = log_softmax(rows.clone().matmul(head.clone().transpose()), 1);
    let sum = -f64::from((log_probabilities.clone() * wanted.clone() * weights.clone()).sum().into_scalar::<f32>());
    let dlogits = (log_probabilities.exp() * selected - wanted) * weights;
    let dhead = (trained == HeadGradient::Trained).then(|| dlogits.clone().transpose().matmul(rows));
    HeadLoss { sum, rows: dlogits.matmul(head), head: dhead }
}

fn one_hot(targets: &[Option<u32>], vocabulary: usize) -> (Vec<f32>, Vec<f32>) {
    let mut wanted = vec![0.0; targets.len() * vocabulary];
    for (row, target) in targets.iter().enumerate() {
        if let Some(id) = target {
            wanted[row * vocabulary + *id as usize] = 1.0;
        }
    }
    (targets.iter().map(|t| f32::from(u8::from(t.is_some()))).collect(), wanted)
}

//! How fast a recipe trains, and how much of the rate of plain products of matrices that is.

use burn::tensor::{DType, Device, Distribution, Tensor};

use super::training_report::{PhaseRow, ProductRow, TrainingReport};
use super::{BenchError, timed};
use crate::device;
use crate::engine::BackendError;
use crate::train::{PhaseSpeed, Product, Recipe, time_phases};

/// Side of the square matrices whose product tells what a device can do.
const LARGE_SIDE: usize = 1024;
/// Products of each phase that are timed by themselves.
const OF_EACH_PHASE: usize = 4;
/// Operations of one run on the CPU: clocks are too slow for a single small product.
const RUN_FLOPS: u64 = 4_000_000_000;
/// The same on a GPU, for which starting a run and waiting for its end take time, too.
const GPU_RUN_FLOPS: u64 = 1000 * RUN_FLOPS;
/// Most products of one run.
const MOST_REPEATS: u64 = 1000;
/// Runs that are timed, after one that warms up.
const RUNS: usize = 7;

/// Times training by a recipe, then plain products of matrices in f32: a large one, and those of
/// each phase that have the most operations. On the CPU they are computed with one thread and with
/// as many as training has workers.
///
/// # Errors
/// Where the recipe cannot be followed, or the device fails.
pub fn bench_training(
    recipe: &Recipe,
    device: &Device,
    steps: u64,
) -> Result<TrainingReport, BenchError> {
    let speeds = time_phases(recipe, device, steps).map_err(Box::new)?;
    let threads = threads(recipe, device);
    let mut products = vec![ProductRow {
        name: "a large one".to_owned(),
        share: None,
        shape: [1, LARGE_SIDE, LARGE_SIDE, LARGE_SIDE],
        gflop_per_s: Vec::new(),
    }];
    for speed in &speeds {
        for row in largest(speed) {
            if products.iter().all(|known| known.shape != row.shape) {
                products.push(row);
            }
        }
    }
    for product in &mut products {
        product.gflop_per_s = rates(product.shape, &threads, device)?;
    }
    let large = products.first().and_then(|row| row.gflop_per_s.last());
    let large = large.copied();
    let phases = speeds.into_iter().map(|speed| PhaseRow {
        of_large: speed.gflop_per_s.zip(large).map(|(own, large)| own / large),
        speed,
    });
    Ok(TrainingReport {
        model: recipe.model.name.clone(),
        device: device::name_of(device),
        workers: recipe.batch.workers,
        phases: phases.collect(),
        threads,
        products,
    })
}

/// How many threads compute a product, each number in turn; none where that is not ours to say.
fn threads(recipe: &Recipe, device: &Device) -> Vec<usize> {
    match (device::is_cpu(device), recipe.batch.workers) {
        (false, _) => Vec::new(),
        (true, 1) => vec![1],
        (true, workers) => vec![1, workers],
    }
}

/// The products of a phase with the most operations, not timed yet.
fn largest(speed: &PhaseSpeed) -> Vec<ProductRow> {
    let each = speed.products.iter().map(Product::trained_flops);
    let all = each.sum::<u64>().max(1) as f64;
    speed
        .products
        .iter()
        .take(OF_EACH_PHASE)
        .map(|product| ProductRow {
            name: format!("{}: {}, {}", speed.phase, product.part, product.name),
            share: Some(product.trained_flops() as f64 / all),
            shape: product.shape(),
            gflop_per_s: Vec::new(),
        })
        .collect()
}

/// 10^9 operations a second with each number of threads.
fn rates(shape: [usize; 4], threads: &[usize], device: &Device) -> Result<Vec<f64>, BackendError> {
    if threads.is_empty() {
        return Ok(vec![rate(shape, device)?]);
    }
    threads
        .iter()
        .map(|&threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|error| BackendError::Failed(Box::new(error)))?;
            let device = device.clone();
            pool.install(move || rate(shape, &device))
        })
        .collect()
}

/// The same in the thread pool that the caller is in.
fn rate([batch, m, k, n]: [usize; 4], device: &Device) -> Result<f64, BackendError> {
    let flops = 2 * (batch * m * k * n) as u64;
    match batch {
        1 => rate_of([m, k], [k, n], flops, device),
        _ => rate_of([batch, m, k], [batch, k, n], flops, device),
    }
}

fn rate_of<const D: usize>(
    left: [usize; D],
    right: [usize; D],
    flops: u64,
    device: &Device,
) -> Result<f64, BackendError> {
    let normal = |shape: [usize; D]| -> Tensor<D> {
        let numbers = Distribution::Normal(0.0, 1.0);
        Tensor::random(shape, numbers, (device, DType::F32))
    };
    let (left, right) = (normal(left), normal(right));
    let run_flops = match device::is_cpu(device) {
        true => RUN_FLOPS,
        false => GPU_RUN_FLOPS,
    };
    let repeats = (run_flops / flops.max(1)).clamp(1, MOST_REPEATS);
    let run = || -> Result<f64, BackendError> {
        let ((), time) = timed(device, || {
            for _ in 0..repeats {
                let _product = left.clone().matmul(right.clone());
            }
            Ok(())
        })?;
        Ok((flops * repeats) as f64 / time.as_secs_f64().max(1e-9) / 1e9)
    };
    run()?;
    let mut rates = (0..RUNS)
        .map(|_| run())
        .collect::<Result<Vec<f64>, BackendError>>()?;
    rates.sort_by(f64::total_cmp);
    Ok(rates.get(RUNS / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(name: &'static str, m: usize) -> Product {
        Product {
            part: "a part",
            name,
            times: 1,
            batch: 1,
            m,
            k: 8,
            n: 8,
            has_data: false,
        }
    }

    #[test]
    fn the_products_with_the_most_operations_are_timed() {
        let sizes = [80, 40, 40, 20, 10, 10];
        let names = ["first", "second", "third", "fourth", "fifth", "sixth"];
        let speed = PhaseSpeed {
            phase: "a phase",
            steps: 1,
            scenes_per_s: 1.0,
            feed_wait: 0.0,
            gflop_per_scene: None,
            gflop_per_s: None,
            products: names
                .into_iter()
                .zip(sizes)
                .map(|(name, m)| product(name, m))
                .collect(),
        };
        let rows = largest(&speed);
        assert_eq!(rows.len(), OF_EACH_PHASE);
        assert_eq!(rows[0].name, "a phase: a part, first");
        assert_eq!(rows[0].share, Some(0.4));
        assert_eq!(rows[3].shape, [1, 20, 8, 8]);
    }

    #[test]
    fn products_have_a_rate_with_each_number_of_threads() {
        let device = Device::flex();
        for shape in [[1, 64, 64, 64], [3, 8, 64, 16]] {
            let rates = rates(shape, &[1, 2], &device).unwrap();
            assert_eq!(rates.len(), 2);
            assert!(rates.iter().all(|&rate| rate > 0.0), "{rates:?}");
        }
        assert_eq!(rates([1, 8, 8, 8], &[], &device).unwrap().len(), 1);
    }
}

//! The device that runs CUDA C++ on the processor, against plain loops and Burn's own device: what holds here is what the tests of our
//! kernels for CUDA lean on.

#[path = "host_cuda/kernels.rs"]
mod kernels;

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::activation::softmax;
use burn::tensor::bf16;
use burn::tensor::{DType, Device, DeviceType, Distribution, Tensor};
use cubecl::prelude::*;
use cubecl::server::Handle;
use kernels::*;

/// The device's client, unless this machine has no C++ compiler. One test at a time: they count memory and collect texts.
fn host(test: &str) -> Option<(Client, MutexGuard<'static, ()>)> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if Device::enumerate(DeviceType::Cpu).into_iter().next().is_none() {
        eprintln!("skipped: {test} needs g++");
        return None;
    }
    Some((cubecl::Device::Cpu(cubecl::cpu::CpuDevice).client(), guard))
}

fn upload<T: CubeElement>(client: &Client, values: &[T]) -> (Handle, usize) {
    (client.create_from_slice(T::as_bytes(values)), values.len())
}

fn buffer((handle, len): &(Handle, usize)) -> BufferArg {
    // SAFETY: the handle has room for so many elements.
    unsafe { BufferArg::from_raw_parts(handle.clone(), *len) }
}

fn empty<T>(client: &Client, len: usize) -> (Handle, usize) {
    (client.empty(len * size_of::<T>()), len)
}

fn read<T: CubeElement>(client: &Client, (handle, _): (Handle, usize)) -> Result<Vec<T>, String> {
    client.read_one(handle).map(|bytes| T::from_bytes(&bytes).to_vec()).map_err(|error| error.to_string())
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn halves(len: usize) -> Vec<bf16> {
    numbers(len).into_iter().map(bf16::from_f32).collect()
}

/// `a b` for matrices by rows, in 32 bits.
fn product(a: &[bf16], b: &[bf16], [m, n, k]: [usize; 3]) -> Vec<f32> {
    let at = |i: usize, j: usize| (0..k).map(|l| a[i * k + l].to_f32() * b[l * n + j].to_f32()).sum();
    (0..m * n).map(|e| at(e / n, e % n)).collect()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "element {i}: {found} instead of {expected}");
    }
}

#[test]
fn burn_computes_what_it_computes_on_flex() {
    let Some(_host) = host("burn_computes_what_it_computes_on_flex") else { return };
    let (flex, cpu) = (Device::flex(), Device::cpu());
    let a = Tensor::<2>::random([33, 40], Distribution::Uniform(-1.0, 1.0), &flex);
    let b = Tensor::<2>::random([40, 17], Distribution::Uniform(-1.0, 1.0), &flex);
    let on = |tensor: &Tensor<2>, dtype| Tensor::<2>::from_data(tensor.to_data().convert_dtype(dtype), (&cpu, dtype));
    let values = |tensor: Tensor<2>| tensor.to_data().convert::<f32>().try_into_vec::<f32>().unwrap();
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 2e-2)] {
        let (da, db) = (on(&a, dtype), on(&b, dtype));
        // Burn may multiply on tensor cores, which read 11 bits of a float.
        assert_close(&values(da.clone().matmul(db)), &values(a.clone().matmul(b.clone())), 5.0 * tolerance.max(1e-3));
        assert_close(&values(softmax(da.clone(), 1)), &values(softmax(a.clone(), 1)), tolerance);
        assert_close(&values(da.clone().sum_dim(1)), &values(a.clone().sum_dim(1)), 10.0 * tolerance);
        assert_close(&values(da.clone().transpose() * 2.0), &values(a.clone().transpose() * 2.0), tolerance);
    }
    let drawn = values(Tensor::<2>::random([64, 64], Distribution::Uniform(0.0, 1.0), &cpu));
    let mean = drawn.iter().sum::<f32>() / 4096.0;
    assert!((mean - 0.5).abs() < 0.05 && drawn.iter().all(|x| (0.0..=1.0).contains(x)), "{mean}");
}

#[test]
fn threads_of_a_cube_share_memory() {
    let Some((client, _guard)) = host("threads_of_a_cube_share_memory") else { return };
    let values = numbers(3 * 96);
    let (x, out) = (upload(&client, &values), empty::<f32>(&client, values.len()));
    reverse_in_cube::launch::<f32>(&client, CubeCount::Static(3, 1, 1), CubeDim::new_1d(96), buffer(&x), buffer(&out), 96);
    let expected: Vec<f32> = values.chunks(96).flat_map(|row| row.iter().rev().copied()).collect();
    assert_eq!(read::<f32>(&client, out).unwrap(), expected);
}

#[test]
fn cubes_have_two_dimensions() {
    let Some((client, _guard)) = host("cubes_have_two_dimensions") else { return };
    let (rows, cols) = (20, 30);
    let values = numbers(rows * cols);
    let (x, out) = (upload(&client, &values), empty::<f32>(&client, rows * cols));
    transpose::launch(&client, CubeCount::Static(4, 3, 1), CubeDim::new_2d(8, 8), buffer(&x), buffer(&out), rows, cols);
    let expected: Vec<f32> = (0..rows * cols).map(|i| values[i % rows * cols + i / rows]).collect();
    assert_eq!(read::<f32>(&client, out).unwrap(), expected);
}

#[test]
fn halves_are_rounded_after_every_operation() {
    let Some((client, _guard)) = host("halves_are_rounded_after_every_operation") else { return };
    let values = halves(500);
    let (x, out) = (upload(&client, &values), empty::<bf16>(&client, values.len()));
    add_and_multiply::launch::<bf16>(&client, CubeCount::Static(2, 1, 1), CubeDim::new_1d(256), buffer(&x), buffer(&out));
    let round = bf16::from_f32;
    let expected = values.iter().map(|&x| round(round(x.to_f32() + round(0.3).to_f32()).to_f32() * x.to_f32()));
    assert_eq!(read::<bf16>(&client, out).unwrap(), expected.collect::<Vec<_>>());
}

#[test]
fn lanes_of_a_plane_sum() {
    let Some((client, _guard)) = host("lanes_of_a_plane_sum") else { return };
    let values: Vec<f32> = (0..128).map(|i| i as f32).collect();
    let (x, out) = (upload(&client, &values), empty::<f32>(&client, values.len()));
    sum_plane::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(128), buffer(&x), buffer(&out));
    let expected: Vec<f32> = values.chunks(32).flat_map(|lanes| [lanes.iter().sum(); 32]).collect();
    assert_eq!(read::<f32>(&client, out).unwrap(), expected);
}

#[test]
fn atomics_lose_nothing() {
    let Some((client, _guard)) = host("atomics_lose_nothing") else { return };
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let (x, out) = (upload(&client, &values), upload(&client, &[0.0f32; 7]));
    add_modulo::launch(&client, CubeCount::Static(4, 1, 1), CubeDim::new_1d(256), buffer(&x), buffer(&out));
    let expected: Vec<f32> = (0..7).map(|r| (r..1000).step_by(7).map(|i| i as f32).sum()).collect();
    assert_eq!(read::<f32>(&client, out).unwrap(), expected);
}

#[test]
fn a_warp_multiplies_fragments() {
    let Some((client, _guard)) = host("a_warp_multiplies_fragments") else { return };
    let (a, b) = (halves(256), numbers(256).into_iter().rev().map(bf16::from_f32).collect::<Vec<_>>());
    let (x, y, out) = (upload(&client, &a), upload(&client, &b), empty::<f32>(&client, 256));
    multiply_fragments::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(32), buffer(&x), buffer(&y), buffer(&out));
    assert_close(&read::<f32>(&client, out).unwrap(), &product(&a, &b, [16; 3]), 1e-5);
}

#[test]
fn a_warp_multiplies_registers() {
    let Some((client, _guard)) = host("a_warp_multiplies_registers") else { return };
    let (a, b) = (halves(16 * 16), numbers(16 * 8).into_iter().rev().map(bf16::from_f32).collect::<Vec<_>>());
    let (x, y, out) = (upload(&client, &a), upload(&client, &b), empty::<f32>(&client, 16 * 8));
    multiply_registers::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(32), buffer(&x), buffer(&y), buffer(&out));
    assert_close(&read::<f32>(&client, out).unwrap(), &product(&a, &b, [16, 8, 16]), 1e-5);
}

#[test]
fn mistakes_of_kernels_are_reported() {
    let Some((client, _guard)) = host("mistakes_of_kernels_are_reported") else { return };
    let failure = |launch: &dyn Fn(BufferArg)| {
        let out = empty::<f32>(&client, 64);
        launch(buffer(&out));
        read::<f32>(&client, out).expect_err("the kernel makes a mistake")
    };
    let (one, cube) = (CubeCount::Static(1, 1, 1), CubeDim::new_1d(64));
    // SAFETY: none: the point is to see that the device finds out.
    let past_end = |by: usize| failure(&|out| unsafe { write_past_end::launch_unchecked(&client, one.clone(), cube, out, by) });
    assert!(past_end(1).contains("writes past the end of buffer 0"), "{}", past_end(1));
    assert!(past_end(500).contains("writes past the end of the memory of buffer 0"), "{}", past_end(500));
    let parted = failure(&|out| part_before_product::launch(&client, one.clone(), cube, out));
    assert!(parted.contains("reached by 8 of 32 lanes"), "{parted}");
    let unwritten = empty::<f32>(&client, 64);
    read_shared_unwritten::launch(&client, one, cube, buffer(&unwritten));
    assert!(read::<f32>(&client, unwritten).unwrap().iter().all(|x| x.is_nan()));
}

#[test]
fn a_failed_kernel_spoils_only_what_it_writes() {
    let Some((client, _guard)) = host("a_failed_kernel_spoils_only_what_it_writes") else { return };
    let (out, other) = (empty::<f32>(&client, 64), upload(&client, &[1.0f32; 64]));
    // SAFETY: none, as above.
    unsafe { write_past_end::launch_unchecked(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(64), buffer(&out), 1) };
    assert_eq!(read::<f32>(&client, other.clone()).unwrap(), [1.0; 64]);
    sum_plane::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(64), buffer(&other), buffer(&out));
    assert_eq!(read::<f32>(&client, out).unwrap(), [32.0; 64]);
}

#[test]
fn memory_is_counted_exactly() {
    let Some((client, _guard)) = host("memory_is_counted_exactly") else { return };
    let settle = || drop(read::<f32>(&client, empty::<f32>(&client, 1)));
    settle();
    let before = cubecl::cpu::memory().in_use;
    cubecl::cpu::reset_peak();
    let (large, small) = (empty::<f32>(&client, 1 << 20), empty::<f32>(&client, 1 << 18));
    settle();
    drop(large);
    settle();
    let after = cubecl::cpu::memory();
    assert_eq!(after.in_use - before, 1 << 20, "only the small buffer is left");
    assert!((5 << 20..(5 << 20) + 1024).contains(&(after.peak - before)), "{after:?} from {before}");
    drop(small);
}

#[test]
fn the_texts_of_launched_kernels_are_kept_for_nvrtc() {
    let Some((client, _guard)) = host("the_texts_of_launched_kernels_are_kept_for_nvrtc") else { return };
    drop(cubecl::cpu::sources());
    let (x, out) = (upload(&client, &halves(256)), empty::<f32>(&client, 256));
    multiply_fragments::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(32), buffer(&x), buffer(&x), buffer(&out));
    read::<f32>(&client, out).unwrap();
    let (y, out) = (upload(&client, &halves(128)), empty::<f32>(&client, 128));
    multiply_registers::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(32), buffer(&x), buffer(&y), buffer(&out));
    read::<f32>(&client, out).unwrap();
    let sources = cubecl::cpu::sources();
    let entries: Vec<&str> = sources.iter().map(|source| source.entry.as_str()).collect();
    assert!(matches!(entries[..], [a, b] if a.starts_with("multiply_fragments") && b.starts_with("multiply_registers")), "{entries:?}");
    assert!(sources.iter().all(|source| source.text.contains("__global__")));
    let Some(nvrtc) = cubecl::cpu::Nvrtc::of_environment() else {
        eprintln!("skipped: compiling with NVRTC needs TN_NVRTC to name libnvrtc.so, and TN_CUDA_INCLUDE the folders of CUDA's headers");
        return;
    };
    for source in &sources {
        for architecture in ["sm_80", "sm_90a"] {
            nvrtc.compile(&source.text, architecture).unwrap_or_else(|log| panic!("{} for {architecture}: {log}", source.name));
        }
    }
    let log = nvrtc.compile("__global__ void k() { no such statement; }", "sm_80").unwrap_err();
    assert!(log.contains("error"), "{log}");
}

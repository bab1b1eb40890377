// Matrix products of a warp (`nvcuda::wmma`). Each lane holds its share of a fragment; the shares come together to multiply.
//
// Which elements a lane holds is not specified by CUDA, except that it is the same for the same kind of fragment. Here an
// accumulator is dealt out element by element and an operand in runs, so that code which carries elements from one kind to the other
// goes wrong as it may on a GPU.
#pragma once
#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
namespace precision {
struct tf32 {};
}
enum layout_t { mem_row_major, mem_col_major };

inline float __float_to_tf32(float x) {
    uint32_t const bits = host::bits_of(x);
    if ((bits & 0x7f800000) == 0x7f800000) return x;
    // To nearest, ties away from zero.
    return host::float_of((bits + 0x1000) & ~0x1fffu);
}

template <typename T>
using stored = std::conditional_t<std::is_same_v<T, precision::tf32>, float, T>;

template <typename Use, int M, int N, int K, typename T, typename Layout = void>
struct fragment {
    static constexpr int rows = std::is_same_v<Use, matrix_b> ? K : M;
    static constexpr int cols = std::is_same_v<Use, matrix_a> ? K : N;
    static constexpr int num_elements = rows * cols / 32;
    stored<T> x[num_elements];

    // The place in the matrix of element `i` of `lane`, as row * cols + column.
    static int place(int lane, int i) { return std::is_same_v<Use, accumulator> ? i * 32 + lane : lane * num_elements + i; }
};

template <typename F, typename V>
inline void fill_fragment(F& f, V value) {
    for (auto& x : f.x) x = std::decay_t<decltype(x)>(value);
}

// All lanes name the same matrix; that they do is checked.
struct Matrix {
    void const* address;
    unsigned stride;
};
inline void same_matrix(void** lanes, unsigned) {
    auto const* first = static_cast<Matrix*>(lanes[0]);
    for (int i = 1; i < 32; i++) {
        auto const* other = static_cast<Matrix*>(lanes[i]);
        if (other->address != first->address || other->stride != first->stride) host_state->fail("the lanes of a warp load or store different matrices");
    }
}
inline void meet_at(unsigned site, void const* address, unsigned stride, size_t element) {
    // CUDA asks for 32 bytes; 16 are what the instructions need, and CubeCL relies on it.
    if (reinterpret_cast<size_t>(address) % 16) host_state->fail("a warp's matrix does not start at a multiple of 16 bytes");
    if (stride * element % 16) host_state->fail("the rows of a warp's matrix are not a multiple of 16 bytes apart");
    Matrix lane = {address, stride};
    host_state->collective(site, same_matrix, &lane, host::ALL);
}
template <typename F>
inline size_t offset(int place, unsigned stride, bool by_rows) {
    int const row = place / F::cols, col = place % F::cols;
    return by_rows ? size_t(row) * stride + col : size_t(col) * stride + row;
}

template <typename F, typename P>
inline void load_at(unsigned site, F& f, P const* source, unsigned stride, bool by_rows) {
    meet_at(site, source, stride, sizeof(P));
    for (int i = 0; i < F::num_elements; i++) f.x[i] = source[offset<F>(F::place(host::lane_id(), i), stride, by_rows)];
}
template <typename Use, int M, int N, int K, typename T, typename L, typename P>
inline void load_matrix(unsigned site, fragment<Use, M, N, K, T, L>& f, P const* source, unsigned stride) {
    load_at(site, f, source, stride, std::is_same_v<L, row_major>);
}
template <int M, int N, int K, typename T, typename P>
inline void load_matrix(unsigned site, fragment<accumulator, M, N, K, T>& f, P const* source, unsigned stride, layout_t layout) {
    load_at(site, f, source, stride, layout == mem_row_major);
}
template <int M, int N, int K, typename T, typename P>
inline void store_matrix(unsigned site, P* target, fragment<accumulator, M, N, K, T> const& f, unsigned stride, layout_t layout) {
    using F = fragment<accumulator, M, N, K, T>;
    meet_at(site, target, stride, sizeof(P));
    for (int i = 0; i < F::num_elements; i++) target[offset<F>(F::place(host::lane_id(), i), stride, layout == mem_row_major)] = f.x[i];
}

template <typename D, typename A, typename B, typename C>
struct Product {
    D* d;
    A const* a;
    B const* b;
    C const* c;
};
template <typename S, typename F>
inline void gather(S* whole, F const* part, int lane) {
    for (int i = 0; i < F::num_elements; i++) whole[F::place(lane, i)] = S(part->x[i]);
}
template <typename D, typename A, typename B, typename C>
void multiply(void** lanes, unsigned) {
    // Products of integers are exact in 32 bits, those of two-byte floats in a float.
    using S = std::conditional_t<std::is_integral_v<std::decay_t<decltype(C{}.x[0])>>, int, float>;
    constexpr int m = A::rows, k = A::cols, n = B::cols;
    static S a[m * k], b[k * n], d[m * n];
    using P = Product<D, A, B, C>;
    for (int lane = 0; lane < 32; lane++) {
        auto const* part = static_cast<P*>(lanes[lane]);
        gather(a, part->a, lane);
        gather(b, part->b, lane);
        gather(d, part->c, lane);
    }
    for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++) {
            S const x = a[i * k + l];
            for (int j = 0; j < n; j++) d[i * n + j] += x * b[l * n + j];
        }
    for (int lane = 0; lane < 32; lane++) {
        auto* part = static_cast<P*>(lanes[lane]);
        for (int i = 0; i < D::num_elements; i++) part->d->x[i] = d[D::place(lane, i)];
    }
}
template <typename D, typename A, typename B, typename C>
inline void mma(unsigned site, D& d, A const& a, B const& b, C const& c) {
    Product<D, A, B, C> lane = {&d, &a, &b, &c};
    host_state->collective(site, multiply<D, A, B, C>, &lane, host::ALL);
}

}  // namespace nvcuda::wmma

#define load_matrix_sync(...) load_matrix(__COUNTER__, __VA_ARGS__)
#define store_matrix_sync(...) store_matrix(__COUNTER__, __VA_ARGS__)
#define mma_sync(...) mma(__COUNTER__, __VA_ARGS__)

// What the inline PTX of CubeCL and of our kernels becomes; `ptx.rs` writes the calls.
#pragma once
#include "host_float16.h"

namespace host {

// How the elements of a matrix sit in 32-bit registers.
template <typename Format>
struct Packed16 {
    using Sum = float;
    static constexpr int per_register = 2;
    static float element(uint32_t bits, int i) { return Format::widen(uint16_t(bits >> 16 * i)); }
};
using BF16 = Packed16<Brain>;
using F16 = Packed16<Half>;
template <typename Byte>
struct Packed8 {
    using Sum = int;
    static constexpr int per_register = 4;
    static int element(uint32_t bits, int i) { return Byte(bits >> 8 * i); }
};
using S8 = Packed8<signed char>;
using U8 = Packed8<unsigned char>;
struct TF32 {
    using Sum = float;
    static constexpr int per_register = 1;
    // The tensor core does not look at the last 13 bits.
    static float element(uint32_t bits, int) { return float_of(bits & ~0x1fffu); }
};

template <typename Sum>
struct MmaLane {
    Sum d[4], c[4];
    uint32_t a[4], b[2];
};

// mma.sync.aligned.m16n8k{8 e}.row.col, with `e` elements in a register. Lane `4 g + t` holds rows g and g + 8 of A and D and column g of B.
template <typename A, typename B>
void mma(void** lanes, unsigned) {
    using Sum = typename A::Sum;
    constexpr int e = A::per_register, k = 8 * e;
    Sum a[16][k], b[k][8];
    for (int lane = 0; lane < 32; lane++) {
        auto const* own = static_cast<MmaLane<Sum>*>(lanes[lane]);
        int const g = lane / 4, t = lane % 4;
        for (int r = 0; r < 4; r++)
            for (int i = 0; i < e; i++) a[g + 8 * (r % 2)][t * e + i + r / 2 * 4 * e] = A::element(own->a[r], i);
        for (int r = 0; r < 2; r++)
            for (int i = 0; i < e; i++) b[t * e + i + r * 4 * e][g] = B::element(own->b[r], i);
    }
    for (int lane = 0; lane < 32; lane++) {
        auto* own = static_cast<MmaLane<Sum>*>(lanes[lane]);
        for (int i = 0; i < 4; i++) {
            int const row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
            Sum sum = own->c[i];
            for (int l = 0; l < k; l++) sum += a[row][l] * b[l][col];
            own->d[i] = sum;
        }
    }
}
inline uint32_t as_register(uint32_t x) { return x; }
inline uint32_t as_register(int x) { return uint32_t(x); }
inline uint32_t as_register(float x) { return bits_of(x); }

template <typename A, typename B, typename D, typename RA, typename RB, typename RC>
inline void mma_sync(unsigned site, D (&d)[4], RA const (&a)[4], RB const (&b)[2], RC const (&c)[4]) {
    using Sum = typename A::Sum;
    MmaLane<Sum> lane;
    for (int i = 0; i < 4; i++) lane.a[i] = as_register(a[i]);
    for (int i = 0; i < 2; i++) lane.b[i] = as_register(b[i]);
    for (int i = 0; i < 4; i++) memcpy(&lane.c[i], &c[i], 4);
    host_state->collective(site, mma<A, B>, &lane, ALL);
    for (int i = 0; i < 4; i++) memcpy(&d[i], &lane.d[i], 4);
}

// ldmatrix and stmatrix: lane `8 m + r` brings the address of row `r` of matrix `m`, lane `4 r + t` holds elements 2 t and 2 t + 1 of row `r`.
template <int N>
struct MatrixLane {
    char* row;
    uint32_t registers[N];
};
inline uint16_t* matrix_element(char* const* rows, int matrix, int lane, int i, bool transposed) {
    int const r = lane / 4, c = lane % 4 * 2 + i;
    return reinterpret_cast<uint16_t*>(rows[8 * matrix + (transposed ? c : r)]) + (transposed ? r : c);
}
template <int N, bool Transposed, bool Store>
void move_matrices(void** lanes, unsigned) {
    char* rows[32];
    for (int lane = 0; lane < 32; lane++) rows[lane] = static_cast<MatrixLane<N>*>(lanes[lane])->row;
    for (int lane = 0; lane < 32; lane++)
        for (int m = 0; m < N; m++)
            for (int i = 0; i < 2; i++) {
                uint16_t* const element = matrix_element(rows, m, lane, i, Transposed);
                auto* const half = reinterpret_cast<uint16_t*>(&static_cast<MatrixLane<N>*>(lanes[lane])->registers[m]) + i;
                if (Store) *element = *half;
                else *half = *element;
            }
}
template <int N>
inline char* matrix_row(unsigned address) {
    if (lane_id() >= 8 * N) return nullptr;
    if (address % 16) host_state->fail("a row for ldmatrix or stmatrix does not start at a multiple of 16 bytes");
    return shared_at(address, 16);
}
template <int N, bool Transposed>
inline void ldmatrix(unsigned site, uint32_t (&registers)[N], unsigned address) {
    MatrixLane<N> lane = {matrix_row<N>(address), {}};
    host_state->collective(site, move_matrices<N, Transposed, false>, &lane, ALL);
    for (int i = 0; i < N; i++) registers[i] = lane.registers[i];
}
template <int N, bool Transposed>
inline void stmatrix(unsigned site, unsigned address, uint32_t const (&registers)[N]) {
    MatrixLane<N> lane = {matrix_row<N>(address), {}};
    for (int i = 0; i < N; i++) lane.registers[i] = registers[i];
    host_state->collective(site, move_matrices<N, Transposed, true>, &lane, ALL);
}

// cp.async: done at once, the rest of the `size` bytes is zero.
inline void copy_async(unsigned target, void const* source, unsigned size, unsigned long long length) {
    if (target % size || reinterpret_cast<size_t>(source) % size) host_state->fail("an asynchronous copy is not aligned to its size");
    char* const place = shared_at(target, size);
    unsigned const copied = length < size ? unsigned(length) : size;
    memcpy(place, source, copied);
    memset(place + copied, 0, size - copied);
}

inline int saturated(long long x) { return int(x > 2147483647 ? 2147483647 : x < -2147483647 - 1 ? -2147483647 - 1 : x); }

// Atomics on values that PTX keeps in registers of bits.
template <typename Format>
inline uint16_t atomic_add16(void* place, uint16_t value) {
    auto* const p = static_cast<uint16_t*>(place);
    uint16_t const old = *p;
    *p = Format::narrow(Format::widen(old) + Format::widen(value));
    return old;
}
template <typename Format>
inline uint32_t atomic_add16x2(void* place, uint32_t value) {
    auto* const p = static_cast<uint16_t*>(place);
    uint32_t const low = atomic_add16<Format>(p, uint16_t(value)), high = atomic_add16<Format>(p + 1, uint16_t(value >> 16));
    return low | high << 16;
}

}  // namespace host

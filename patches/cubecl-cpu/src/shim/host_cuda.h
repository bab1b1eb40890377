// The part of CUDA C++ that every kernel needs, for the host's C++ compiler: qualifiers, indices, warps, atomics, mathematics.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <type_traits>
#include <utility>

// CubeCL's text declares its own integers: 64 bits are `long long` there and `long` in glibc.
#define uint64_t cuda_uint64_t
#define int64_t cuda_int64_t

#define __CUDA_ARCH__ 800
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __restrict__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __align__(n) alignas(n)
#define warpSize 32

struct uint3 {
    unsigned x, y, z;
};

namespace host {

// Runs a warp-wide operation when its lanes have come together: `lanes[i]` is what lane `i` brought, null where it takes no part.
using Operation = void (*)(void** lanes, unsigned mask);

// Which lanes a warp-wide operation needs.
enum Lanes : unsigned { ANY = 0, LIVING = 1, ALL = 2 };

// What the scheduler and the kernel share; laid out like `State` in `schedule.rs`.
struct State {
    uint3 thread, block, block_dim, grid_dim;
    char* shared;
    size_t shared_size;
    void (*barrier)();
    void (*collective)(unsigned site, Operation run, void* lane, unsigned lanes);
    void (*poll)();
    void (*fail)(char const* message);
};

}  // namespace host

extern "C" {
__attribute__((visibility("default"))) host::State* host_state = nullptr;
}

#define threadIdx (host_state->thread)
#define blockIdx (host_state->block)
#define blockDim (host_state->block_dim)
#define gridDim (host_state->grid_dim)

namespace host {

inline unsigned thread_rank() {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}
inline unsigned lane_id() { return thread_rank() % 32; }

template <typename... P, size_t... I>
inline void call(void (*kernel)(P...), void** args, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<std::remove_reference_t<P>*>(args[I])...);
}
// One thread of a kernel; arguments as `cuLaunchKernel` takes them.
template <typename... P>
inline void call(void (*kernel)(P...), void** args) {
    call(kernel, args, std::index_sequence_for<P...>{});
}
// All threads of a block one after another, for kernels in which threads do not meet.
template <typename... P>
inline void call_block(void (*kernel)(P...), void** args) {
    uint3 const dim = blockDim;
    for (unsigned z = 0; z < dim.z; z++)
        for (unsigned y = 0; y < dim.y; y++)
            for (unsigned x = 0; x < dim.x; x++) {
                threadIdx = {x, y, z};
                call(kernel, args);
            }
}

// What a lane reads from a lane that takes no part: undefined on a GPU, not a number here.
template <typename T>
inline T undefined() {
    T value;
    memset(static_cast<void*>(&value), 0xff, sizeof(T));
    return value;
}

template <typename T>
struct Shuffle {
    T value, result;
    int lane, source;
};
template <typename T>
void shuffle(void** lanes, unsigned mask) {
    for (int i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        auto* self = static_cast<Shuffle<T>*>(lanes[i]);
        bool const there = mask >> self->source & 1;
        self->result = there ? static_cast<Shuffle<T>*>(lanes[self->source])->value : undefined<T>();
    }
}
template <typename T>
inline T shuffle_from(unsigned site, T value, int source) {
    Shuffle<T> lane = {value, value, int(lane_id()), source};
    host_state->collective(site, shuffle<T>, &lane, ANY);
    return lane.result;
}
template <typename T>
inline T shuffle_up(unsigned site, T value, unsigned delta) {
    int const lane = lane_id();
    return shuffle_from(site, value, lane >= int(delta) ? lane - int(delta) : lane);
}
template <typename T>
inline T shuffle_down(unsigned site, T value, unsigned delta) {
    int const lane = lane_id();
    return shuffle_from(site, value, lane + int(delta) < 32 ? lane + int(delta) : lane);
}

struct Vote {
    bool value;
    unsigned mask, votes;
};
inline void vote(void** lanes, unsigned mask) {
    unsigned votes = 0;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) votes |= unsigned(static_cast<Vote*>(lanes[i])->value) << i;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) {
            static_cast<Vote*>(lanes[i])->mask = mask;
            static_cast<Vote*>(lanes[i])->votes = votes;
        }
}
inline Vote vote_on(unsigned site, bool value) {
    Vote lane = {value, 0, 0};
    host_state->collective(site, vote, &lane, ANY);
    return lane;
}
inline int vote_all(unsigned site, bool value) {
    Vote const result = vote_on(site, value);
    return result.votes == result.mask;
}

inline void meet(void**, unsigned) {}

}  // namespace host

// The masks are not looked at: CubeCL always passes `__activemask()`, which is "the lanes that come here together".
#define __activemask() (host::vote_on(__COUNTER__, true).mask)
#define __shfl_sync(mask, value, lane) host::shuffle_from(__COUNTER__, value, int(lane) & 31)
#define __shfl_xor_sync(mask, value, bits) host::shuffle_from(__COUNTER__, value, int(host::lane_id() ^ unsigned(bits)) & 31)
#define __shfl_up_sync(mask, value, delta) host::shuffle_up(__COUNTER__, value, delta)
#define __shfl_down_sync(mask, value, delta) host::shuffle_down(__COUNTER__, value, delta)
#define __all_sync(mask, value) host::vote_all(__COUNTER__, value)
#define __any_sync(mask, value) (host::vote_on(__COUNTER__, value).votes != 0)
#define __ballot_sync(mask, value) (host::vote_on(__COUNTER__, value).votes)
#define __syncwarp() host_state->collective(__COUNTER__, host::meet, nullptr, host::LIVING)
#define __syncthreads() host_state->barrier()
inline void __threadfence() {}

// A shared address in 32 bits is an offset into the block's shared memory.
inline unsigned __cvta_generic_to_shared(void const* pointer) {
    auto const offset = static_cast<char const*>(pointer) - host_state->shared;
    if (offset < 0 || size_t(offset) >= host_state->shared_size) host_state->fail("an address that is not in shared memory is used as one");
    return unsigned(offset);
}
namespace host {
inline char* shared_at(unsigned offset, unsigned bytes) {
    if (size_t(offset) + bytes > host_state->shared_size) host_state->fail("an access leaves the block's shared memory");
    return host_state->shared + offset;
}
}  // namespace host

// Threads run one at a time: an atomic is the plain operation.
#define HOST_ATOMIC(name, expression)              \
    template <typename T, typename V>              \
    inline T name(T* place, V given) {             \
        T const old = *place, value = T(given);    \
        *place = T(expression);                    \
        return old;                                \
    }
HOST_ATOMIC(atomicAdd, old + value)
HOST_ATOMIC(atomicMin, value < old ? value : old)
HOST_ATOMIC(atomicMax, value > old ? value : old)
HOST_ATOMIC(atomicAnd, old & value)
HOST_ATOMIC(atomicOr, old | value)
HOST_ATOMIC(atomicXor, old ^ value)
HOST_ATOMIC(atomicExch, value)
template <typename T, typename C, typename V>
inline T atomicCAS(T* place, C compare, V value) {
    T const old = *place;
    if (old == T(compare)) *place = T(value);
    return old;
}

// `min` and `max` of floats ignore one NaN, as on the device.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
template <typename A, typename B, typename R = std::common_type_t<A, B>, typename = std::enable_if_t<std::is_integral_v<R>>>
inline R min(A a, B b) { return R(b) < R(a) ? R(b) : R(a); }
template <typename A, typename B, typename R = std::common_type_t<A, B>, typename = std::enable_if_t<std::is_integral_v<R>>>
inline R max(A a, B b) { return R(a) < R(b) ? R(b) : R(a); }

inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float rhypotf(float x, float y) { return 1.0f / hypotf(x, y); }
inline double rhypot(double x, double y) { return 1.0 / hypot(x, y); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(unsigned x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(unsigned long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned long long __brevll(unsigned long long x) {
    unsigned long long result = 0;
    for (int i = 0; i < 64; i++) result |= (x >> i & 1) << (63 - i);
    return result;
}
inline unsigned __brev(unsigned x) { return unsigned(__brevll(x) >> 32); }
inline int __mulhi(int a, int b) { return int((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
template <typename A>
inline A host_dp4a(unsigned a, unsigned b, A sum) {
    using Byte = std::conditional_t<std::is_signed_v<A>, signed char, unsigned char>;
    for (int i = 0; i < 32; i += 8) sum += A(Byte(a >> i)) * A(Byte(b >> i));
    return sum;
}
inline int __dp4a(int a, int b, int c) { return host_dp4a(unsigned(a), unsigned(b), c); }
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) { return host_dp4a(a, b, c); }

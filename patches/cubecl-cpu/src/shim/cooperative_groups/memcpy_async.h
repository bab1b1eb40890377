// A copy by the whole block: its first thread makes it, and nobody passes the barrier before that thread.
#pragma once
#include "../cooperative_groups.h"
namespace cuda {
template <typename B>
inline void memcpy_async(cooperative_groups::thread_block, void* target, void const* source, size_t size, B&) {
    if (host::thread_rank() == 0) memcpy(target, source, size);
}
}  // namespace cuda
